"""One event, one line: what is written can be read, and what was not written so cannot."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

import pytest

from eventstore.codec import (
    GENESIS,
    chain,
    close,
    decode,
    encode,
    fast_sha256,
    frame_of,
    link,
    link_of,
    parse,
)
from eventstore.errors import Malformed, NewerSchema
from eventstore.event import Event
from eventstore.schema import Schema
from tests.journal_events import BY, SCHEMA, Counted, Noted, envelope

BODY = encode(envelope(Noted(text="hello"), n=7, v=3))


def whole_line(**changes: Any) -> bytes:
    event = envelope(Counted(amount=1, names=["a"], labels={}), **changes)
    return close(encode(event), GENESIS, durable=0, more=0)[0]


def test_a_line_begins_with_its_tag_and_envelope_in_their_order() -> None:
    assert list(json.loads(BODY + b"}")) == ["t", "n", "ts", "up", "s", "v", "op", "by", "why", "text"]


def test_text_is_not_escaped_beyond_what_json_needs() -> None:
    body = encode(envelope(Noted(text='é😀"\\\x01\u2028\x7f')))

    assert '"text":"é😀\\"\\\\\\u0001\u2028\x7f"'.encode() in body


def test_the_link_is_the_digest_of_the_link_before_and_the_bytes_of_the_line() -> None:
    line, h = close(BODY, GENESIS, durable=6, more=0)

    digest = hashlib.sha256(GENESIS.encode() + line[: line.index(b',"h":"')]).digest()
    assert base64.urlsafe_b64encode(digest).decode() == h + "="
    assert line.endswith(f',"d":6,"h":"{h}"}}\n'.encode())


def test_only_a_line_of_a_write_with_more_lines_says_how_many_follow() -> None:
    last, _ = close(BODY, GENESIS, durable=6, more=0)
    other, _ = close(BODY, GENESIS, durable=6, more=2)

    assert b'"m":' not in last
    assert (frame_of(last), frame_of(other)) == ((6, 0), (6, 2))


def test_an_event_comes_back_as_it_was() -> None:
    event = envelope(
        Counted(amount=-3, names=["a", "b"], labels={"k": "v"}, extra={"x": [True, False], "y": None})
    )

    assert decode(close(encode(event), GENESIS, durable=0, more=0)[0], SCHEMA) == event


def test_a_string_that_is_not_unicode_comes_back_as_it_was() -> None:
    text = b"caf\xe9".decode("utf-8", "surrogateescape")

    line, _ = close(encode(envelope(Noted(text=text))), GENESIS, durable=0, more=0)

    found = decode(line, SCHEMA)
    assert isinstance(found, Noted)
    assert found.text == text
    assert b"caf\\udce9" in line


def test_unknown_fields_are_skipped_and_absent_ones_take_their_default() -> None:
    line = whole_line().replace(b'"extra":{}', b'"future":[1]')

    found = decode(line, SCHEMA)

    assert isinstance(found, Counted)
    assert found.extra == {}
    assert not hasattr(found, "future")


def test_a_missing_field_without_default_is_named() -> None:
    with pytest.raises(Malformed, match=r"test.counted without 'names'"):
        decode(whole_line().replace(b'"names"', b'"nams"'), SCHEMA)


def test_an_unknown_tag_asks_for_the_newer_version() -> None:
    with pytest.raises(NewerSchema, match=r"has an event 'test.counted', this version knows schema 1"):
        decode(whole_line(), Schema(1, (Noted,)))


@pytest.mark.parametrize(
    "value", [1.5, {1: "x"}, [1, {"a": 2.0}], b"x", {"a"}, 1 << 64, -(1 << 63) - 1, Noted]
)
def test_what_not_every_reader_would_read_alike_is_refused_when_it_is_written(value: object) -> None:
    event = envelope(Counted(amount=0, names=[], labels={}, extra={"a": value}))  # type: ignore[dict-item]

    with pytest.raises(TypeError):
        encode(event)


@pytest.mark.parametrize(
    "line",
    [b"", b"{", b"[]", b"{}x", b'{"t":1.5}', b'{"t":NaN}', b"\xff{}", b'{"a":"\n"}', b"[" * 100_000, b"{}{}"],
)
def test_what_is_no_json_object_of_ours_is_malformed(line: bytes) -> None:
    with pytest.raises(Malformed):
        parse(line)


@pytest.mark.parametrize("line", [b"", b"\n", b'{"h":"x"}\n', BODY, BODY + b"\n"])
def test_a_line_without_link_is_malformed(line: bytes) -> None:
    with pytest.raises(Malformed):
        link_of(line)


def test_text_that_looks_like_a_frame_does_not_pass_for_one() -> None:
    line, h = close(encode(envelope(Noted(text='","d":9,"m":9,"h":"' + GENESIS))), GENESIS, durable=4, more=1)

    assert frame_of(line) == (4, 1)
    assert link_of(line) == h


def lines_with_links(count: int) -> list[bytes]:
    prev, made = GENESIS, []
    for n in range(1, count + 1):
        line, prev = close(encode(envelope(Noted(text=str(n)), n=n, v=n)), prev, durable=0, more=0)
        made.append(line)
    return made


@pytest.mark.parametrize("sha256", [fast_sha256(), hashlib.sha256])
def test_the_chain_is_good_up_to_the_line_that_was_changed(sha256: Any) -> None:
    lines = lines_with_links(5)
    whole = b"".join(lines)
    changed = b"".join([*lines[:2], lines[2].replace(b'"text":"3"', b'"text":"4"'), *lines[3:]])

    assert chain(whole, GENESIS, sha256) == (5, len(whole), link_of(lines[4]))
    assert chain(changed, GENESIS, sha256) == (2, len(lines[0] + lines[1]), link_of(lines[1]))


def test_a_link_in_other_letters_for_the_same_bytes_is_another_link() -> None:
    line = lines_with_links(1)[0]
    last = line[-4:-3]
    # 43 characters hold 258 bits: the last two of them do not matter to a decoder that is not strict.
    same = [bytes([other]) for other in b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"]
    passing = [letter for letter in same if chain(line[:-4] + letter + line[-3:], GENESIS)[0]]

    assert passing == [last]


def test_link_covers_every_byte_before_it() -> None:
    assert link(GENESIS, BODY) != link(GENESIS, BODY[:-1])
    assert link(GENESIS, BODY) != link("B" * 43, BODY)


class Renamed(Event, tag="test.renamed"):
    name: str


def test_older_lines_are_read_through_every_step_since() -> None:
    def rename(line: dict[str, Any]) -> dict[str, Any]:
        if line["t"] == "test.noted":
            line["t"], line["title"] = "test.titled", line.pop("text")
        return line

    def rename_again(line: dict[str, Any]) -> dict[str, Any]:
        if line["t"] == "test.titled":
            line["t"], line["name"] = "test.renamed", line.pop("title") + "!"
        return line

    newest = Schema(3, (Renamed,), (rename, rename_again))
    first, _ = close(BODY, GENESIS, durable=0, more=0)
    second = first.replace(b'"test.noted"', b'"test.titled"').replace(b'"text"', b'"title"')

    for line, written in ((first, 1), (second, 2)):
        found = decode(line, newest, written)
        assert isinstance(found, Renamed)
        assert (found.name, found.by, found.n) == ("hello!", BY, 7)
