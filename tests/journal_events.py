"""A small set of events, a projection and helpers for the tests of the journal, which knows no containers."""

from __future__ import annotations

from typing import Any

from eventstore.event import Event
from eventstore.schema import Schema

BY: dict[str, int | str] = {"uid": 1000, "login": 1000, "pid": 77, "cmd": "put 'ä' --password ***"}


class Noted(Event, tag="test.noted"):
    text: str


class Counted(Event, tag="test.counted"):
    amount: int
    names: list[str]
    labels: dict[str, str]
    extra: dict[str, int | list[bool] | None] = {}  # noqa: RUF012 - a field's default, as Event documents it


SCHEMA = Schema(1, (Noted, Counted))


class World:
    """Versions by stream, and everything that was applied."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.versions: dict[str, int] = {}

    def apply(self, event: Event) -> None:
        assert event.n == (self.events[-1].n + 1 if self.events else 1)
        assert event.v == self.version(event.s) + 1
        self.events.append(event)
        self.versions[event.s] = event.v

    def version(self, stream: str) -> int:
        return self.versions.get(stream, 0)

    def texts(self) -> list[str]:
        return [event.text for event in self.events if event.tag == Noted.tag and isinstance(event, Noted)]


def envelope(event: Event, n: int = 1, v: int = 1, **changes: Any) -> Event:
    """`event` as if a journal had stamped it."""
    event.n, event.v, event.s, event.ts, event.up = n, v, "thing/1", 1_760_000_000_123_456_789, 5_000_000_000
    event.op, event.by, event.why = "0" * 32, BY, "user"
    event.__dict__.update(changes)
    return event
