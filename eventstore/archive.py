"""Old segments as compressed files: out of the way, still read by everyone, and their digests are in the chain."""

from __future__ import annotations

import fcntl
import os
from itertools import pairwise

from eventstore.codec import END, fast_sha256, link_of
from eventstore.cursor import Cursor
from eventstore.errors import ArchiveBusy, Corrupt, Malformed, NotReadable, WriteFailed
from eventstore.index import Index
from eventstore.obstacle import make_directory
from eventstore.schema import Archived
from eventstore.segments import (
    SUFFIX,
    header_in,
    name_of,
    open_segment,
    segment_numbers,
    sync_directory,
    write_all,
)
from eventstore.sources import Packed, Source, pack

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from eventstore.schema import Schema, SegmentHeader

FOLDER = "archive"
PACKED = ".zst"


def archived_numbers(directory: str) -> list[int]:
    """Numbers of the first lines of the archived segments that are still here, ascending. NoDirectory, NotReadable."""
    folder = os.path.join(directory, FOLDER)
    try:
        names = os.listdir(folder)
    except OSError as error:
        if isinstance(error, FileNotFoundError) and not os.path.islink(folder):
            return []
        from eventstore.obstacle import unopened

        raise unopened(folder, error) from None
    ending = SUFFIX + PACKED
    return sorted(int(name[: -len(ending)]) for name in names if name.endswith(ending))


def all_numbers(directory: str) -> list[int]:
    """Numbers of the first lines of all segments, archived or not, ascending."""
    return sorted({*segment_numbers(directory), *archived_numbers(directory)})


def path_of(directory: str, first: int) -> str:
    """Where the archived segment lies, if it is archived."""
    return os.path.join(directory, FOLDER, name_of(first) + PACKED)


# --- reading -------------------------------------------------------------------------------------------


def open_source(directory: str, first: int) -> Source:
    """A segment, archived or not, of which parts are read. FileNotFoundError, NotReadable, Corrupt."""
    try:
        return Source(open_segment(directory, first))
    except FileNotFoundError:
        return _open_packed(directory, first)


def open_any(directory: str, first: int) -> int:
    """A descriptor of a segment, archived or not, to be read from end to end. FileNotFoundError."""
    try:
        return open_segment(directory, first)
    except FileNotFoundError:
        return open_archived(directory, first)


def open_archived(directory: str, first: int) -> int:
    """A descriptor of the unpacked segment, in memory. FileNotFoundError if it is not in the archive."""
    with _open_packed(directory, first) as packed:
        data = packed.read(packed.size, 0)
    file = os.memfd_create(name_of(first), os.MFD_CLOEXEC)
    write_all(file, data)
    os.fchmod(file, 0o400)
    return file


def head_of(directory: str, first: int, schema: Schema) -> SegmentHeader:
    """The header of a segment, archived or not. FileNotFoundError, Corrupt."""
    with open_source(directory, first) as source:
        return header_in(source.head(), first, schema)


def cursor_behind(directory: str, first: int, following: int) -> Cursor:
    """At the end of the segment `first`, where `following` begins. Corrupt."""
    with open_source(directory, first) as source:
        try:
            h = link_of(source.read(END, max(0, source.size - END)))
        except Malformed as error:
            raise Corrupt(name_of(first), 1, f"its last line {error}") from None
    return Cursor(following, 0, following - 1, h)


def _open_packed(directory: str, first: int) -> Packed:
    path = path_of(directory, first)
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except PermissionError as error:
        raise NotReadable(path, error.errno or 0) from None
    try:
        return Packed(file, os.path.join(FOLDER, os.path.basename(path)))
    except BaseException:
        os.close(file)
        raise


def digests(directory: str, schema: Schema, before: int) -> dict[str, str]:
    """Name -> SHA-256 (hex) of the segments, archived or not, whose lines are all before number `before`."""
    pairs = [pair for pair in pairwise(all_numbers(directory)) if pair[1] <= before]
    return {
        name_of(first): str(head_of(directory, following, schema).prev.get("sha256"))
        for first, following in pairs
    }


# --- packing -------------------------------------------------------------------------------------------


def leaving(directory: str, before: int) -> list[tuple[int, int]]:
    """Sealed segments whose lines are all before number `before`: their first numbers, and the next one's."""
    return [pair for pair in pairwise(segment_numbers(directory)) if pair[1] <= before]


def archive(
    directory: str,
    schema: Schema,
    before: int,
    note: Callable[[Archived], object] = lambda _event: None,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> list[Archived]:
    """Pack all sealed segments whose lines are all before number `before`; what was packed.

    A segment leaves only when its packed form was synced, read back, and found to have the digest that
    the next segment's header names, and `note` has put the event that says so into the journal. Killed
    at any moment, at least one of the two files is there. ArchiveBusy, Corrupt, WriteFailed.
    """
    folder = os.path.join(directory, FOLDER)
    packed = []
    make_directory(folder)
    lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ArchiveBusy(folder) from None
        found = leaving(directory, before)
        for done, (first, following) in enumerate(found):
            progress(done, len(found))
            packed.append(_archive_one(directory, first, following, schema, note))
        progress(len(found), len(found))
    finally:
        os.close(lock)
    return packed


def _archive_one(
    directory: str, first: int, following: int, schema: Schema, note: Callable[[Archived], object]
) -> Archived:
    try:
        event = _pack(directory, first, following, schema)
        note(event)
        os.unlink(os.path.join(directory, name_of(first)))
        sync_directory(directory)
    except OSError as error:
        raise WriteFailed(error.errno or 0, f"archive of {name_of(first)}") from None
    return event


def _pack(directory: str, first: int, following: int, schema: Schema) -> Archived:
    with open_source(directory, first) as source:
        data = source.read(source.size, 0)
    digest = str(head_of(directory, following, schema).prev.get("sha256"))
    if fast_sha256()(data).hexdigest() != digest:
        raise Corrupt(name_of(first), 1, "the digest in the next segment is another: it stays where it is")
    packed = pack(data)
    _write(path_of(directory, first), packed)
    with _open_packed(directory, first) as again:
        if fast_sha256()(again.read(again.size, 0)).hexdigest() != digest:
            raise Corrupt(name_of(first), 1, "its packed form came back changed: it stays where it is")
        index = Index(directory, first, digest, schema)
        if not os.path.exists(index.path):  # from now on the whole of the segment costs more to read
            index.make(again)
    return Archived(
        segment=name_of(first),
        size=len(data),
        sha256=digest,
        packed=len(packed),
        packed_sha256=fast_sha256()(packed).hexdigest(),
    )


def _write(path: str, data: bytes) -> None:
    temporary = os.path.join(os.path.dirname(path), "next.tmp")
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
    file = os.open(temporary, flags, 0o600)
    try:
        write_all(file, data)
        os.fchmod(file, 0o400)
        os.fsync(file)
    except OSError:
        os.unlink(temporary)  # half of it would only fill a full disk
        raise
    finally:
        os.close(file)
    os.rename(temporary, path)
    sync_directory(os.path.dirname(path))
    sync_directory(os.path.dirname(os.path.dirname(path)))
