"""A set of events is checked once, when it is put together."""

from __future__ import annotations

import pytest

from eventstore.event import Event
from eventstore.schema import Archived, Repaired, Schema, SegmentHeader
from tests.journal_events import Counted, Noted


def test_the_journals_own_events_are_in_every_schema() -> None:
    schema = Schema(1, (Noted,))

    assert schema.by_tag == {
        "test.noted": Noted,
        "journal.segment": SegmentHeader,
        "journal.repaired": Repaired,
        "journal.archived": Archived,
    }


def test_two_events_cannot_share_a_tag() -> None:
    class Again(Event, tag="test.noted"):
        text: str

    with pytest.raises(ValueError, match="two events with one tag"):
        Schema(1, (Noted, Again))


@pytest.mark.parametrize("name", ["n", "ts", "by", "t", "d", "m", "h", "tag", "payload"])
def test_a_field_cannot_be_named_like_a_part_of_the_line(name: str) -> None:
    kind = type("Bad", (Event,), {"__annotations__": {name: "str"}}, tag="test.bad")

    with pytest.raises(ValueError, match="a field cannot be named"):
        Schema(1, (kind,))


def test_every_schema_but_the_first_needs_a_step_from_the_one_before() -> None:
    with pytest.raises(ValueError, match="schema 2 needs 1 upcasters, got 0"):
        Schema(2, (Noted, Counted))


def test_housekeeping_events_are_never_upcast() -> None:
    schema = Schema(2, (Noted,), (lambda _line: {},))

    assert schema.upcast({"t": "journal.segment", "n": 1}, 1) == {"t": "journal.segment", "n": 1}
