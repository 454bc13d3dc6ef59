"""`evolve` accepts every event in every state: what was recorded can always be read."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventstore.event import Event
from machine import events as ev
from machine.evolve_effects import UNREAD
from machine.resources import HOLDS
from machine.world import World
from tests.histories import C1, IN_LIFE, History, in_status

KINDS = sorted({kind for held in HOLDS.values() for kind in held} | {"signal"})
STREAMS = (
    f"container/{C1}",
    "container/b",
    "layer/l",
    "image/i",
    "network/n",
    "job/j",
    "host",
    "journal",
    "",
    "x/y/z",
)

texts = st.sampled_from(("", "c1", C1, "do", "undo", "change", "staging", "l", "j", *KINDS))
numbers = st.sampled_from((-1, 0, 1, 9, 1 << 62))
values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(texts, inner, max_size=2),
    max_leaves=4,
)
documents = st.dictionaries(
    st.sampled_from(
        ("limits", "auto_remove", "pid", "path", "network", "names", "subnet", "internal", "connections", "x")
    ),
    values,
    max_size=3,
)

# By annotation; a field of another type needs a row here.
OF_TYPE: dict[str, st.SearchStrategy[Any]] = {
    "str": texts,
    "int": numbers,
    "int | None": st.none() | numbers,
    "bool": st.booleans(),
    "list[str]": st.lists(texts, max_size=2),
    "list[int]": st.lists(numbers, max_size=2),
    "dict[str, Any]": documents,
    "list[dict[str, Any]]": st.lists(documents, max_size=2),
    "dict[str, str]": st.dictionaries(texts, texts, max_size=2),
    "dict[str, int | str]": st.dictionaries(texts, numbers | texts, max_size=2),
}


def of_kind(kind: type[Event]) -> st.SearchStrategy[Event]:
    """Events of one class with whatever its fields may hold."""
    fields = {name: OF_TYPE[kind.__annotations__[name]] for name in kind.fields}
    return st.builds(kind, **fields)


anything = st.tuples(st.sampled_from(STREAMS), st.one_of(*map(of_kind, ev.EVENTS)))


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(IN_LIFE), st.lists(anything, min_size=5, max_size=25))
def test_no_event_in_any_state_makes_evolve_raise(status: str, events: list[tuple[str, Event]]) -> None:
    history = in_status(status)
    for stream, event in events:
        history.note(stream, event)

    dump = history.world.dump()
    assert World.load(json.loads(json.dumps(dump))).dump() == dump
    assert history.world.names == World.load(dump).names


PLAIN = {
    "str": "directory",
    "int": 1,
    "int | None": None,
    "bool": False,
    "list[str]": [],
    "list[int]": [],
    "dict[str, Any]": {},
    "list[dict[str, Any]]": [],
    "dict[str, str]": {},
    "dict[str, int | str]": {},
}


def plain(event: type[Event], /, **fields: str) -> Event:
    values = {field: PLAIN[event.__annotations__[field]] for field in event.fields}
    return event(**{**values, **{field: value for field, value in fields.items() if field in values}})


def test_every_kind_of_event_in_every_state_folds() -> None:
    """Each pair once, with plain values: nothing is left to chance."""
    for status in IN_LIFE:
        for kind in ev.EVENTS:
            for stream in STREAMS:
                history: History = in_status(status)
                history.note(stream, plain(kind))


@pytest.mark.parametrize("status", IN_LIFE)
@pytest.mark.parametrize("restarts", [0, 1])  # by its policy: put off where its network fails
def test_what_no_fold_looks_at_may_be_missing(status: str, restarts: int) -> None:
    world = in_status(status).world
    world.containers[C1].restarts = restarts
    before = json.dumps(world.dump())
    for event in (event for event in ev.EVENTS if event.tag in UNREAD):
        looked_at = dict.fromkeys({"ts", "up"}.difference(UNREAD[event.tag]), 1)
        for verb, kind, key in itertools.product(("do", "undo", "change"), KINDS, (C1, "1")):
            for stream in (f"container/{C1}", "network/n", "host"):
                made = plain(event, verb=verb, kind=kind, key=key)
                made.__dict__ |= {
                    "s": stream,
                    "n": 1,
                    "v": 1,
                    **looked_at,
                }  # and nothing else of the envelope
                World.load(json.loads(before)).apply(made)
