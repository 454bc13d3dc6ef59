"""Where a stream's lines are in a sealed segment, so that its history need not read them all. A cache.

So are the lines with a keyword: a field that the schema names, such as a container's name.
"""

from __future__ import annotations

import os
import struct
from bisect import bisect_left
from hashlib import sha256
from itertools import pairwise
from zlib import crc32

from eventstore.codec import END, chain, encoded, link_of, parse, stream_of, time_of
from eventstore.errors import Malformed
from eventstore.segments import name_of, write_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import TypeVar

    from eventstore.schema import Schema
    from eventstore.sources import Source

    Read = Callable[[int, int], bytes]
    Answer = TypeVar("Answer")

FOLDER = "idx"
WORD = 12  # characters of a keyword that are indexed
_MAGIC = b"mdidx\0\0\2"
_HEAD = struct.Struct("<8s32sI")  # magic, the segment's SHA-256, CRC-32 of the keywords' names
_BODY = struct.Struct("<qqII")  # earliest and latest time, pages, CRC-32 of the times and the page table
_TIMES = struct.Struct("<qq")
_PAGE = struct.Struct("<8sI")  # first key of a page, its CRC-32
_ENTRY = struct.Struct("<8sII")  # key, offset of the line, its length
_PAGE_SIZE = 256 * _ENTRY.size
_KEY, _PLAIN = 8, 4  # bytes of a key, and of a word in it


class Mark:
    """What lines are found by: keys from `low` to `high`; `needle` is in each line that `fits`, and seldom in others."""

    __slots__ = ("fits", "high", "low", "needle")

    def __init__(self, low: bytes, high: bytes, needle: bytes, fits: Callable[[bytes], bool]) -> None:
        self.low, self.high, self.needle, self.fits = low, high, needle, fits


def of_stream(stream: str) -> Mark:
    """Lines of a stream."""
    name = encoded(stream)
    key = _stream_key(name)
    return Mark(key, key, b',"s":"%b","v":' % name, lambda line: stream_of(line) == name)


def of_word(word: str, schema: Schema) -> Mark:
    """Lines one of whose keywords is `word`, as far as keywords are indexed."""
    found = _word(word)
    key = _word_key(found)
    return Mark(key, key, b'"%b' % found, lambda line: found in _words_of(line, schema))


def of_beginning(text: str, schema: Schema) -> Mark:
    """Lines one of whose keywords begins with `text`, which is shorter than what is indexed, and ASCII."""
    begin = text.encode()
    low, high = (begin[:_PLAIN].ljust(_KEY, fill) for fill in (b"\0", b"\xff"))
    return Mark(
        low, high, b'"%b' % begin, lambda line: any(w.startswith(begin) for w in _words_of(line, schema))
    )


def _stream_key(name: bytes) -> bytes:
    return sha256(name).digest()[:_KEY]


def _word_key(word: bytes) -> bytes:
    """Its first bytes as they are, so that words which begin alike lie together; and of its hash."""
    return word[:_PLAIN].ljust(_PLAIN, b"\0") + sha256(word).digest()[: _KEY - _PLAIN]


def _word(value: str) -> bytes:
    return encoded(value[:WORD])


def _words_of(line: bytes, schema: Schema) -> set[bytes]:
    fields = schema.keywords.get(line[6 : line.find(b'"', 6)].decode("utf-8", "replace"), ())
    if not fields:
        return set()
    values = parse(line)
    return {_word(value) for field in fields if type(value := values.get(field)) is str}


