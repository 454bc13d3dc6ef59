"""Reading the past: all events, or those of one stream. Takes no lock and stands in nobody's way."""

from __future__ import annotations

from itertools import pairwise

from eventstore.archive import all_numbers, cursor_behind, head_of, open_source
from eventstore.codec import END, chain, link_of
from eventstore.codec import decode as decode_line
from eventstore.cursor import Cursor
from eventstore.errors import Corrupt, JournalMissing, Malformed
from eventstore.index import Index, of_beginning, of_stream, of_word
from eventstore.segments import LINE_LIMIT, header_in, name_of
from eventstore.tail import Tail, whole_writes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from eventstore.event import Event
    from eventstore.index import Mark
    from eventstore.schema import Schema

    Decoder = Callable[[bytes], list[Event]] | None
    Told = Callable[[int, int], object]


def _untold(_done: int, _all: int) -> None:
    pass


def read_events(
    directory: str, schema: Schema, *, after: int = 0, at: Cursor | None = None, decode: Decoder = None
) -> Iterator[Event]:
    """Events with n > `after`, or from `at` on, to the journal's end as it is now; archived ones too."""
    tail = Tail(directory, schema, at or cursor_before(directory, after + 1), decode=decode, lenient=True)
    try:
        for events in tail.read():
            yield from events
    finally:
        tail.close()


def sound_events(directory: str, schema: Schema, *, at: Cursor, decode: Decoder = None) -> Iterator[Event]:
    """Events behind `at` up to the first damage, of which nothing is said. JournalMissing, NotReadable, NewerSchema."""
    tail = Tail(directory, schema, at, decode=decode, lenient=True)
    try:
        for events in tail.read():
            yield from events
    except Corrupt:
        yield from tail.sound_rest()
    finally:
        tail.close()


def read_lines(
    directory: str, schema: Schema, *, after: int = 0, decode: Decoder = None
) -> Iterator[tuple[Event, bytes]]:
    """The same, each with its line, byte for byte as it is on disk."""
    tail = Tail(directory, schema, cursor_before(directory, after + 1), decode=decode, lenient=True)
    try:
        for events in tail.read():
            yield from zip(events, tail.lines.splitlines(keepends=True), strict=True)
    finally:
        tail.close()


def cursor_before(directory: str, n: int) -> Cursor:
    """The position from which line `n` is read next; the journal's end where there is no such line. Corrupt."""
    numbers = [first for first in all_numbers(directory) if first <= n]
    if n <= 1 or not numbers:
        return Cursor()
    at = (
        cursor_behind(directory, *numbers[-2:]) if len(numbers) > 1 else Cursor(numbers[0], 0, numbers[0] - 1)
    )
    if n == at.segment:
        return at
    with open_source(directory, at.segment) as source:
        data = source.read(source.size, 0)
    end, there = 0, at.n
    while there < n - 1 and (newline := data.find(b"\n", end)) >= 0:
        end, there = newline + 1, there + 1
    try:
        return Cursor(at.segment, end, there, link_of(data[max(0, end - END) : end]))
    except Malformed as error:
        raise Corrupt(name_of(at.segment), there - at.n, str(error)) from None


def last_event(directory: str, schema: Schema) -> Event | None:
    """The last event of the journal as it is now, unchecked; None where its last segment holds no whole line."""
    numbers = all_numbers(directory)
    if not numbers:
        raise JournalMissing(directory)
    with open_source(directory, numbers[-1]) as source:
        written = header_in(source.head(), numbers[-1], schema).schema
        data = source.read(4 * LINE_LIMIT, max(0, source.size - 4 * LINE_LIMIT))
    for line in reversed(data.split(b"\n")[:-1]):
        try:
            return decode_line(line, schema, written)
        except Malformed:  # torn
            continue
    return None


def stream_events(directory: str, schema: Schema, *streams: str) -> Iterator[Event]:
    """Events of these streams, in order: by index from sealed segments, the last one is searched."""
    for event, _line in stream_lines(directory, schema, *streams):
        yield event


def stream_lines(
    directory: str, schema: Schema, *streams: str, told: Told = _untold
) -> Iterator[tuple[Event, bytes]]:
    """The same, each with its line, byte for byte as it is on disk.

    `told`: (segments that were looked into, all of them), now and then: to make the index of one takes 60 ms.
    """
    return _marked(directory, schema, [of_stream(stream) for stream in streams], told)


def word_events(directory: str, schema: Schema, word: str, *, told: Told = _untold) -> Iterator[Event]:
    """Events with a keyword (`schema.keywords`) that begins as `word` does: both as far as `index.WORD`."""
    for event, _line in _marked(directory, schema, [of_word(word, schema)], told):
        yield event


def beginning_events(directory: str, schema: Schema, text: str, *, told: Told = _untold) -> Iterator[Event]:
    """Events with a keyword that begins with `text`, which is ASCII and shorter than `index.WORD`."""
    for event, _line in _marked(directory, schema, [of_beginning(text, schema)], told):
        yield event


def _marked(directory: str, schema: Schema, marks: list[Mark], told: Told) -> Iterator[tuple[Event, bytes]]:
    numbers = all_numbers(directory)
    if not numbers:
        raise JournalMissing(directory)
    for done, (first, following) in enumerate(pairwise(numbers)):
        told(done, len(numbers))
        yield from _indexed(directory, schema, marks, first, following)
    yield from _searched(directory, schema, marks, numbers[-1])


def _indexed(
    directory: str, schema: Schema, marks: list[Mark], first: int, following: int
) -> Iterator[tuple[Event, bytes]]:
    """From a sealed segment; of an archived one only those parts are unpacked that hold what is wanted."""
    seal = str(head_of(directory, following, schema).prev.get("sha256"))
    with open_source(directory, first) as source:
        written = 0
        try:
            for line in Index(directory, first, seal, schema).lines(source, marks):
                written = written or header_in(source.head(), first, schema).schema
                yield decode_line(line, schema, written), line
        except Malformed as error:
            raise Corrupt(name_of(first), 1, str(error)) from None


def _searched(directory: str, schema: Schema, marks: list[Mark], first: int) -> Iterator[tuple[Event, bytes]]:
    """From the segment that is written to: its bytes are searched, only the wanted lines are decoded."""
    with open_source(directory, first) as source:
        written = header_in(source.head(), first, schema).schema
        data = source.read(source.size, 0)
    data = data[: whole_writes(data)]
    found = {}
    for mark in marks:
        at = data.find(mark.needle)
        while at >= 0:
            start, end = data.rfind(b"\n", 0, at) + 1, data.index(b"\n", at) + 1
            line = data[start:end]
            if mark.fits(line):
                if not _fits(
                    data, start, line
                ):  # torn, or damaged: let the ordinary reader tell which, and where
                    return _sifted(directory, schema, marks, first)
                found[start] = line
            at = data.find(mark.needle, end)
    return iter([(decode_line(found[start], schema, written), found[start]) for start in sorted(found)])


def _fits(data: bytes, start: int, line: bytes) -> bool:
    """Whether the line's link fits that of the line before it; a segment's first is taken as it is."""
    try:
        return not start or bool(chain(line, link_of(data[start - END : start]))[0])
    except Malformed:
        return False


def _sifted(directory: str, schema: Schema, marks: list[Mark], first: int) -> Iterator[tuple[Event, bytes]]:
    for event, line in read_lines(directory, schema, after=first - 1):
        if any(mark.fits(line) for mark in marks):
            yield event, line
