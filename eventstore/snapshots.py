"""A folded state at a position, so that a start need not replay everything. A cache: any doubt, and there is none."""

from __future__ import annotations

import fcntl
import os
from itertools import pairwise
from zlib import crc32

from eventstore.codec import END, GENESIS, chain, link_of, parse, to_json
from eventstore.cursor import Cursor
from eventstore.errors import JournalError
from eventstore.segments import LINE_LIMIT, open_segment, write_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

FOLDER = "snap"
_KEPT = 2
_SUFFIX, _BASE = ".snap", ".base"
# Of a name: the segment that is read next, and behind which event it is.
_SEGMENT, _PLACE = slice(20), slice(21, 41)


class Snapshots:
    """Snapshots of the journal in `directory`. File: CRC-32 of the rest in hex, newline, a JSON head, newline, payload.

    The newest two are kept, and the first of each segment: from there the past is soon folded. A *base* is
    one that was made for an archive; it lies beside it, is kept, and names the archived segments' digests.
    """

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self.folder = os.path.join(directory, FOLDER)
        self.archive = os.path.join(directory, "archive")

    def load(self, code: str, *, n: int | None = None) -> tuple[Cursor, memoryview, int] | None:
        """The newest one that `code` (the version of the projection's code) saved and that this journal still bears out.

        As cursor, payload and the time (ns since the epoch) of the last event in it. `n`: none of later.
        """
        found = [(name, self.folder) for name in _names(self.folder, _SUFFIX)]
        found += [(name, self.archive) for name in _names(self.archive, _BASE)]
        for name, folder in sorted(found, reverse=True):
            if n is not None and int(name[_PLACE]) > n:
                continue
            loaded = self._load(os.path.join(folder, name), code)
            if loaded and self._in_journal(loaded[0]):
                return loaded
        return None

    def has(self, cursor: Cursor) -> bool:
        """Whether there is one of this position, of whatever code."""
        return any(
            os.path.exists(os.path.join(folder, _name(cursor, suffix)))
            for folder, suffix in ((self.folder, _SUFFIX), (self.archive, _BASE))
        )

    def save(self, code: str, cursor: Cursor, payload: bytes, *, ts: int = 0) -> bool:
        """Keep `payload` as the state at `cursor`. False if another process is just doing so.

        `ts`: when the last event in it was; to be given where the cursor is at a segment's begin. OSError
        (a full disk, a read-only one) is the caller's to ignore: nothing is lost but time.
        """
        head = {"code": code, "cursor": cursor.dump(), "ts": ts or self._time_at(cursor)}
        if not _save(self.folder, _name(cursor, _SUFFIX), head, payload):
            return False
        self._thin_out()
        return True

    def save_base(
        self, code: str, cursor: Cursor, payload: bytes, *, ts: int, archived: dict[str, str]
    ) -> bool:
        """The same for an archive that ends at `cursor`: `archived` has its segments' names and digests (in hex)."""
        head = {"code": code, "cursor": cursor.dump(), "ts": ts, "archived": archived}
        return _save(self.archive, _name(cursor, _BASE), head, payload)

    def _thin_out(self) -> None:
        names = _names(self.folder, _SUFFIX)
        for before, name in pairwise(names[:-_KEPT]):
            if name[_SEGMENT] == before[_SEGMENT]:
                os.unlink(os.path.join(self.folder, name))

    @staticmethod
    def _load(path: str, code: str) -> tuple[Cursor, memoryview, int] | None:
        try:
            file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                data = os.read(file, os.fstat(file).st_size)
            finally:
                os.close(file)
            start = data.index(b"\n") + 1
            end = data.index(b"\n", start)
            whole = memoryview(data)  # a copy of a thousand containers takes 0.7 ms
            if _sum(whole[start:]) != data[: start - 1]:
                return None
            values = parse(data[start:end])
            if values["code"] != code:
                return None
            return Cursor.load(values["cursor"]), whole[end + 1 :], values["ts"]
        except (OSError, JournalError, ValueError, KeyError, TypeError, IndexError):
            return None

    def _in_journal(self, cursor: Cursor) -> bool:
        """Whether the line that ends at the cursor is in the journal; it may not be after a power cut."""
        if not cursor.n:
            return cursor.h == GENESIS
        try:
            if not cursor.offset:
                return self._goes_on(cursor)
            if cursor.offset <= END:
                return False
            return link_of(self._read(cursor, END)) == cursor.h
        except (OSError, JournalError):
            return False

    def _goes_on(self, cursor: Cursor) -> bool:
        """Whether the segment that begins at the cursor was made behind it: where that one is may be elsewhere."""
        from eventstore.archive import open_source

        with open_source(self.directory, cursor.segment) as source:
            line = source.head().partition(b"\n")[0]
        return chain(line + b"\n", cursor.h)[0] == 1

    def _read(self, cursor: Cursor, length: int) -> bytes:
        """The last bytes before the cursor, from the segment or from the archive."""
        start = max(0, cursor.offset - length)
        try:
            file = open_segment(self.directory, cursor.segment)
        except FileNotFoundError:
            from eventstore.archive import open_source

            with open_source(self.directory, cursor.segment) as source:
                return source.read(cursor.offset - start, start)
        try:
            return os.pread(file, cursor.offset - start, start)
        finally:
            os.close(file)

    def _time_at(self, cursor: Cursor) -> int:
        try:
            ts = parse(self._read(cursor, LINE_LIMIT).split(b"\n")[-2])["ts"]
        except (OSError, JournalError, IndexError, KeyError):
            return 0
        return ts if type(ts) is int else 0


def _name(cursor: Cursor, suffix: str) -> str:
    return f"{cursor.segment:020d}-{cursor.n:020d}{suffix}"


def _names(folder: str, suffix: str) -> list[str]:
    try:
        return sorted(name for name in os.listdir(folder) if _is_name(name, suffix))
    except OSError:
        return []


def _is_name(name: str, suffix: str) -> bool:
    ours = name.removesuffix(suffix)
    return ours != name and len(ours) == _PLACE.stop and (ours[_SEGMENT] + ours[_PLACE]).isdigit()


def _save(folder: str, name: str, head: dict[str, Any], payload: bytes) -> bool:
    """Whole or not at all. False if another process is just doing so."""
    from eventstore.obstacle import make_directory

    make_directory(folder)
    lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        rest = to_json(head) + b"\n" + payload
        temporary = os.path.join(folder, "next.tmp")
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
        file = os.open(temporary, flags, 0o600)
        try:
            write_all(file, _sum(rest) + b"\n" + rest)
            os.fsync(file)
        except OSError:
            os.unlink(temporary)
            raise
        finally:
            os.close(file)
        os.rename(temporary, os.path.join(folder, name))
        os.fsync(lock)
    finally:
        os.close(lock)
    return True


def _sum(data: bytes | memoryview) -> bytes:
    """Against accidents only, as all of it: who may write the file may write any sum. SHA-256 takes 5 ms a MB."""
    return b"%08x" % crc32(data)