class Index:
    """The index of the sealed segment `first` whose digest (in hex, as the next header has it) is `seal`.

    File: a head, a table of pages, pages of entries sorted by key and offset (docs/journal.md). One that does
    not fit the segment, the schema's keywords or itself is made again. Of a sound one two or three pages are read.
    """

    def __init__(self, directory: str, first: int, seal: str, schema: Schema) -> None:
        self.path = os.path.join(directory, FOLDER, f"{first:020d}.idx")
        self._first = first
        self._schema = schema
        self._about = (_MAGIC, bytes.fromhex(seal), crc32(repr(sorted(schema.keywords.items())).encode()))

    def lines(self, segment: Source, marks: Iterable[Mark]) -> Iterator[bytes]:
        """The lines with one of `marks`, in order, each checked against the link before it. Malformed, Corrupt."""
        marks = list(marks)
        for offset, length in sorted(set(self._places(segment, marks))):
            before = min(offset, END)
            found = segment.read(before + length, offset - before)
            line = found[before:]
            if any(mark.fits(line) for mark in marks):
                if before and not chain(line, link_of(found[:before]))[0]:
                    raise Malformed(f"{name_of(self._first)} byte {offset}: the chain breaks here")
                yield line

    def times(self, segment: Source) -> tuple[int, int]:
        """The earliest and the latest time in the segment, ns since the epoch. Malformed, Corrupt."""
        times, _table = self._ask(segment, self._head)
        return times

    def make(self, segment: Source) -> bytes:
        """Write the file; what is in it."""
        content = self._content(segment.read(segment.size, 0))
        try:
            self._save(content)
        except OSError:
            return content  # a full or read-only disk costs the next reader the same 60 ms
        return content

    def _places(self, segment: Source, marks: list[Mark]) -> list[tuple[int, int]]:
        """(offset, length) of what may be the lines with one of these marks."""
        return self._ask(segment, lambda read: self._look_up(read, marks))

    def _ask(self, segment: Source, question: Callable[[Read], Answer]) -> Answer:
        """The answer of the file, or of one that is made anew where it is missing or does not fit."""
        try:
            file = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            file = -1
        if file >= 0:
            try:
                return question(lambda length, offset: os.pread(file, length, offset))
            except (OSError, ValueError, struct.error):
                pass
            finally:
                os.close(file)
        content = self.make(segment)
        return question(lambda length, offset: content[offset : offset + length])

    def _head(self, read: Read) -> tuple[tuple[int, int], bytes]:
        """The times, and the page table. ValueError, struct.error for what is not as it was written."""
        about = _HEAD.unpack(read(_HEAD.size, 0))
        earliest, latest, count, checked = _BODY.unpack(read(_BODY.size, _HEAD.size))
        table = read(count * _PAGE.size, _HEAD.size + _BODY.size)
        times = _TIMES.pack(earliest, latest)
        if about != self._about or crc32(times + table) != checked or len(table) != count * _PAGE.size:
            raise ValueError("of another segment, or damaged")
        return (earliest, latest), table

    def _look_up(self, read: Read, marks: list[Mark]) -> list[tuple[int, int]]:
        """ValueError, struct.error for what is not as it was written."""
        _times, table = self._head(read)
        pages = list(_PAGE.iter_unpack(table))
        start, found = _HEAD.size + _BODY.size + len(table), []
        for mark in marks:
            number = max(0, bisect_left(pages, (mark.low, 0)) - 1)
            while number < len(pages) and pages[number][0] <= mark.high:
                page = read(_PAGE_SIZE, start + number * _PAGE_SIZE)
                if crc32(page) != pages[number][1]:
                    raise ValueError("a page is damaged")
                found += [
                    place[1:] for place in _ENTRY.iter_unpack(page) if mark.low <= place[0] <= mark.high
                ]
                number += 1
        return found

    def _content(self, data: bytes) -> bytes:
        streams: dict[bytes, list[tuple[int, int]]] = {}
        words: dict[bytes, list[tuple[int, int]]] = {}
        offset, lines = 0, data.split(b"\n")[:-1]
        for line in lines:
            place = (offset, len(line) + 1)
            offset += place[1]
            streams.setdefault(stream_of(line), []).append(place)
            for word in _words_of(line, self._schema):
                words.setdefault(word, []).append(place)
        keyed = [(_stream_key(name), found) for name, found in streams.items()]
        keyed = sorted([*keyed, *((_word_key(word), found) for word, found in words.items())])
        entries = b"".join(_ENTRY.pack(key, *place) for key, found in keyed for place in found)
        edges = [*range(0, len(entries), _PAGE_SIZE), len(entries)]
        pages = [entries[start:end] for start, end in pairwise(edges)]
        table = b"".join(_PAGE.pack(page[:8], crc32(page)) for page in pages)
        then = [time_of(line) for line in lines]
        times = (min(then), max(then))
        checked = crc32(_TIMES.pack(*times) + table)
        body = _BODY.pack(*times, len(pages), checked)
        return b"".join([_HEAD.pack(*self._about), body, table, entries])

    def _save(self, content: bytes) -> None:
        os.makedirs(os.path.dirname(self.path), 0o700, exist_ok=True)
        temporary = f"{self.path}.{os.getpid()}"
        file = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            write_all(file, content)
        finally:
            os.close(file)
        os.rename(temporary, self.path)
