"""The disks that power cuts leave, as the tests of the virtual machine make them: what is kept, lost, and torn."""

from __future__ import annotations

import random
import struct
from typing import TYPE_CHECKING

import pytest

from tests.vm.blocklog import BlockLog, Disk

if TYPE_CHECKING:
    from pathlib import Path

BLOCK, SECTOR = 4096, 512
FLUSH, FUA = 1, 2
Entry = tuple[int, int, bytes]  # the disk's block, flags, the byte that fills it


def log_of(path: Path, *entries: Entry) -> BlockLog:
    """A file as dm-log-writes has it."""
    with path.open("wb") as log:
        log.write(struct.pack("<QQQI", 0x6A736677736872, 1, len(entries), SECTOR).ljust(SECTOR, b"\0"))
        for block, flags, fill in entries:
            log.write(struct.pack("<QQQQ", block * 8, len(fill) * 8, flags, 0).ljust(SECTOR, b"\0"))
            log.write(fill * BLOCK)
    return BlockLog(path)


@pytest.fixture
def base(tmp_path: Path) -> Path:
    (tmp_path / "base").write_bytes(b"\0" * BLOCK * 4)
    return tmp_path / "base"


def blocks(log: BlockLog, base: Path, cut: int, chance: random.Random | None = None) -> list[set[int]]:
    """Which bytes each block has after a cut."""
    out = base.parent / "out"
    Disk(log, base).state(cut, chance, out)
    image = out.read_bytes()
    return [set(image[place : place + BLOCK]) for place in range(0, len(image), BLOCK)]


def test_with_nothing_lost_all_before_the_cut_is_there_and_nothing_after_it(base: Path) -> None:
    log = log_of(base.parent / "log", (1, 0, b"a"), (2, 0, b"b"), (3, 0, b"c"))
    assert blocks(log, base, 2) == [{0}, {ord("a")}, {ord("b")}, {0}]


def test_what_was_flushed_or_written_through_is_never_lost(base: Path) -> None:
    log = log_of(base.parent / "log", (1, 0, b"a"), (0, FLUSH, b""), (2, FUA, b"b"), (3, 0, b"c"))
    seen = [blocks(log, base, 4, random.Random(seed)) for seed in range(100)]
    assert all(found[1:3] == [{ord("a")}, {ord("b")}] for found in seen)
    assert {0} in [found[3] for found in seen]


def test_a_write_is_whole_or_lost_or_torn_between_sectors_and_the_superblocks_never_torn(base: Path) -> None:
    log = log_of(base.parent / "log", (0, 0, b"s"), (1, 0, b"a"))
    seen = [blocks(log, base, 2, random.Random(seed)) for seed in range(200)]
    assert {frozenset(found[1]) for found in seen} == {frozenset(b"\0"), frozenset(b"a"), frozenset(b"\0a")}
    assert {frozenset(found[0]) for found in seen} == {frozenset(b"\0"), frozenset(b"s")}
