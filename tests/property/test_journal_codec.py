"""Any event that may be written: the same bytes as msgspec's, and the same event back."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from eventstore.bulk import bulk_decoder, struct_of
from eventstore.codec import GENESIS, chain, close, decode, encode, frame_of, link_of
from eventstore.event import ENVELOPE, Event
from tests.journal_events import SCHEMA, Counted, Noted, envelope

TEXT = st.text(st.characters(exclude_categories=["Cs"]))  # msgspec refuses lone surrogates
NUMBER = st.integers(-(1 << 63), (1 << 64) - 1)
EVENTS = st.one_of(
    st.builds(Noted, text=TEXT),
    st.builds(
        Counted,
        amount=NUMBER,
        names=st.lists(TEXT),
        labels=st.dictionaries(TEXT, TEXT),
        extra=st.dictionaries(TEXT, st.one_of(NUMBER, st.none(), st.lists(st.booleans()))),
    ),
)
ENVELOPES = st.fixed_dictionaries(
    {
        "n": st.integers(1, 1 << 62),
        "ts": st.integers(0, 1 << 62),
        "up": st.integers(0, 1 << 62),
        "s": TEXT,
        "v": st.integers(1, 1 << 62),
        "op": TEXT,
        "by": st.dictionaries(TEXT, st.one_of(NUMBER, TEXT)),
        "why": TEXT,
    }
)
BULK = bulk_decoder(SCHEMA)
STRUCTS = {kind.tag: struct_of(kind) for kind in (Noted, Counted)}


@given(EVENTS, ENVELOPES)
@settings(max_examples=300)
def test_the_encoder_writes_the_bytes_that_msgspec_would(event: Event, stamped: dict[str, Any]) -> None:
    event = envelope(event, **stamped)
    values = {name: getattr(event, name) for name in (*ENVELOPE, *event.fields)}

    assert encode(event) + b"}" == msgspec.json.encode(STRUCTS[event.tag](**values))


@given(EVENTS, ENVELOPES, st.integers(0, 1 << 62), st.integers(0, 1000))
@settings(max_examples=200)
def test_what_is_written_is_read_by_both_decoders(
    event: Event, stamped: dict[str, Any], durable: int, more: int
) -> None:
    event = envelope(event, **stamped)

    line, h = close(encode(event), GENESIS, durable=durable, more=more)

    assert line.count(b"\n") == 1
    assert (frame_of(line), link_of(line)) == ((durable, more), h)
    assert chain(line, GENESIS) == (1, len(line), h)
    assert decode(line, SCHEMA) == event
    (found,) = BULK(line)
    assert found.payload() == event.payload()
    assert all(getattr(found, name) == stamped[name] for name in ENVELOPE)


@given(st.text(st.characters()))
@settings(max_examples=100)
def test_any_string_comes_back_as_it_was(text: str) -> None:
    line, _ = close(encode(envelope(Noted(text=text))), GENESIS, durable=0, more=0)

    assert decode(line, SCHEMA).payload() == {"text": text}
    assert BULK(line)[0].payload() == {"text": text}
