"""A written history whose clock a test sets, and whose segments are small."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cli.bootstrap import machine_id
from effects.identity import boot_id
from eventstore.journal import Journal
from eventstore.reader import read_events
from eventstore.segments import segment_numbers
from machine import decide, decide_host
from machine.events import SCHEMA
from machine.world import World
from tests.histories import History, created, here
from tests.written import ALICE, Written

SECOND = 1_000_000_000
NOON = 1_750_000_000  # unix seconds, of 2025
SMALL = 16 << 10  # bytes of a segment: some 40 events
LARGE = 16 << 20


class Clock:
    """`now`, ns since the epoch, is what the journal takes for the time; `up` goes on by a second an append."""

    def __init__(self) -> None:
        self.now, self.up = NOON * SECOND, 0

    def __call__(self) -> tuple[int, int]:
        self.up += SECOND
        return self.now, self.up

    def at(self, seconds: int) -> None:
        """Seconds after NOON."""
        self.now = (NOON + seconds) * SECOND


class Timed(Written):
    """Begun at NOON; `clock` says when what comes next comes."""

    def __init__(self, base: Path, *, small: bool = False) -> None:
        self.root, self.run = str(base / "root"), str(base / "run")
        self.by, self.why = ALICE, "user"
        self.clock = Clock()
        size = SMALL if small else LARGE
        self.journal = Journal.open_or_create(self.directory, SCHEMA, clock=self.clock, segment_size=size)
        History.__init__(self)
        self.journal.refresh(self.world)
        self.decide(decide_host.note_boot, here(boot_id(), machine_id(), run=self.run))

    @classmethod
    def reopened(cls, past: Timed) -> Timed:
        """The journal as it is on disk now, opened anew."""
        again = cls.__new__(cls)
        again.__dict__.update(past.__dict__)
        again.journal = Journal.open(past.directory, SCHEMA, clock=past.clock)
        again.world = World()
        again.journal.refresh(again.world)
        return again

    def come_and_go(self, segments: int) -> None:
        """Containers that live a second each, until there are so many segments."""
        while len(segment_numbers(self.directory)) < segments:
            self.clock.now += SECOND
            passing = created("c2")
            passing.id = f"{self.events[-1].n:064x}"
            self.decide(decide.create, passing)
            self.settle(f"container/{passing.id}")
            self.removed("c2")

    @property
    def directory(self) -> str:
        return f"{self.root}/journal"

    def on_disk(self) -> list[Any]:
        """Every event of the journal, its own ones too."""
        return list(read_events(self.directory, SCHEMA))


def time(seconds: int) -> str:
    """Seconds after NOON, as people type it, to the nanosecond."""
    return f"{NOON + seconds}.0"
