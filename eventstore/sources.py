"""Bytes of a segment, wherever it lies: as it was written, or packed in the archive, of which only a part is unpacked.

A packed file is in zstd's seekable format (contrib/seekable_format/zstd_seekable_compression_format.md in
zstd's source): frames that stand alone, and at the end, in a frame that unpackers skip, a table of their sizes.
"""

from __future__ import annotations

import os
import struct
from bisect import bisect_right
from itertools import accumulate, pairwise

from eventstore.errors import Corrupt
from eventstore.segments import first_bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Self

# Bytes in a frame: unpacked in 0.4 ms; with 1 MiB all is 4 % smaller, with 64 KiB 11 % larger.
BLOCK = 256 << 10
LEVEL = 9  # an eighth of the size; 12 saves nothing more, 3 is a tenth larger
_SKIPPABLE = struct.Struct("<II")  # magic, bytes that follow
_ENTRY = struct.Struct("<II")  # bytes of a frame, packed and unpacked
_FOOTER = struct.Struct("<IBI")  # frames, flags (0: no check sums here, each frame has its own), magic
_SKIPPABLE_MAGIC, _FOOTER_MAGIC = 0x184D2A5E, 0x8F92EAB1


class Source:
    """An open segment as it was written; `file` is ours to close. For a `with` block."""

    def __init__(self, file: int) -> None:
        self._file = file
        self.size = os.fstat(file).st_size

    def read(self, length: int, offset: int) -> bytes:
        """As pread(2)."""
        return os.pread(self._file, length, offset)

    def head(self) -> bytes:
        """The first line, and perhaps more."""
        return first_bytes(self._file)

    def make_read_only(self) -> None:
        """Sealed is sealed: mode 0400."""
        os.fchmod(self._file, 0o400)

    def close(self) -> None:
        os.close(self._file)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()


class Packed(Source):
    """The same of a packed one, called `name`. `size` is that of what is in it. Raises Corrupt."""

    def __init__(self, file: int, name: str) -> None:
        super().__init__(file)
        self._name = name
        try:
            frames = list(self._table())
        except (struct.error, ValueError) as error:
            raise self._corrupt(error) from None
        self._starts = [0, *accumulate(packed for packed, _ in frames)]
        self._ends = list(accumulate(size for _, size in frames))
        self.size = self._ends[-1] if frames else 0
        self._last = (-1, b"")  # number of the frame that was unpacked last, and what was in it

    def read(self, length: int, offset: int) -> bytes:
        end, found = min(self.size, offset + length), []
        while offset < end:
            number = bisect_right(self._ends, offset)
            block = self._block(number)
            start = offset - (self._ends[number] - len(block))
            found.append(block[start : start + end - offset])
            offset += len(found[-1])
        return b"".join(found)

    def head(self) -> bytes:
        return self._block(0) if self.size else b""

    def _table(self) -> Iterator[tuple[int, int]]:
        count, flags, magic = _FOOTER.unpack(super().read(_FOOTER.size, max(0, self.size - _FOOTER.size)))
        length = count * _ENTRY.size + _FOOTER.size
        head = self.size - length - _SKIPPABLE.size
        if flags or magic != _FOOTER_MAGIC or head < 0:
            raise ValueError("no table at its end")
        table = super().read(length, head + _SKIPPABLE.size)
        frames = list(_ENTRY.iter_unpack(table[: -_FOOTER.size]))
        said = _SKIPPABLE.unpack(super().read(_SKIPPABLE.size, head))
        if said != (_SKIPPABLE_MAGIC, length) or sum(packed for packed, _ in frames) != head:
            raise ValueError("its table does not fit")
        if any(size > BLOCK or not size for _, size in frames):
            raise ValueError("its table has an impossible size")
        yield from frames

    def _block(self, number: int) -> bytes:
        if self._last[0] != number:
            from eventstore.zstd import decompress

            start, end = self._starts[number : number + 2]
            size = self._ends[number] - (self._ends[number - 1] if number else 0)
            try:
                self._last = number, decompress(super().read(end - start, start), size)
            except ValueError as error:
                raise self._corrupt(error) from None
        return self._last[1]

    def _corrupt(self, why: object) -> Corrupt:
        return Corrupt(self._name, 1, f"cannot be unpacked: {why}")


def pack(data: bytes) -> bytes:
    """The packed form of `data`."""
    from eventstore.zstd import compress

    first = data.find(b"\n") + 1  # alone, since of most segments only the header is read
    edges = [0, *range(first, len(data), BLOCK), len(data)]
    blocks = [data[start:end] for start, end in pairwise(edges) if start < end]
    frames = [compress(block, LEVEL) for block in blocks]
    table = b"".join(_ENTRY.pack(len(f), len(b)) for f, b in zip(frames, blocks, strict=True))
    table += _FOOTER.pack(len(frames), 0, _FOOTER_MAGIC)
    return b"".join([*frames, _SKIPPABLE.pack(_SKIPPABLE_MAGIC, len(table)), table])
