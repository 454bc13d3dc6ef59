"""Old segments as compressed files: out of the way, still read by everyone, and their digests are in the chain."""

from __future__ import annotations

import os
from itertools import pairwise

from eventstore.codec import fast_sha256
from eventstore.errors import Corrupt, NotReadable, WriteFailed
from eventstore.rotation import sync_directory
from eventstore.segments import SUFFIX, header_of, name_of, open_segment, segment_numbers, write_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from eventstore.schema import Schema

FOLDER = "archive"
_PACKED = ".gz"
_LEVEL = 6  # a third of the size; 9 saves 1 % more for twice the time


def archived_numbers(directory: str) -> list[int]:
    """Numbers of the first lines of the archived segments that are still here, ascending."""
    try:
        names = os.listdir(os.path.join(directory, FOLDER))
    except FileNotFoundError:
        return []
    ending = SUFFIX + _PACKED
    return sorted(int(name[: -len(ending)]) for name in names if name.endswith(ending))


def all_numbers(directory: str) -> list[int]:
    """Numbers of the first lines of all segments, archived or not, ascending."""
    return sorted({*archived_numbers(directory), *segment_numbers(directory)})


def open_any(directory: str, first: int) -> int:
    """A descriptor of a segment, archived or not. FileNotFoundError."""
    try:
        return open_segment(directory, first)
    except FileNotFoundError:
        return open_archived(directory, first)


def open_archived(directory: str, first: int) -> int:
    """A descriptor of the unpacked segment, in memory. FileNotFoundError if it is not in the archive."""
    import gzip
    import zlib

    path = _path(directory, first)
    try:
        with gzip.open(path, "rb") as packed:
            data = packed.read()
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise Corrupt(
            os.path.join(FOLDER, os.path.basename(path)), 1, f"cannot be unpacked: {error}"
        ) from None
    except PermissionError as error:
        raise NotReadable(path, error.errno or 0) from None
    file = os.memfd_create(name_of(first), os.MFD_CLOEXEC)
    write_all(file, data)
    os.fchmod(file, 0o400)
    return file


def archive(
    directory: str,
    schema: Schema,
    before: int,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> list[int]:
    """Pack all sealed segments whose lines are all before number `before`; returns their first numbers.

    A segment leaves only when its packed form was synced, read back, and found to have the digest that
    the next segment's header names. Killed at any moment, at least one of the two is there.
    """
    numbers = segment_numbers(directory)
    leaving = [first for first, following in pairwise(numbers) if following <= before]
    os.makedirs(os.path.join(directory, FOLDER), 0o700, exist_ok=True)
    for done, first in enumerate(leaving):
        progress(done, len(leaving))
        try:
            _pack(directory, first, numbers[done + 1], schema)
        except OSError as error:
            raise WriteFailed(error.errno or 0, f"archive of {name_of(first)}") from None
    progress(len(leaving), len(leaving))
    return leaving


def _path(directory: str, first: int) -> str:
    return os.path.join(directory, FOLDER, name_of(first) + _PACKED)


def _pack(directory: str, first: int, following: int, schema: Schema) -> None:
    import gzip

    file = open_segment(directory, following)
    try:
        digest = header_of(file, following, schema).prev.get("sha256")
    finally:
        os.close(file)
    file = open_segment(directory, first)
    try:
        data = os.pread(file, os.fstat(file).st_size, 0)
    finally:
        os.close(file)
    if fast_sha256()(data).hexdigest() != digest:
        raise Corrupt(name_of(first), 1, "the digest in the next segment is another: it stays where it is")
    _write(_path(directory, first), gzip.compress(data, _LEVEL, mtime=0))
    file = open_archived(directory, first)
    try:
        if fast_sha256()(os.pread(file, len(data) + 1, 0)).hexdigest() != digest:
            raise Corrupt(name_of(first), 1, "its packed form came back changed: it stays where it is")
    finally:
        os.close(file)
    os.unlink(os.path.join(directory, name_of(first)))
    sync_directory(directory)


def _write(path: str, data: bytes) -> None:
    temporary = os.path.join(os.path.dirname(path), "next.tmp")
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
    file = os.open(temporary, flags, 0o600)
    try:
        write_all(file, data)
        os.fchmod(file, 0o400)
        os.fsync(file)
    finally:
        os.close(file)
    os.rename(temporary, path)
    sync_directory(os.path.dirname(path))
    sync_directory(os.path.dirname(os.path.dirname(path)))
