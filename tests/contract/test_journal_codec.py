"""The hand-made encoder and decoder against msgspec, which is the schema's truth for readers."""

from __future__ import annotations

import msgspec
import pytest

from eventstore.bulk import bulk_decoder, struct_of
from eventstore.codec import GENESIS, close, decode, encode
from eventstore.errors import NewerSchema
from eventstore.event import ENVELOPE, Event
from eventstore.schema import Repaired, Schema, SegmentHeader
from tests.journal_events import SCHEMA, Counted, Noted, envelope

EVENTS = [
    Noted(text='plain, "quoted", é, 😀, \x00\x1f\x7f\u2028\\'),
    Counted(amount=-(1 << 63), names=["", "b"], labels={"k é": 'v"'}, extra={"a": None, "b": [True]}),
    Counted(amount=(1 << 64) - 1, names=[], labels={}),
    SegmentHeader(
        journal="0" * 32, schema=1, fmt=1, compat=[], incompat=[], boot="b", prev={"name": "x", "size": 3}
    ),
    Repaired(segment="s", offset=1, length=2, sha256="d", lines=0, kept="torn/1"),
]


def line_of(event: Event) -> bytes:
    return close(encode(event), GENESIS, durable=0, more=0)[0]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.tag)
def test_the_encoder_writes_the_bytes_that_msgspec_would(event: Event) -> None:
    values = {name: getattr(envelope(event), name) for name in (*ENVELOPE, *event.fields)}

    assert encode(event) + b"}" == msgspec.json.encode(struct_of(type(event))(**values))


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.tag)
def test_both_decoders_read_the_same(event: Event) -> None:
    line = line_of(envelope(event))

    plain, struct = decode(line, SCHEMA), bulk_decoder(SCHEMA)(line)[0]

    assert plain == event
    for name in (*ENVELOPE, *event.fields, "tag", "fields"):
        assert getattr(struct, name) == getattr(plain, name)
    assert struct.payload() == plain.payload()


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.tag)
def test_bulk_leaves_out_what_its_caller_never_looks_at(event: Event) -> None:
    line = line_of(envelope(event))

    [found] = bulk_decoder(SCHEMA, {event.tag: ("ts", "by")})(line)

    assert not hasattr(found, "ts")
    assert not hasattr(found, "by")
    assert (found.n, found.payload()) == (event.n, event.payload())


def test_bulk_skips_unknown_fields_and_fills_in_defaults() -> None:
    line = line_of(envelope(EVENTS[2])).replace(b'"extra":{}', b'"future":{"a":[1.5]}')

    found = bulk_decoder(SCHEMA)(line * 2)

    assert [event.payload() for event in found] == [EVENTS[2].payload()] * 2
    assert found[0].payload()["extra"] is not found[1].payload()["extra"]


def test_bulk_asks_for_the_newer_version_where_a_tag_is_unknown() -> None:
    lines = line_of(envelope(EVENTS[0])) + line_of(envelope(EVENTS[1]))

    with pytest.raises(NewerSchema):
        bulk_decoder(Schema(1, (Noted,)))(lines)


def test_bulk_reads_what_the_plain_decoder_reads_even_where_types_are_wrong() -> None:
    lines = line_of(envelope(Noted(text="fine"))) + line_of(envelope(Noted(text=7)))  # type: ignore[arg-type]

    assert [event.payload() for event in bulk_decoder(SCHEMA)(lines)] == [{"text": "fine"}, {"text": 7}]


def test_bulk_reads_text_that_msgspec_refuses() -> None:
    lines = line_of(envelope(Noted(text="a\udc80"))) + line_of(envelope(Noted(text="b")))

    assert [event.payload() for event in bulk_decoder(SCHEMA)(lines)] == [{"text": "a\udc80"}, {"text": "b"}]
