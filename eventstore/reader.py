"""Reading the past: all events, or those of one stream. Takes no lock and stands in nobody's way."""

from __future__ import annotations

from eventstore.cursor import Cursor
from eventstore.tail import Tail

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from eventstore.event import Event
    from eventstore.schema import Schema


def read_events(
    directory: str, schema: Schema, *, after: int = 0, decode: Callable[[bytes], list[Event]] | None = None
) -> Iterator[Event]:
    """Events with n > `after`, to the journal's end as it is now."""
    tail = Tail(directory, schema, Cursor(), decode=decode, lenient=True)
    try:
        for events in tail.read():
            if events and events[-1].n > after:
                yield from (event for event in events if event.n > after)
    finally:
        tail.close()


def stream_events(directory: str, schema: Schema, stream: str) -> Iterator[Event]:
    """Events of one stream, in order."""
    return (event for event in read_events(directory, schema) if event.s == stream)
