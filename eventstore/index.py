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

from eventstore.codec import END, chain, encoded, link_of, parse, stream_of
from eventstore.errors import Malformed
from eventstore.segments import name_of, write_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from eventstore.schema import Schema
    from eventstore.sources import Source

    Read = Callable[[int, int], bytes]

FOLDER = "idx"
WORD = 12  # characters of a keyword that are indexed
_MAGIC = b"mdidx\0\0\1"
_HEAD = struct.Struct(
    "<8s32sIII"
)  # magic, the segment's SHA-256, CRC-32 of the keywords' names, pages, CRC-32 of the page table
_PAGE = struct.Struct("<8sI")  # first key of a page, its CRC-32
_ENTRY = struct.Struct("<8sII")  # first bytes of the name's SHA-256, offset of the line, its length
_PAGE_SIZE = 256 * _ENTRY.size


class Mark:
    """What lines are found by: `name` is hashed, `needle` is in each line that `fits`, and seldom in others."""

    __slots__ = ("fits", "key", "needle")

    def __init__(self, name: bytes, needle: bytes, fits: Callable[[bytes], bool]) -> None:
        self.key = _key(name)
        self.needle, self.fits = needle, fits


def of_stream(stream: str) -> Mark:
    """Lines of a stream."""
    name = encoded(stream)
    return Mark(name, b',"s":"%b","v":' % name, lambda line: stream_of(line) == name)


def of_word(word: str, schema: Schema) -> Mark:
    """Lines one of whose keywords begins as `word` does, as far as keywords are indexed."""
    name = _word(word)
    return Mark(name, b'"%b' % name[1:], lambda line: name in _words_of(line, schema))


def _key(name: bytes) -> bytes:
    return sha256(name).digest()[:8]


def _word(value: str) -> bytes:
    return b"\0" + encoded(value[:WORD])  # no stream has a raw NUL within a line


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
        for offset, length in sorted(set(self._places(segment, [mark.key for mark in marks]))):
            before = min(offset, END)
            found = segment.read(before + length, offset - before)
            line = found[before:]
            if any(mark.fits(line) for mark in marks):
                if before and not chain(line, link_of(found[:before]))[0]:
                    raise Malformed(f"{name_of(self._first)} byte {offset}: the chain breaks here")
                yield line

    def make(self, segment: Source) -> bytes:
        """Write the file; what is in it."""
        content = self._content(segment.read(segment.size, 0))
        try:
            self._save(content)
        except OSError:
            return content  # a full or read-only disk costs the next reader the same 60 ms
        return content

    def _places(self, segment: Source, keys: list[bytes]) -> list[tuple[int, int]]:
        """(offset, length) of what may be the lines with one of these keys."""
        try:
            file = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            file = -1
        if file >= 0:
            try:
                return self._look_up(lambda length, offset: os.pread(file, length, offset), keys)
            except (OSError, ValueError, struct.error):
                pass
            finally:
                os.close(file)
        content = self.make(segment)
        return self._look_up(lambda length, offset: content[offset : offset + length], keys)

    def _look_up(self, read: Read, keys: list[bytes]) -> list[tuple[int, int]]:
        """ValueError, struct.error for what is not as it was written."""
        *about, count, checked = _HEAD.unpack(read(_HEAD.size, 0))
        table = read(count * _PAGE.size, _HEAD.size)
        if tuple(about) != self._about or crc32(table) != checked or len(table) != count * _PAGE.size:
            raise ValueError("of another segment, or damaged")
        pages = list(_PAGE.iter_unpack(table))
        start, found = _HEAD.size + len(table), []
        for key in keys:
            number = max(0, bisect_left(pages, (key, 0)) - 1)
            while number < count and pages[number][0] <= key:
                page = read(_PAGE_SIZE, start + number * _PAGE_SIZE)
                if crc32(page) != pages[number][1]:
                    raise ValueError("a page is damaged")
                found += [place[1:] for place in _ENTRY.iter_unpack(page) if place[0] == key]
                number += 1
        return found

    def _content(self, data: bytes) -> bytes:
        places: dict[bytes, list[tuple[int, int]]] = {}
        offset = 0
        for line in data.split(b"\n")[:-1]:
            place = (offset, len(line) + 1)
            offset += place[1]
            places.setdefault(stream_of(line), []).append(place)
            for word in _words_of(line, self._schema):
                places.setdefault(word, []).append(place)
        keyed = sorted((_key(name), found) for name, found in places.items())
        entries = b"".join(_ENTRY.pack(key, *place) for key, found in keyed for place in found)
        edges = [*range(0, len(entries), _PAGE_SIZE), len(entries)]
        pages = [entries[start:end] for start, end in pairwise(edges)]
        table = b"".join(_PAGE.pack(page[:8], crc32(page)) for page in pages)
        return b"".join([_HEAD.pack(*self._about, len(pages), crc32(table)), table, entries])

    def _save(self, content: bytes) -> None:
        os.makedirs(os.path.dirname(self.path), 0o700, exist_ok=True)
        temporary = f"{self.path}.{os.getpid()}"
        file = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            write_all(file, content)
        finally:
            os.close(file)
        os.rename(temporary, self.path)
