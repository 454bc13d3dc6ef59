"""What a time means where the clock jumps: the same with any snapshots, indexes, segments and archives, or none."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from cli.session import snapshot_code
from cli.sifting import events_behind, place_before
from cli.travel import Moment, NoSuchMoment, Traveller
from eventstore.archive import archive
from eventstore.plainjson import dumps
from eventstore.reader import cursor_before
from eventstore.snapshots import Snapshots
from machine import decide
from machine.events import SCHEMA
from tests.histories import created, fold
from tests.timed import NOON, SECOND, Timed

CLOCKS = st.lists(st.integers(-5, 20), min_size=6, max_size=12)  # seconds around NOON; they jump to and fro
PLACES = st.lists(st.floats(0, 1), max_size=6)  # of snapshots, as parts of the journal


@contextmanager
def jumping(clocks: list[int]) -> Iterator[tuple[Timed, list[Any]]]:
    """A journal of several segments, each of whose containers comes and goes at one of the times."""
    base = Path(tempfile.mkdtemp(prefix="times-", dir="/dev/shm"))
    try:
        past = Timed(base, small=True)
        for number, seconds in enumerate(clocks):
            past.clock.at(seconds)
            for name in ("c1", "c2"):
                one = created(name)
                one.id = f"{number:032x}{name:0>32}"
                past.decide(decide.create, one)
                past.settle(f"container/{one.id}")
            past.removed("c1" if number % 3 else "c2")
            past.removed("c2" if number % 3 else "c1")
        past.journal.close()
        yield past, past.on_disk()
    finally:
        shutil.rmtree(base)


def keep(past: Timed, events: list[Any], parts: list[float], *, archived: bool, indexed: bool) -> None:
    """Caches at random places, of what is right; half of it in the archive."""
    for part in parts:
        n = 1 + int(part * (len(events) - 1))
        at = cursor_before(past.directory, n + 1)
        Snapshots(past.directory).save(snapshot_code(), at, fold(events[:n]).pack(), ts=events[n - 1].ts)
    if archived:
        archive(past.directory, SCHEMA, len(events) // 2)
    if not indexed:
        shutil.rmtree(f"{past.directory}/idx", ignore_errors=True)


def expected(events: list[Any], ts: int) -> int:
    """The number of the last event so that neither it nor any before is later."""
    return next((event.n - 1 for event in events if event.ts > ts), len(events))


@settings(max_examples=25)
@given(CLOCKS, st.lists(st.integers(-6, 21), min_size=1, max_size=4), PLACES, st.booleans(), st.booleans())
def test_a_time_is_the_same_moment_whatever_was_cached(
    clocks: list[int], asked: list[int], parts: list[float], archived: bool, indexed: bool
) -> None:
    with jumping(clocks) as (past, events):
        keep(past, events, parts, archived=archived, indexed=indexed)
        for seconds in asked:
            ts = (NOON + seconds) * SECOND
            n = expected(events, ts)
            for code in ("", snapshot_code()):
                to = Moment("then", ts=ts)
                traveller = Traveller(past.root, to, code)
                try:
                    world = traveller.go(to)
                except NoSuchMoment:
                    assert n == 0
                    continue
                assert traveller.n == n
                assert traveller.ts == events[n - 1].ts
                assert traveller.clock_set_back == any(event.ts <= ts for event in events[n:])
                assert dumps(world.dump()) == dumps(fold(events[:n]).dump())


@settings(max_examples=25)
@given(CLOCKS, st.lists(st.integers(-6, 21), min_size=1, max_size=4), st.booleans(), st.booleans())
def test_no_event_since_a_time_is_left_out_however_the_clock_was_set(
    clocks: list[int], asked: list[int], archived: bool, indexed: bool
) -> None:
    with jumping(clocks) as (past, events):
        keep(past, events, [], archived=archived, indexed=indexed)
        for seconds in asked:
            ts = (NOON + seconds) * SECOND
            told = events_behind(past.root, place_before(past.root, ts))
            assert [e.n for e in told if e.ts >= ts] == [e.n for e in events if e.ts >= ts]
