"""A folded state at a position, so that a start need not replay everything. A cache: any doubt, and there is none."""

from __future__ import annotations

import fcntl
import os
from zlib import crc32

from eventstore.codec import END, GENESIS, link_of, parse, to_json
from eventstore.cursor import Cursor
from eventstore.errors import JournalError
from eventstore.segments import open_segment, write_all

FOLDER = "snap"
_KEPT = 2
_SUFFIX = ".snap"


class Snapshots:
    """Snapshots of the journal in `directory`. File: CRC-32 of the rest in hex, newline, a JSON head, newline, payload."""

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self.folder = os.path.join(directory, FOLDER)

    def load(self, code: str) -> tuple[Cursor, memoryview] | None:
        """The newest one that `code` (the version of the projection's code) saved and that this journal still bears out."""
        for name in reversed(self._names()):
            found = self._load(os.path.join(self.folder, name), code)
            if found and self._in_journal(found[0]):
                return found
        return None

    def save(self, code: str, cursor: Cursor, payload: bytes) -> bool:
        """Keep `payload` as the state at `cursor`, and the one before it. False if another process is just doing so.

        OSError (a full disk, a read-only one) is the caller's to ignore: nothing is lost but time.
        """
        os.makedirs(self.folder, 0o700, exist_ok=True)
        folder = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            try:
                fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            self._save(folder, code, cursor, payload)
        finally:
            os.close(folder)
        return True

    def _names(self) -> list[str]:
        try:
            return sorted(name for name in os.listdir(self.folder) if name.endswith(_SUFFIX))
        except OSError:
            return []

    def _save(self, folder: int, code: str, cursor: Cursor, payload: bytes) -> None:
        rest = to_json({"code": code, "cursor": cursor.dump()}) + b"\n" + payload
        temporary = os.path.join(self.folder, "next.tmp")
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
        file = os.open(temporary, flags, 0o600)
        try:
            write_all(file, _sum(rest) + b"\n" + rest)
            os.fsync(file)
        finally:
            os.close(file)
        os.rename(temporary, os.path.join(self.folder, f"{cursor.n:020d}{_SUFFIX}"))
        os.fsync(folder)
        for name in self._names()[:-_KEPT]:
            os.unlink(os.path.join(self.folder, name))

    @staticmethod
    def _load(path: str, code: str) -> tuple[Cursor, memoryview] | None:
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
            return (Cursor.load(values["cursor"]), whole[end + 1 :]) if values["code"] == code else None
        except (OSError, JournalError, ValueError, KeyError, TypeError):
            return None

    def _in_journal(self, cursor: Cursor) -> bool:
        """Whether the line that ends at the cursor is in the journal; it may not be after a power cut."""
        if not cursor.n:
            return cursor.h == GENESIS
        try:
            file = open_segment(self.directory, cursor.segment)
            try:
                return cursor.offset > END and link_of(os.pread(file, END, cursor.offset - END)) == cursor.h
            finally:
                os.close(file)
        except (OSError, JournalError):
            return False


def _sum(data: bytes | memoryview) -> bytes:
    """Against accidents only, as all of it: who may write the file may write any sum. SHA-256 takes 5 ms a MB."""
    return b"%08x" % crc32(data)
