"""A follower sees each event once and in order, across rotations, whatever wakes it or does not."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from watchdog.events import FileModifiedEvent

from eventstore import follow
from eventstore.archive import archive
from eventstore.cursor import Cursor
from eventstore.follow import Follower
from tests import without_inotify
from tests.journal_damage import Place
from tests.journal_events import BY, SCHEMA, Noted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from eventstore.event import Event


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path, "ab", 4000)


class Writing:
    """A thread that appends `count` events."""

    def __init__(self, place: Place, count: int) -> None:
        self.place, self.count = place, count
        self.thread = threading.Thread(target=self.run)

    def run(self) -> None:
        journal, world = self.place.open()
        for number in range(self.count):
            with journal.transaction(world, by=BY, why="user", op="x") as tx:
                tx.append("thing/1", Noted(text=str(number)))
        journal.close()

    def __enter__(self) -> None:
        self.thread.start()

    def __exit__(self, *_error: object) -> None:
        self.thread.join()


def take(events: Iterator[Event], last: str) -> list[Event]:
    """Up to the event with text `last`."""
    found = []
    for event in events:
        found.append(event)
        if getattr(event, "text", "") == last:
            break
    return found


def test_events_come_once_and_in_order_across_rotations(place: Place) -> None:
    with Follower(str(place.journal), SCHEMA, idle=60) as follower, Writing(place, 300):
        found = take(iter(follower), "299")

    assert [event.n for event in found] == list(range(1, len(found) + 1))
    assert len(place.segments()) > 10


def test_it_goes_on_from_a_cursor(place: Place) -> None:
    with Follower(str(place.journal), SCHEMA) as follower:
        first = take(iter(follower), "b")
        cursor = follower.cursor.dump()
    with Writing(place, 20), Follower(str(place.journal), SCHEMA, Cursor.load(cursor)) as follower:
        second = take(iter(follower), "19")

    assert [event.n for event in first + second] == list(range(1, len(first) + len(second) + 1))


def test_lost_wake_ups_cost_only_time(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follow._Wakeup, "on_any_event", lambda _self, _event: None)
    with Follower(str(place.journal), SCHEMA, idle=0.01) as follower, Writing(place, 30):
        found = take(iter(follower), "29")

    assert [event.n for event in found] == list(range(1, len(found) + 1))


FOLLOWING = """
import sys
from eventstore import follow
from tests.journal_events import SCHEMA
with follow.Follower(sys.argv[1], SCHEMA, idle=60) as follower:
    for event, line in follower.lines():
        print(event.n, flush=True)
"""


@pytest.mark.root
@pytest.mark.parametrize("lacking", without_inotify.LIMITS)
def test_without_inotify_it_polls(lacking: str, place: Place) -> None:
    with without_inotify.program(lacking, FOLLOWING, place.journal) as follower:
        assert follower.stdout is not None
        found = [follower.stdout.readline() for _event in range(3)]  # those that are there
        with Writing(place, 30):
            found += [follower.stdout.readline() for _event in range(30)]
        follower.kill()

    assert found == [b"%d\n" % number for number in range(1, 34)]


def test_segments_may_be_archived_under_it(place: Place) -> None:
    with Follower(str(place.journal), SCHEMA) as follower:
        events = iter(follower)
        found = [next(events)]
        with Writing(place, 60):
            pass
        archive(str(place.journal), SCHEMA, 1 << 60)
        found += take(events, "59")

    assert [event.n for event in found] == list(range(1, len(found) + 1))


def test_it_ends_when_it_is_told_to(place: Place) -> None:
    with Follower(str(place.journal), SCHEMA, idle=60) as follower:
        events = iter(follower)
        found = [next(events) for _event in range(3)]
        timer = threading.Timer(0.05, follower.stop)
        timer.start()
        found += events
        timer.join()

    assert len(found) == 3


def test_what_writers_note_in_the_locks_file_wakes_nobody(tmp_path: Path) -> None:
    awake = threading.Event()
    handler = follow._Wakeup(awake)
    handler.dispatch(FileModifiedEvent(str(tmp_path / "lock")))
    assert not awake.is_set()
    handler.dispatch(FileModifiedEvent(str(tmp_path / "00000000000000000001.jsonl")))
    assert awake.is_set()
