"""Reading the past: all events, or those of one stream. Takes no lock and stands in nobody's way."""

from __future__ import annotations

import os
from itertools import pairwise

from eventstore.codec import END, chain, link_of
from eventstore.codec import decode as decode_line
from eventstore.cursor import Cursor
from eventstore.errors import Corrupt, JournalMissing, Malformed
from eventstore.segments import header_of, name_of
from eventstore.tail import Tail, whole_writes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from eventstore.event import Event
    from eventstore.schema import Schema


def read_events(
    directory: str, schema: Schema, *, after: int = 0, decode: Callable[[bytes], list[Event]] | None = None
) -> Iterator[Event]:
    """Events with n > `after`, to the journal's end as it is now; archived ones too."""
    tail = Tail(directory, schema, _start(directory, after), decode=decode, lenient=True)
    try:
        for events in tail.read():
            if events and events[-1].n > after:
                yield from (event for event in events if event.n > after)
    finally:
        tail.close()


def stream_events(directory: str, schema: Schema, stream: str) -> Iterator[Event]:
    """Events of one stream, in order: by index from sealed segments, the last one is read."""
    from eventstore.archive import all_numbers

    numbers = all_numbers(directory)
    for first, following in pairwise(numbers):
        yield from _indexed(directory, schema, stream, first, following)
    if not numbers:
        raise JournalMissing(directory)
    yield from _searched(directory, schema, stream, numbers[-1])


def _indexed(directory: str, schema: Schema, stream: str, first: int, following: int) -> Iterator[Event]:
    from eventstore.archive import open_any
    from eventstore.index import Index

    behind = open_any(directory, following)
    try:
        seal = str(header_of(behind, following, schema).prev.get("sha256"))
    finally:
        os.close(behind)
    segment = open_any(directory, first)
    try:
        written = header_of(segment, first, schema).schema
        for line in Index(directory, first, seal).lines(segment, stream):
            yield decode_line(line, schema, written)
    except Malformed as error:
        raise Corrupt(name_of(first), 1, str(error)) from None
    finally:
        os.close(segment)


def _searched(directory: str, schema: Schema, stream: str, first: int) -> Iterator[Event]:
    """From the segment that is written to: its bytes are searched, only the stream's lines are decoded."""
    from eventstore.archive import open_any
    from eventstore.index import encoded

    segment = open_any(directory, first)
    try:
        written = header_of(segment, first, schema).schema
        data = os.pread(segment, os.fstat(segment).st_size, 0)
    finally:
        os.close(segment)
    data = data[: whole_writes(data)]
    wanted = b',"s":"%b","v":' % encoded(stream)
    found, at = [], data.find(wanted)
    while at >= 0:
        start, end = data.rfind(b"\n", 0, at) + 1, data.index(b"\n", at) + 1
        try:
            fits = not start or chain(data[start:end], link_of(data[start - END : start]))[0]
        except Malformed:
            fits = False
        if not fits:  # torn, or damaged: let the ordinary reader tell which, and where
            return (event for event in read_events(directory, schema, after=first - 1) if event.s == stream)
        found.append(decode_line(data[start:end], schema, written))
        at = data.find(wanted, end)
    return iter(found)


def _start(directory: str, after: int) -> Cursor:
    """Before the segment that has line `after`."""
    from eventstore.archive import all_numbers, open_any

    numbers = [first for first in all_numbers(directory) if first <= max(after, 1)]
    if len(numbers) < 2:  # noqa: PLR2004 - the first segment starts the chain itself
        return Cursor()
    before = open_any(directory, numbers[-2])
    try:
        size = os.fstat(before).st_size
        h = link_of(os.pread(before, 64, max(0, size - 64)))
    except Malformed as error:
        raise Corrupt(name_of(numbers[-2]), 1, f"its last line {error}") from None
    finally:
        os.close(before)
    return Cursor(numbers[-1], 0, numbers[-1] - 1, h)
