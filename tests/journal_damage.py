"""A small journal of three segments, and the ways to damage it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from unittest.mock import patch

from eventstore import rotation
from eventstore.event import Actor
from eventstore.journal import Journal
from tests.journal_events import BY, SCHEMA, Noted, World
from tests.journal_faults import FaultyOs
from tests.journal_home import forget_recovery

if TYPE_CHECKING:
    from collections.abc import Callable

SEGMENT = 1500  # bytes: a header and four events
TEXTS = "abcdefghijk"
CLOCK = (1_760_000_000_123_456_789, 86_400_000_000_000)


class Place:
    """Directories of one journal, and of copies of it that a test may damage. Its size is the same each time."""

    def __init__(
        self, root: Path, texts: str = TEXTS, segment_size: int = SEGMENT, identity: bytes = bytes(16)
    ) -> None:
        self.root = root
        self.journal = root / "journal"
        self.segment_size = segment_size
        world = World()
        fixed = FaultyOs(urandom=lambda _size: identity)
        actor = Actor({"uid": 0, "pid": 4242}, identity.hex())
        with patch.object(rotation, "os", fixed):
            journal = Journal.create(
                str(self.journal),
                SCHEMA,
                segment_size=segment_size,
                clock=lambda: CLOCK,
                actor=actor,
            )
            for text in texts:
                with journal.transaction(world, by=BY, why="user", op=text) as tx:
                    tx.append("thing/1", Noted(text=text))
            journal.close()

    def segments(self) -> list[Path]:
        return sorted(self.journal.glob("*.jsonl"))

    def reboot(self) -> None:
        forget_recovery(str(self.journal))

    def open(self, *, read_only: bool = False) -> tuple[Journal, World]:
        world = World()
        size = self.segment_size
        journal = Journal.open(str(self.journal), SCHEMA, read_only=read_only, segment_size=size)
        journal.refresh(world)
        return journal, world

    def copy(self, to: Path) -> Place:
        shutil.rmtree(to, ignore_errors=True)
        shutil.copytree(self.root, to)
        other = Place.__new__(Place)
        other.root, other.journal, other.segment_size = to, to / "journal", self.segment_size
        other.reboot()
        return other


def lines_of(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines(keepends=True)


def overwrite(path: Path, data: bytes) -> None:
    mode = os.stat(path).st_mode
    path.chmod(0o600)
    path.write_bytes(data)
    path.chmod(mode)


def flip(path: Path, byte: int, bit: int = 0) -> None:
    data = bytearray(path.read_bytes())
    data[byte] ^= 1 << bit
    overwrite(path, bytes(data))


class Damage(NamedTuple):
    """`name` is the row of the table in docs/journal.md."""

    name: str
    do: Callable[[Place], None]


def _append(data: bytes) -> Callable[[Place], None]:
    return lambda place: overwrite(place.segments()[-1], place.segments()[-1].read_bytes() + data)


def _lines(segment: int, change: Callable[[list[bytes]], list[bytes]]) -> Callable[[Place], None]:
    def do(place: Place) -> None:
        path = place.segments()[segment]
        overwrite(path, b"".join(change(lines_of(path))))

    return do


def _cut(segment: int, count: int) -> Callable[[Place], None]:
    return lambda place: overwrite(place.segments()[segment], place.segments()[segment].read_bytes()[:-count])


def _flip(segment: int, line: int) -> Callable[[Place], None]:
    def do(place: Place) -> None:
        path = place.segments()[segment]
        lines = lines_of(path)
        flip(path, sum(map(len, lines[:line])) + len(lines[line]) // 2)

    return do


def _foreign(place: Place) -> None:
    other = Place(place.root / "other", identity=bytes(15) + b"\1")
    overwrite(place.segments()[1], other.segments()[1].read_bytes())
    shutil.rmtree(place.root / "other")


DAMAGES = (
    Damage("half a line at the end", _append(b'{"t":"test.noted","n":15,"ts":17600')),
    Damage("4 KiB of zeros at the end", _append(bytes(4096))),
    Damage("garbage with newlines at the end", _append(b"\x93\x01\n\xff garbage \n{}\n" * 20)),
    Damage("the last newline missing", _cut(-1, 1)),
    Damage("the last line cut in half", _cut(-1, 100)),
    Damage("the last line missing", _lines(-1, lambda lines: lines[:-1])),
    Damage("a bit flipped in the last line", _flip(-1, -1)),
    Damage("a bit flipped in another line of the last segment", _flip(-1, 1)),
    Damage("a bit flipped in the last segment's header", _flip(-1, 0)),
    Damage("a bit flipped in a sealed segment", _flip(1, 2)),
    Damage("a bit flipped in the first header", _flip(0, 0)),
    Damage("a line deleted from the last segment", _lines(-1, lambda lines: [lines[0], *lines[2:]])),
    Damage("a line deleted from a sealed segment", _lines(1, lambda lines: [*lines[:2], *lines[3:]])),
    Damage("a line twice in the last segment", _lines(-1, lambda lines: [*lines[:2], *lines[1:]])),
    Damage("a line twice in a sealed segment", _lines(0, lambda lines: [*lines[:2], *lines[1:]])),
    Damage(
        "two lines of the last segment swapped",
        _lines(-1, lambda lines: [lines[0], lines[2], lines[1], *lines[3:]]),
    ),
    Damage(
        "two lines of a sealed segment swapped",
        _lines(1, lambda lines: [*lines[:2], lines[3], lines[2], *lines[4:]]),
    ),
    Damage("a sealed segment cut short", _cut(1, 150)),
    Damage("a sealed segment with more at its end", _lines(1, lambda lines: [*lines, lines[-1]])),
    Damage("the first segment missing", lambda place: place.segments()[0].unlink()),
    Damage("a segment in the middle missing", lambda place: place.segments()[1].unlink()),
    Damage("the last segment missing", lambda place: place.segments()[-1].unlink()),
    Damage("a segment of another journal in its place", _foreign),
)
