"""What a disk was told, write by write, and the states in which a power cut may have left it.

The format is that of dm-log-writes (the kernel's Documentation/admin-guide/device-mapper/log-writes.rst, and
drivers/md/dm-log-writes.c for the structures), as qemu's blklogwrites writes it.
"""

from __future__ import annotations

import random
import struct
from dataclasses import dataclass
from pathlib import Path

_MAGIC = 0x6A736677736872
_SECTOR = 512
_FLUSH, _FUA, _DISCARD = 1, 2, 4
# ext4's superblock is two sectors under one checksum, and a mount refuses half a one (fs/ext4/super.c): a risk of the file
# system's own, which is not what is judged here. It lies in the first block.
_FIRST_BLOCK = 4096


@dataclass(frozen=True)
class Write:
    """One entry. `start`: byte in the disk, `data`: byte in the log, `end`: where the log's entry ends."""

    start: int
    length: int
    data: int
    end: int
    flush: bool
    through: bool  # on disk when it was acknowledged (FUA)


class BlockLog:
    """All entries of a log, in order."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.entries: list[Write] = []
        with path.open("rb") as log:
            magic, _version, count, size = struct.unpack("<QQQI", log.read(28))
            assert (magic, size) == (_MAGIC, _SECTOR), "not a log of writes"
            place = size
            for _ in range(count):
                log.seek(place)
                sector, sectors, flags, _data = struct.unpack("<QQQQ", log.read(32))
                length = 0 if flags & _DISCARD else sectors * size
                end = place + size + length
                self.entries.append(
                    Write(sector * size, length, place + size, end, bool(flags & _FLUSH), bool(flags & _FUA))
                )
                place = end

    def flushes(self) -> list[int]:
        """Indices of the entries that flush."""
        return [index for index, entry in enumerate(self.entries) if entry.flush]


class Disk:
    """A disk's image that follows a log: everything up to some flush is on it, and the rest may be chosen."""

    def __init__(self, log: BlockLog, base: Path) -> None:
        self._log, self._base = log, base
        self._done = 0

    def state(self, cut: int, chance: random.Random | None, out: Path) -> None:
        """The image after a cut before entry `cut`, in `out`. States must be asked for in order of their cuts.

        Of what was not flushed by then `chance` drops half, or parts (a volatile cache keeps no order, and only a
        sector is written whole, but for the first block); None drops nothing.
        """
        durable = max((index for index in self._log.flushes() if index < cut), default=0)
        with self._log.path.open("rb") as log, self._base.open("r+b") as base:
            for entry in self._log.entries[self._done : durable]:
                _apply(log, base, entry, None)
            self._done = max(self._done, durable)
            base.flush()
            _copy_sparse(self._base, out)
            with out.open("r+b") as image:
                for entry in self._log.entries[durable:cut]:
                    _apply(log, image, entry, None if entry.through else chance)


def _apply(log: object, image: object, entry: Write, chance: random.Random | None) -> None:
    fate = chance.random() if chance else 0.0
    if not entry.length or fate > 0.5:
        return
    log.seek(entry.data)  # type: ignore[attr-defined] # binary files both
    data = log.read(entry.length)  # type: ignore[attr-defined]
    torn = fate > 0.4 and entry.start >= _FIRST_BLOCK
    for offset in range(0, entry.length, _SECTOR) if torn else [0]:
        if chance and torn and chance.random() < 0.5:
            continue
        image.seek(entry.start + offset)  # type: ignore[attr-defined]
        image.write(data[offset : offset + _SECTOR] if torn else data)  # type: ignore[attr-defined]


def _copy_sparse(source: Path, target: Path) -> None:
    import os

    with source.open("rb") as reader, target.open("wb") as writer:
        size = os.fstat(reader.fileno()).st_size
        writer.truncate(size)
        place = 0
        while place < size:
            try:
                place = os.lseek(reader.fileno(), place, os.SEEK_DATA)
            except OSError:  # ENXIO: nothing but holes from here
                return
            hole = os.lseek(reader.fileno(), place, os.SEEK_HOLE)
            reader.seek(place)
            writer.seek(place)
            writer.write(reader.read(hole - place))
            place = hole
