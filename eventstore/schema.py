"""The set of events that a journal holds, its number, and the journal's own housekeeping events."""

from __future__ import annotations

from eventstore.event import ENVELOPE, Event

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    type_of_upcaster = Callable[[dict[str, Any]], dict[str, Any]]

FRAME = ("t", "d", "m", "h")  # the keys that a line has beside its event's own
HOUSEKEEPING = "journal"  # the stream of the events below; their tags, and no others, begin with `journal.`


class SegmentHeader(Event, tag="journal.segment"):
    """First line of each segment. `prev` is {} in the first, else name, size, sha256 and last `n` of the one before."""

    journal: str
    schema: int
    fmt: int
    compat: list[str]
    incompat: list[str]
    boot: str
    prev: dict[str, int | str]


class Repaired(Event, tag="journal.repaired"):
    """`length` bytes were cut off behind `offset` of `segment` and kept in `kept`; `lines` of them were whole events.

    None were if only the last newline was missing, and was written again.
    """

    segment: str
    offset: int
    length: int
    sha256: str
    lines: int
    kept: str


class Archived(Event, tag="journal.archived"):
    """A sealed segment of `size` bytes went into the archive, as `packed` bytes; the digests of both."""

    segment: str
    size: int
    sha256: str
    packed: int
    packed_sha256: str


_HOUSEKEEPERS = (SegmentHeader, Repaired, Archived)
_OURS = frozenset(event.tag for event in _HOUSEKEEPERS)


class Schema:
    """Events by tag. `upcasters[i]` turns a line (as a dict) of schema i+1 into one of schema i+2. `keywords`: tags,
    and their fields by whose values `reader.word_events` finds events; such a field is never renamed.

    Lines on disk are never rewritten: a tag or field that was ever written is read through the upcasters.
    """

    def __init__(
        self,
        number: int,
        events: tuple[type[Event], ...],
        upcasters: tuple[type_of_upcaster, ...] = (),
        keywords: dict[str, tuple[str, ...]] | None = None,
    ) -> None:
        if number != len(upcasters) + 1:
            raise ValueError(f"schema {number} needs {number - 1} upcasters, got {len(upcasters)}")
        self.number = number
        self.events: tuple[type[Event], ...] = (*_HOUSEKEEPERS, *events)
        self.upcasters = upcasters
        self.keywords = keywords or {}
        self.by_tag: dict[str, type[Event]] = {event.tag: event for event in self.events}
        self.keys = {event.tag: frozenset((*ENVELOPE, *event.fields)) for event in self.events}
        if len(self.by_tag) != len(self.events):
            raise ValueError("two events with one tag")
        for event in self.events:
            taken = {*ENVELOPE, *FRAME, "tag", "fields", "defaults", "payload"}.intersection(event.fields)
            if taken:
                raise ValueError(f"{event.tag}: a field cannot be named {sorted(taken)}")

    def upcast(self, line: dict[str, Any], written: int) -> dict[str, Any]:
        """A line of schema `written` as the newest schema has it. Housekeeping events never change."""
        if line.get("t") in _OURS:
            return line
        for step in self.upcasters[written - 1 :]:
            line = step(line)
        return line
