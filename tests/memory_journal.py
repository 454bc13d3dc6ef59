"""A journal in memory: the transactions of `eventstore.journal`, on lines that outlive the process.

Lines are encoded and chained as on disk, and read back through the decoder, so that what a new process
folds is what was really written. tests/contract/test_journals.py holds both to the same promises.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Self

from eventstore.codec import GENESIS, close, decode, encode, link_of
from eventstore.errors import AheadOfJournal, WriteFailed

if TYPE_CHECKING:
    from collections.abc import Callable

    from eventstore.event import Event
    from eventstore.journal import Projection
    from eventstore.schema import Schema


class Lines:
    """What lies on the disk: the lines, and of each append how many they were and whether it was synced.

    `full`: only what may use the reserve can be appended.
    """

    def __init__(self) -> None:
        self.full = False
        self.lines: list[bytes] = []
        self.appends: list[tuple[int, bool]] = []

    def power_cut(self) -> None:
        """What was appended since the last sync is gone: a sync covers all that was written before it."""
        while self.appends and not self.appends[-1][1]:
            count, _ = self.appends.pop()
            del self.lines[-count:]

    def events(self, schema: Schema) -> list[Event]:
        """All that was ever appended."""
        return [decode(line, schema) for line in self.lines]


class Clock:
    """(wall clock, CLOCK_BOOTTIME) in ns; a millisecond passes between two looks."""

    def __init__(self) -> None:
        self.now = 0

    def __call__(self) -> tuple[int, int]:
        self.now += 1_000_000
        return 1_790_000_000_000_000_000 + self.now, self.now


class MemoryJournal:
    """One process's view of `disk`. `before_write` is called before each append and may raise."""

    def __init__(
        self, schema: Schema, disk: Lines, clock: Clock, *, before_write: Callable[[], None] = lambda: None
    ) -> None:
        self.schema = schema
        self.disk = disk
        self.clock = clock
        self.before_write = before_write
        self.root_id = "0badcafe"
        self.at = 0
        self.ahead = False

    def refresh(self, projection: Projection) -> int:
        """Apply what others have appended since; how many events it was."""
        if self.ahead:
            raise AheadOfJournal
        fresh = self.disk.lines[self.at :]
        for line in fresh:
            projection.apply(decode(line, self.schema))
        self.at += len(fresh)
        return len(fresh)

    def transaction(
        self, projection: Projection, *, by: dict[str, int | str], why: str, op: str
    ) -> MemoryTransaction:
        """As `Journal.transaction`."""
        return MemoryTransaction(self, projection, by, why, op)


class MemoryTransaction:
    """Appends all of its events, or none."""

    def __init__(
        self, journal: MemoryJournal, projection: Projection, by: dict[str, int | str], why: str, op: str
    ) -> None:
        self.journal, self.projection = journal, projection
        self.by, self.why, self.op = by, why, op
        self._bodies: list[bytes] = []
        self._sync = False

    def __enter__(self) -> Self:
        self.journal.refresh(self.projection)
        return self

    def append(self, stream: str, event: Event, *, sync: bool = True, reserve: bool = False) -> Event:
        """Stamp, apply, and keep for the end of the block."""
        if "n" in event.__dict__:
            raise ValueError(f"{event!r} is in a journal already")
        if self.journal.disk.full and not reserve:
            raise WriteFailed(errno.ENOSPC, "append")
        event.n = self.journal.at + len(self._bodies) + 1
        event.ts, event.up = self.journal.clock()
        event.s, event.v = stream, self.projection.version(stream) + 1
        event.op, event.by, event.why = self.op, self.by, self.why
        self._bodies.append(encode(event))
        self._sync = self._sync or sync
        self.journal.ahead = True
        self.projection.apply(event)
        return event

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        journal, disk = self.journal, self.journal.disk
        if kind is not None or not self._bodies:
            return
        journal.before_write()
        for left, body in zip(range(len(self._bodies) - 1, -1, -1), self._bodies, strict=True):
            previous = link_of(disk.lines[-1]) if disk.lines else GENESIS
            disk.lines.append(close(body, previous, durable=0, more=left)[0])
        disk.appends.append((len(self._bodies), self._sync))
        journal.at = len(disk.lines)
        journal.ahead = False
