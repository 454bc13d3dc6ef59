"""Time travel: the moments that people name, and the world as the journal tells it of such a moment.

A moment is an event's number, a time in any of docker's forms, or `now`. The world of a time is the one
behind the last event before the first that is later (`eventstore.times`): order is the journal's, never the
clock's. A time without a fraction means the end of that second.
"""

from __future__ import annotations

import gc
import time
from contextlib import contextmanager, suppress

from eventstore.cursor import Cursor
from eventstore.errors import Corrupt, JournalMissing
from eventstore.snapshots import Snapshots
from machine import moments
from machine.errors import InvalidValue, MachineError
from machine.events import SCHEMA
from machine.quantities import is_digits
from machine.world import World

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from eventstore.times import Times

NOW = "now"
SECOND = 1_000_000_000  # ns
OLDEST_UNIX = 1_000_000_000  # a bare number below is an event's, from here on unix seconds (2001)


class NoSuchMoment(MachineError):
    """The journal does not reach there. `exit_code` 2 as for any value that cannot be meant."""

    exit_code = 2

    def __init__(self, text: str, why: str) -> None:
        self.text = text
        super().__init__(f"no such moment {text!r}: {why}")


class Moment:
    """What somebody typed: event number `n`, or a time `ts` (ns since the epoch), or neither: now."""

    __slots__ = ("n", "text", "ts")

    def __init__(self, text: str, *, n: int | None = None, ts: int | None = None) -> None:
        self.text, self.n, self.ts = text, n, ts


def moment(text: str, what: str = "moment") -> Moment:
    """What the text means. InvalidValue."""
    if text == NOW:
        return Moment(text)
    if is_digits(text) and int(text) < OLDEST_UNIX:
        return Moment(text, n=int(text))
    try:
        ts = moments.timestamp(text, time.time_ns(), what)
    except InvalidValue as error:
        raise InvalidValue(
            what, text, error.why.replace("expected ", "expected an event's number, now, ")
        ) from None
    # As it is printed: a second is over when its last event is.
    return Moment(text, ts=ts if ts % SECOND else ts + SECOND - 1)


def time_of(text: str, what: str = "time") -> int:
    """Nanoseconds since the epoch, of a time in any of docker's forms. InvalidValue."""
    return time.time_ns() if text == NOW else moments.timestamp(text, time.time_ns(), what)


@contextmanager
def clock(root: str) -> Iterator[Times]:
    """What times mean in the journal of `root`; how far the search is, is shown. JournalMissing."""
    from cli.progress import Progress
    from eventstore.times import Times

    with Progress("looking through the journal", 0, "segments") as progress:
        yield Times(f"{root}/journal", SCHEMA, progress.of)


class Traveller:
    """Goes through the journal of `root` and folds it: `world` is as it was behind event `n`, at `ts`.

    Starts from the last snapshot of `code` that is not behind the first `moment` it has to stop at, where there
    is one, and leaves some on its way. JournalMissing, and whatever else cannot be read.
    """

    def __init__(self, root: str, first: Moment, code: str = "") -> None:
        self.root = root
        self.world = World()
        self.n = self.ts = 0
        self.clock_set_back = False  # so that a time may mean several places
        self._ahead: Any = None  # read, but behind the moment we stopped at
        self._code = code
        self._snapshots = Snapshots(f"{root}/journal")
        at = self._start_from_snapshot(first) if code else Cursor()
        self._begun = at.n
        self._events = self._read(at)

    def behind(self, to: Moment) -> int | None:
        """The number of the last event of the moment; None: of whatever is the journal's last. JournalMissing, Corrupt."""
        if to.ts is None:
            return to.n
        with clock(self.root) as times:
            return times.last_until(to.ts)

    def _read(self, at: Cursor) -> Iterator[Any]:
        from eventstore.bulk import bulk_decoder
        from eventstore.reader import read_events

        return read_events(f"{self.root}/journal", SCHEMA, at=at, decode=bulk_decoder(SCHEMA))

    def _start_from_snapshot(self, first: Moment) -> Cursor:
        found = self._snapshots.load(self._code, n=self.behind(first))
        if found is None or not found[0].n:
            return Cursor()
        self.world = World.unpack(found[1])
        self.n, self.ts = found[0].n, found[2]
        return found[0]

    def _leave_snapshot(self, n: int) -> None:
        """At a segment's begin, its header being event `n`: who goes this way again need not come from so far."""
        from eventstore.reader import cursor_before

        here = cursor_before(f"{self.root}/journal", n)
        with suppress(OSError):  # a cache
            if not self._snapshots.has(here):
                self._snapshots.save(self._code, here, self.world.pack(), ts=self.ts)

    def go(self, to: Moment, see: Callable[[Any], None] | None = None) -> World:
        """Fold on up to the moment; `see` gets each event on the way. NoSuchMoment."""
        last, collecting = self.behind(to), gc.isenabled()
        gc.disable()  # events are no garbage and have no cycles
        try:
            while (event := self._next()) is not None:
                if last is not None and event.n > last:
                    self._ahead = event
                    break
                if event.tag == "journal.segment" and self._code and event.n > self._begun + 1:
                    self._leave_snapshot(event.n)
                self.world.apply(event)
                self.n, self.ts = event.n, event.ts
                if see is not None:
                    see(event)
        finally:
            if collecting:
                gc.enable()
        self._check(to)
        return self.world

    def _next(self) -> Any:
        ahead, self._ahead = self._ahead, None
        return ahead if ahead is not None else next(self._events, None)

    def _check(self, to: Moment) -> None:
        if not self.n:
            if self._ahead is None:
                raise JournalMissing(f"{self.root}/journal")
            raise NoSuchMoment(to.text, f"the journal begins later, at {_told(self._ahead.ts)}, with event 1")
        if to.n is not None and to.n > self.n:
            raise NoSuchMoment(to.text, f"the journal ends with event {self.n}, at {_told(self.ts)}")
        self.clock_set_back = False
        if to.ts is None:
            return
        if to.ts // SECOND > time.time_ns() // SECOND:
            raise NoSuchMoment(to.text, f"{_told(to.ts)} is yet to come")
        if self._ahead is None:
            return
        with (
            suppress(Corrupt),
            clock(self.root) as times,
        ):  # Corrupt: behind the moment, so nobody asked for it
            self.clock_set_back = times.comes_again(self.n, to.ts)


def world_at(root: str, text: str, code: str = "") -> World:
    """The world of the moment that `text` names for --at. At a terminal it is told which that is.

    InvalidValue, NoSuchMoment, JournalMissing.
    """
    import sys

    from cli.report import say

    to = moment(text, "--at")
    traveller = Traveller(root, to, code)
    world = traveller.go(to)
    warn_of_clock(traveller, text)
    if sys.stderr.isatty() and not traveller.clock_set_back:
        say(f"as of event {traveller.n}, {_told(traveller.ts)}")
    return world


def warn_of_clock(traveller: Traveller, text: str) -> None:
    """Say so where the time at which the traveller stopped, typed as `text`, came more than once."""
    from cli.report import say

    if traveller.clock_set_back:
        say(
            f"the clock was set back after event {traveller.n}: {text} came more than once, this is the first time "
            "[a later one is named by its event's number]"
        )


def last_event(root: str) -> Any:
    """The last event of the journal as it is now; None where its last segment holds no whole line. JournalMissing."""
    from eventstore import reader

    return reader.last_event(f"{root}/journal", SCHEMA)


def _told(ts: int) -> str:
    from cli.render import local_time

    return local_time(ts)
