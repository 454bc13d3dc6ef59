"""What a journal promises to whoever appends and reads."""

from __future__ import annotations

import os
from typing import Any

import pytest

from eventstore.bulk import bulk_decoder
from eventstore.cursor import Cursor
from eventstore.errors import (
    AheadOfJournal,
    EventTooLarge,
    JournalExists,
    JournalMissing,
    StaleCursor,
)
from eventstore.event import Event
from eventstore.reader import read_events, stream_events
from eventstore.schema import SegmentHeader
from eventstore.verify import verify
from tests.journal_events import BY, SCHEMA, Counted, Noted, World
from tests.journal_home import Home, abandon, note, transaction


def test_a_new_journal_has_only_its_header(home: Home) -> None:
    journal, world = home.create(), World()

    journal.refresh(world)

    (header,) = world.events
    assert isinstance(header, SegmentHeader)
    assert header.journal == journal.uuid
    assert journal.root_id == journal.uuid[:8]
    assert (header.schema, header.fmt, header.prev, header.s, header.v) == (1, 1, {}, "journal", 1)


def test_nobody_else_may_read_it_whatever_the_umask(home: Home) -> None:
    before = os.umask(0)
    try:
        journal, world = home.create(segment_size=900), World()
        note(journal, world, "a")
        note(journal, world, "b")
        note(journal, world, "c")
    finally:
        os.umask(before)

    modes = {name: os.stat(f"{home.directory}/{name}").st_mode & 0o777 for name in os.listdir(home.directory)}
    assert os.stat(home.directory).st_mode & 0o777 == 0o700
    *sealed, active = home.segments()
    assert sealed
    assert modes == {"lock": 0o600, active: 0o600} | dict.fromkeys(sealed, 0o400)


def test_a_second_journal_in_the_same_place_is_refused(home: Home) -> None:
    home.create()

    with pytest.raises(JournalExists):
        home.create()


def test_a_directory_without_journal_is_said_to_have_none(home: Home) -> None:
    with pytest.raises(JournalMissing, match="no journal in"):
        home.open()
    os.mkdir(home.directory)
    with pytest.raises(JournalMissing):
        home.open()


def test_an_event_gets_its_envelope(home: Home) -> None:
    journal, world = home.create(clock=lambda: (11, 22)), World()

    with journal.transaction(world, by=BY, why="monitor", op="c0ffee") as tx:
        event = tx.append("thing/1", Noted(text="a"))

    found = (event.n, event.v, event.s, event.ts, event.up, event.op, event.by, event.why)
    assert found == (2, 1, "thing/1", 11, 22, "c0ffee", BY, "monitor")
    assert world.events[-1] is event


def test_another_process_reads_what_was_appended(home: Home) -> None:
    writer, reader = home.create(), home.open()
    ours, theirs = World(), World()
    note(writer, ours, "a")
    reader.refresh(theirs)
    note(writer, ours, "b", "c")

    count = reader.refresh(theirs)

    assert count == 2
    assert theirs.events == ours.events
    assert reader.cursor == writer.cursor
    assert reader.refresh(theirs) == 0


def test_a_decision_is_made_on_what_others_have_written_since(home: Home) -> None:
    first, second = home.create(), home.open()
    ours, theirs = World(), World()
    note(first, ours, "a")

    with transaction(second, theirs) as tx:
        seen = theirs.texts()
        event = tx.append("thing/1", Noted(text="b"))

    assert seen == ["a"]
    assert (event.n, event.v) == (3, 2)


def test_numbers_have_no_gaps_and_versions_count_by_stream(home: Home) -> None:
    journal, world = home.create(segment_size=2000), World()
    for number in range(20):
        note(journal, world, f"x{number}", f"y{number}", stream=f"thing/{number % 3}")

    events = list(read_events(home.directory, SCHEMA))

    assert len(home.segments()) > 3
    assert [event.n for event in events] == list(range(1, len(events) + 1))
    for stream in {event.s for event in events}:
        mine = [event for event in events if event.s == stream]
        assert [event.v for event in mine] == list(range(1, len(mine) + 1))
        assert list(stream_events(home.directory, SCHEMA, stream)) == mine


