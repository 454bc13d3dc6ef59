"""What the engine may rely on, of the journal on disk and of the one in memory that tests use for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from eventstore.errors import AheadOfJournal
from eventstore.journal import Journal
from tests.journal_events import BY, SCHEMA, Noted, World
from tests.memory_journal import Clock, Lines, MemoryJournal


@pytest.fixture(params=["memory", "disk"])
def another(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], Any]]:
    """A maker of journals, each as one more process would open the same one."""
    lines = Lines()
    opened: list[Journal] = []

    def open_journal() -> Any:
        if request.param == "memory":
            return MemoryJournal(SCHEMA, lines, Clock())
        opened.append(Journal.open_or_create(str(tmp_path / "journal"), SCHEMA))
        return opened[-1]

    yield open_journal
    for journal in opened:
        journal.close()


class Process:
    """A journal and the world it is folded into."""

    def __init__(self, journal: Any) -> None:
        self.journal = journal
        self.world = World()
        journal.refresh(self.world)
        self.before = len(self.world.events)  # a journal on disk begins with a header

    def note(
        self, *texts: str, stream: str = "thing/1", sync: bool = True, reserve: bool = False
    ) -> list[Any]:
        with self.journal.transaction(self.world, by=BY, why="user", op="op-1") as tx:
            return [tx.append(stream, Noted(text=text), sync=sync, reserve=reserve) for text in texts]

    def texts(self) -> list[str]:
        self.journal.refresh(self.world)
        return self.world.texts()


def test_an_event_is_stamped_and_applied_within_the_block(another: Callable[[], Any]) -> None:
    process = Process(another())
    with process.journal.transaction(process.world, by=BY, why="monitor", op="op-7") as tx:
        event = tx.append("thing/1", Noted(text="a"))

        assert process.world.events[-1] is event
    assert (event.s, event.v, event.op, event.by, event.why) == ("thing/1", 1, "op-7", BY, "monitor")
    assert event.n == process.before + 1
    assert event.ts > 0
    assert event.up > 0


def test_another_process_reads_what_was_appended(another: Callable[[], Any]) -> None:
    one, other = Process(another()), Process(another())
    written = one.note("a", "b", stream="thing/1")

    assert other.texts() == ["a", "b"]
    assert other.world.events[-1] == written[-1]
    assert Process(another()).texts() == ["a", "b"]


def test_numbers_are_gapless_over_streams_and_versions_within_one(another: Callable[[], Any]) -> None:
    one, other = Process(another()), Process(another())
    one.note("a", stream="thing/1")
    other.note("b", stream="thing/2")
    one.note("c", stream="thing/1")
    other.texts()

    events = other.world.events[other.before :]
    assert [event.n - other.before for event in events] == [1, 2, 3]
    assert [(event.s, event.v) for event in events] == [("thing/1", 1), ("thing/2", 1), ("thing/1", 2)]


def test_a_transaction_sees_what_others_appended_before_it(another: Callable[[], Any]) -> None:
    one, other = Process(another()), Process(another())
    one.note("a")
    with other.journal.transaction(other.world, by=BY, why="user", op="op-1"):
        assert other.world.texts() == ["a"]


def test_refresh_tells_how_many_events_were_new(another: Callable[[], Any]) -> None:
    one, other = Process(another()), Process(another())
    one.note("a", "b", "c")

    assert other.journal.refresh(other.world) == 3
    assert other.journal.refresh(other.world) == 0
    assert one.journal.refresh(one.world) == 0


def test_a_block_without_events_appends_nothing(another: Callable[[], Any]) -> None:
    process = Process(another())
    process.note()

    assert Process(another()).texts() == []


def test_a_refusal_before_any_event_appends_nothing_and_harms_nothing(another: Callable[[], Any]) -> None:
    process = Process(another())
    with (
        pytest.raises(LookupError),
        process.journal.transaction(process.world, by=BY, why="user", op="op-1"),
    ):
        raise LookupError
    process.note("a")

    assert Process(another()).texts() == ["a"]


def test_an_error_amid_a_decision_appends_none_of_it_and_spoils_the_world(another: Callable[[], Any]) -> None:
    process = Process(another())
    with pytest.raises(TypeError):
        process.note("half", 1.5)  # type: ignore[arg-type] # a float

    assert Process(another()).texts() == []
    with pytest.raises(AheadOfJournal):
        process.note("more")
    with pytest.raises(AheadOfJournal):
        process.journal.refresh(process.world)


def test_an_event_is_appended_once(another: Callable[[], Any]) -> None:
    process = Process(another())
    (event,) = process.note("a")
    with (
        pytest.raises(ValueError, match="already"),
        process.journal.transaction(process.world, by=BY, why="user", op="op-1") as tx,
    ):
        tx.append("thing/1", event)


@pytest.mark.parametrize("sync", [False, True])
@pytest.mark.parametrize("reserve", [False, True])
def test_an_event_is_appended_whatever_its_options(
    another: Callable[[], Any], sync: bool, reserve: bool
) -> None:
    Process(another()).note("a", sync=sync, reserve=reserve)

    assert Process(another()).texts() == ["a"]
