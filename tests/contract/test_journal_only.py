"""Of a journal that is opened for some streams the others' lines are checked, but not decoded."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from eventstore import tail
from eventstore.bulk import bulk_decoder
from eventstore.codec import close, decode, encode, link_of
from eventstore.errors import Corrupt
from eventstore.event import Event
from eventstore.journal import Journal
from tests.journal_events import SCHEMA, Noted, World, envelope
from tests.journal_home import Home, note

MINE = 'thing/"1" ä'
FOREIGN = "thing/2"


class Narrow(World):
    """Of some streams, so that numbers are left out."""

    def apply(self, event: Event) -> None:
        assert not self.events or event.n > self.events[-1].n
        self.events.append(event)
        self.versions[event.s] = event.v


def write(home: Home, rounds: int = 3, **options: int) -> Journal:
    """`rounds` of: one event of ours, two of others in one write."""
    journal, world = home.create(**options), World()
    for number in range(rounds):
        note(journal, world, f"mine {number}", stream=MINE)
        note(journal, world, f"foreign {number}", f"foreign {number} too", stream=FOREIGN)
    return journal


def test_it_gets_the_events_of_its_streams_alone(home: Home) -> None:
    whole = write(home)
    world = Narrow()
    narrow = home.open(only={MINE})
    narrow.refresh(world)

    assert world.texts() == ["mine 0", "mine 1", "mine 2"]
    assert narrow.cursor == whole.cursor


@pytest.mark.parametrize("in_bulk", [False, True])
def test_across_segments_and_in_bulk(home: Home, monkeypatch: pytest.MonkeyPatch, *, in_bulk: bool) -> None:
    whole = write(home, 40, segment_size=3000)
    monkeypatch.setattr(tail, "LEAN_TAIL", 0 if in_bulk else 1 << 30)
    world = Narrow()
    narrow = home.open(only={MINE, "journal"}, decode=bulk_decoder(SCHEMA))
    narrow.refresh(world)

    mine = [event for event in world.events if event.s == MINE]
    assert [event.payload()["text"] for event in mine] == [f"mine {number}" for number in range(40)]
    assert len(world.events) - len(mine) == len(home.segments()) > 1
    assert narrow.cursor == whole.cursor


def test_others_lines_are_not_decoded(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    write(home)
    decoded: list[str] = []

    def noted(line: bytes, *rest: object) -> Event:
        event = decode(line, *rest)  # type: ignore[arg-type]  # passed on as they came
        decoded.append(event.s)
        return event

    monkeypatch.setattr("eventstore.tail.decode_line", noted)
    home.open(only={MINE}).refresh(Narrow())

    assert set(decoded) == {MINE}


def test_it_appends_with_the_right_number_behind_others_events(home: Home) -> None:
    write(home)
    world = Narrow()
    narrow = home.open(only={MINE})
    note(narrow, world, "mine again", stream=MINE)
    note(home.open(), World(), "and a foreign", stream=FOREIGN)
    note(narrow, world, "and again", stream=MINE)

    replayed = World()
    home.open().refresh(replayed)
    assert [event.n for event in replayed.events] == list(range(1, 14))
    assert [event.v for event in replayed.events if event.s == MINE] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("field", ["foreign 1", '"v":2'])
def test_a_foreign_line_that_was_altered_is_found(home: Home, field: str) -> None:
    write(home)
    path = Path(home.directory, home.segments()[0])
    data = path.read_bytes()
    at = data.index(field.encode(), data.index(b"foreign 0 too"))
    path.write_bytes(data[: at + 4] + bytes([data[at + 4] ^ 1]) + data[at + 5 :])

    with pytest.raises(Corrupt, match="the chain breaks here"):
        home.open(only={MINE}).refresh(Narrow())


@pytest.mark.parametrize("number", [2, 4, 10**30])
def test_a_foreign_line_of_another_number_is_found(home: Home, number: int) -> None:
    write(home, 0)
    path = Path(home.directory, home.segments()[0])
    head = path.read_bytes()
    first = envelope(Noted(text="x"), n=2, s=FOREIGN)
    line, link = close(encode(first), link_of(head), durable=1, more=0)
    again = encode(envelope(Noted(text="x"), n=3, s=FOREIGN)).replace(b'"n":3,', b'"n":%d,' % number)
    with open(path, "ab") as file:
        file.write(line + close(again, link, durable=1, more=0)[0])
        os.fsync(file.fileno())

    with pytest.raises(Corrupt, match="out of order"):
        home.open(only={MINE}, read_only=True).refresh(Narrow())


def test_much_is_read_before_the_lock_is_taken_for_good(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, held = write(home, 0), []
    narrow, world = home.open(only={MINE}), Narrow()
    narrow.refresh(world)
    note(whole, World(), *["x" * 10_000] * 40, stream=FOREIGN)
    writer = narrow._writer
    assert writer is not None
    real = writer.tail._take

    def taken(lines: bytes, *, bulk: bool) -> list[Event]:
        other = home.open()._writer
        assert other is not None
        held.append(not other.lock._try()) if other.lock.file >= 0 else None
        other.close()
        return real(lines, bulk=bulk)

    monkeypatch.setattr(writer.tail, "_take", taken)
    note(narrow, world, "mine", stream=MINE)

    assert held
    assert not any(held)
    assert world.texts() == ["mine"]