def test_an_exception_in_the_block_writes_nothing_and_frees_the_lock(home: Home) -> None:
    journal, other = home.create(), home.open(deadline=0.0)
    world, theirs = World(), World()

    with pytest.raises(ZeroDivisionError), transaction(journal, world) as tx:
        tx.append("thing/1", Noted(text=str(1 // 0)))
    note(journal, world, "a")  # nothing had been appended: the journal is still good
    abandon(journal, world)

    note(other, theirs, "b")
    assert theirs.texts() == ["a", "b"]


def test_a_state_that_is_ahead_of_the_journal_is_not_gone_on_with(home: Home) -> None:
    journal, world = home.create(), World()
    abandon(journal, world)

    with pytest.raises(AheadOfJournal):
        journal.refresh(world)
    with pytest.raises(AheadOfJournal), transaction(journal, world):
        pass


def test_a_cursor_travels_as_json_and_reading_goes_on_there(home: Home) -> None:
    journal, world = home.create(segment_size=1500), World()
    note(journal, world, "a")
    dumped = journal.cursor.dump()
    for text in "bcdefg":
        note(journal, world, text)

    texts: list[str] = []

    class Rest(World):
        def apply(self, event: Event) -> None:
            texts.extend([event.text] if isinstance(event, Noted) else [])

    other = home.open(cursor=Cursor.load(dumped), read_only=True)
    other.refresh(Rest())

    assert texts == [*"bcdefg"]
    assert other.cursor == journal.cursor


@pytest.mark.parametrize("change", [{"n": 9}, {"h": "B" * 43}, {"offset": 700}, {"segment": 77}])
def test_a_cursor_of_another_history_is_refused(home: Home, change: dict[str, Any]) -> None:
    journal, world = home.create(), World()
    note(journal, world, "a", "b")
    cursor = Cursor.load(journal.cursor.dump())
    for name, value in change.items():
        setattr(cursor, name, value)
    note(journal, world, "c")

    with pytest.raises((StaleCursor, Exception), match=r"is not in the journal|has number"):
        home.open(cursor=cursor, read_only=True).refresh(World())


def test_every_reader_reads_the_same_with_and_without_msgspec(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("eventstore.tail.LEAN_TAIL", 0)
    journal, world = home.create(segment_size=3000), World()
    for number in range(30):
        with transaction(journal, world) as tx:
            tx.append("thing/1", Counted(amount=number, names=["x"] * number, labels={"k": "v"}))

    found = World()
    home.open(decode=bulk_decoder(SCHEMA), read_only=True).refresh(found)

    assert [(event.n, event.tag, event.payload()) for event in found.events] == [
        (event.n, event.tag, event.payload()) for event in world.events
    ]


def test_an_event_that_does_not_fit_into_a_line_is_refused(home: Home) -> None:
    journal, world = home.create(), World()

    with pytest.raises(EventTooLarge, match=r"event test\.noted has \d+ bytes, the limit of a line is 65536"):
        note(journal, world, "x" * 70_000)

    note(journal, world, "x" * 32_000)
    assert len(list(read_events(home.directory, SCHEMA))) == 2


def test_lines_longer_than_a_piece_are_read(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("eventstore.tail.PIECE", 4096)
    journal, world = home.create(), World()
    texts = [chr(ord("a") + number) * (6000 + 700 * number) for number in range(12)]
    for text in texts[:6]:
        note(journal, world, text)
    note(journal, world, *texts[6:])

    found = World()
    home.open(read_only=True).refresh(found)

    assert found.texts() == texts


def test_an_event_is_appended_once(home: Home) -> None:
    journal, world = home.create(), World()
    event = Noted(text="a")
    with transaction(journal, world) as tx:
        tx.append("thing/1", event)

    with pytest.raises(ValueError, match="is in a journal already"), transaction(journal, world) as tx:
        tx.append("thing/1", event)


def test_a_clock_that_jumps_back_changes_nothing_but_the_time_shown(home: Home) -> None:
    home.create().close()
    times = iter([(200, 2), (50, 3)])
    journal, world = home.open(clock=lambda: next(times)), World()
    note(journal, world, "a")
    note(journal, world, "b")

    events = list(read_events(home.directory, SCHEMA))

    assert [event.ts for event in events[1:]] == [200, 50]
    assert verify(home.directory).findings == []
