"""One member after the other into a tar stream: headers, file data, holes."""

from __future__ import annotations

import errno
import os

from effects import tarblock
from effects.tarblock import Member
from effects.tarformat import BLOCK
from effects.tarplace import NO_XATTR, is_kept_xattr
from effects.tarsparse import MAX_SEGMENTS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_PIECE = 1 << 20
_IOV_MAX = 1024  # pieces that one writev(2) takes
_HOLES = 1 << 20  # a file that saves less is written whole: the same bytes wherever it lies


class Writer:
    """Collects small pieces into large writes; counts. `progress` is told the bytes written so far."""

    def __init__(self, out_fd: int, progress: Callable[[int], object] | None) -> None:
        self._fd = out_fd
        self._progress = progress
        self._pieces: list[bytes] = []
        self._flushed = 0
        self.written = 0

    def put(self, data: bytes) -> None:
        self._pieces.append(data)
        self.written += len(data)
        if self.written - self._flushed >= _PIECE or len(self._pieces) == _IOV_MAX:
            self.flush()

    def flush(self) -> None:
        done = os.writev(self._fd, self._pieces) if self._pieces else 0
        if done < self.written - self._flushed:
            rest = memoryview(b"".join(self._pieces))[done:]
            while rest:
                rest = rest[os.write(self._fd, rest) :]
        self._pieces.clear()
        self._flushed = self.written
        if self._progress is not None:
            self._progress(self.written)

    def copy(self, source: int, offset: int, length: int) -> None:
        """`length` bytes of the file `source`; zeros where it has become shorter since it was measured."""
        while length:
            piece = os.pread(source, min(length, _PIECE), offset)
            if not piece:
                break
            self.put(piece)
            offset += len(piece)
            length -= len(piece)
        while length:
            zeros = bytes(min(length, _PIECE))
            self.put(zeros)
            length -= len(zeros)

    def file(self, descriptor: int, entry: Member, *, occupied: int) -> None:
        """A regular file of `entry.size` bytes: its headers, attributes and data.

        Its holes are left out, if it occupies so many bytes less on disk that there must be some.
        """
        records = attributes(descriptor)
        # Also true of a compressing file system's files, which have no holes: hence the second look.
        parts = _parts(descriptor, entry.size) if occupied + _HOLES <= entry.size else None
        if parts is None:
            self.put(tarblock.member(entry, records))
            self.copy(descriptor, 0, entry.size)
            self.put(tarblock.padding(entry.size))
            return
        table = _table(parts)
        records += [
            (b"GNU.sparse.major", b"1"),
            (b"GNU.sparse.minor", b"0"),
            (b"GNU.sparse.name", entry.name),
            (b"GNU.sparse.realsize", b"%d" % entry.size),
        ]
        size = len(table) + sum(length for _, length in parts)
        place, _, base = entry.name.rpartition(b"/")
        # The name under which a program that knows nothing of sparse files leaves the parts.
        name = b"/".join(part for part in (place, b"GNUSparseFile.0", base) if part)
        self.put(tarblock.member(entry.renamed(name, size), records))
        self.put(table)
        for offset, length in parts:
            self.copy(descriptor, offset, length)
        self.put(tarblock.padding(size))


def attributes(descriptor: int) -> list[tuple[bytes, bytes]]:
    """The extended attributes that travel, as pax records, sorted."""
    try:
        names = os.listxattr(descriptor)
    except OSError as error:
        if error.errno not in NO_XATTR:
            raise
        return []
    found: list[tuple[bytes, bytes]] = []
    for name in sorted(filter(is_kept_xattr, names)):
        try:
            # A keyword ends at the first "=": GNU tar writes it like this, and reads it back.
            key = os.fsencode(name).replace(b"%", b"%25").replace(b"=", b"%3D")
            found.append((b"SCHILY.xattr." + key, os.getxattr(descriptor, name)))
        except OSError as error:
            if error.errno != errno.ENODATA:  # removed since the listing
                raise
    return found


def _parts(descriptor: int, size: int) -> list[tuple[int, int]] | None:
    """(offset, length) of what is no hole; None if the file is to be written whole."""
    parts: list[tuple[int, int]] = []
    at = 0
    while at < size and len(parts) < MAX_SEGMENTS:
        try:
            start = os.lseek(descriptor, at, os.SEEK_DATA)
        except OSError as error:
            if error.errno != errno.ENXIO:  # no data from here to the end
                raise
            break
        at = min(os.lseek(descriptor, start, os.SEEK_HOLE), size)
        if start < size:
            parts.append((start, at - start))
    if sum(length for _, length in parts) + _HOLES > size or len(parts) == MAX_SEGMENTS:
        return None
    if not parts or sum(parts[-1]) < size:
        parts.append((size, 0))  # GNU tar learns the file's end from the map alone
    return parts


def _table(parts: list[tuple[int, int]]) -> bytes:
    """The map of GNU's sparse format 1.0, in whole blocks."""
    numbers = [len(parts)] + [number for part in parts for number in part]
    text = b"".join(b"%d\n" % number for number in numbers)
    return text + bytes(-len(text) % BLOCK)
