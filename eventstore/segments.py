"""The files of a journal: their names, their first line, and what may be written to them."""

from __future__ import annotations

import errno
import os

from eventstore.codec import decode
from eventstore.errors import (
    Corrupt,
    Malformed,
    NewerSchema,
    NotReadable,
    UnknownFormat,
)
from eventstore.schema import SegmentHeader

TYPE_CHECKING = False
if TYPE_CHECKING:
    from eventstore.schema import Schema


FORMAT = 1
SEGMENT_SIZE = 16 << 20  # bytes; a little more where the last write goes over it
LINE_LIMIT = 64 << 10  # bytes of one line
LOCK = "lock"
SUFFIX = ".jsonl"
_DIGITS = 20


def name_of(first: int) -> str:
    """File name of the segment whose first line has number `first`."""
    return f"{first:0{_DIGITS}d}{SUFFIX}"


def segment_numbers(directory: str) -> list[int]:
    """Numbers of the first lines of all segments, ascending. JournalMissing if there is no directory, NoDirectory, NotReadable."""
    try:
        names = os.listdir(directory)
    except OSError as error:
        from eventstore.obstacle import unopened

        raise unopened(directory, error) from None
    found = [name[: -len(SUFFIX)] for name in names if name.endswith(SUFFIX)]
    return sorted(int(number) for number in found if len(number) == _DIGITS and number.isdigit())


def open_segment(directory: str, first: int, flags: int = os.O_RDONLY) -> int:
    """A descriptor; FileNotFoundError if there is no such segment."""
    path = os.path.join(directory, name_of(first))
    try:
        return os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW)
    except PermissionError as error:
        raise NotReadable(path, error.errno or 0) from None


def write_all(file: int, data: bytes) -> None:
    """All of `data` or OSError. One write(2), unless a disk is full or the caller has a `ulimit -f`."""
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(file, view) :]
        except OSError as error:
            if error.errno != errno.EFBIG:
                raise
            from eventstore.limits import Lifted

            with Lifted():
                view = view[os.write(file, view) :]


def sync_directory(directory: str) -> None:
    """Its entries are on disk on return (fsync(2))."""
    file = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def header_of(file: int, first: int, schema: Schema) -> SegmentHeader:
    """The first line of an open segment, checked but for its link."""
    try:
        head = first_bytes(file)
    except IsADirectoryError:
        raise Corrupt(name_of(first), 1, "is a directory") from None
    return header_in(head, first, schema)


def first_bytes(file: int) -> bytes:
    """Of an open segment: its first line, and perhaps more."""
    head = os.pread(file, 4096, 0)
    return head if b"\n" in head else os.pread(file, LINE_LIMIT, 0)


def header_in(head: bytes, first: int, schema: Schema) -> SegmentHeader:
    """The same, of a segment that begins with `head`."""
    line, newline, _ = head.partition(b"\n")
    try:
        header = decode(line, schema)
    except (Malformed, NewerSchema) as error:
        raise Corrupt(name_of(first), 1, str(error)) from None
    if not newline or not isinstance(header, SegmentHeader):
        raise Corrupt(name_of(first), 1, "not a segment's header")
    if header.n != first:
        raise Corrupt(name_of(first), 1, f"has number {header.n}")
    if header.fmt > FORMAT or header.incompat:
        raise UnknownFormat(f"format {header.fmt}, {header.incompat}")
    if header.schema > schema.number:
        raise NewerSchema(f"schema {header.schema}", schema.number)
    return header
