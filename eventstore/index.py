"""Where a stream's lines are in a sealed segment, so that the history of one stream need not read them all. A cache."""

from __future__ import annotations

import hashlib
import os
import struct
from contextlib import suppress

from eventstore.codec import END, chain, link_of, to_json
from eventstore.errors import Malformed
from eventstore.segments import name_of, write_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER = "idx"
_MAGIC = b"mdidx\0\0\1"
_DIGEST = 32
_ENTRY = struct.Struct("<8sII")  # first bytes of the stream's SHA-256, offset of the line, its length


def stream_of(line: bytes) -> bytes:
    """The stream of a line, still JSON-encoded: an unescaped quote cannot be inside it."""
    start = line.find(b',"s":"') + 6
    return line[start : line.find(b'","v":', start)]


def encoded(stream: str) -> bytes:
    """A stream's name as it is within a line."""
    return to_json({"": stream})[5:-2]


def _key(stream: bytes) -> bytes:
    return hashlib.sha256(stream).digest()[:8]


class Index:
    """The index of the sealed segment `first` whose digest (in hex, as the next header has it) is `seal`.

    File: magic, the segment's digest, the SHA-256 of what follows, then entries sorted by key and
    offset. One that does not fit the segment or itself is made again.
    """

    def __init__(self, directory: str, first: int, seal: str) -> None:
        self.path = os.path.join(directory, FOLDER, f"{first:020d}.idx")
        self._head = _MAGIC + bytes.fromhex(seal)
        self._first = first

    def lines(self, segment: int, stream: str) -> Iterator[bytes]:
        """The lines of `stream` in the open file `segment`, each checked against the link before it."""
        wanted = encoded(stream)
        entries = self._load() or self._make(segment)
        for offset, length in _found(entries, _key(wanted)):
            line = os.pread(segment, length, offset)
            if stream_of(line) == wanted:
                if offset and not chain(line, link_of(os.pread(segment, END, offset - END)))[0]:
                    raise Malformed(f"{name_of(self._first)} byte {offset}: the chain breaks here")
                yield line

    def _load(self) -> bytes | None:
        try:
            with open(self.path, "rb") as file:
                data = file.read()
        except OSError:
            return None
        start = len(self._head) + _DIGEST
        entries = data[start:]
        if data[:start] != self._head + hashlib.sha256(entries).digest():
            return None
        return entries

    def _make(self, segment: int) -> bytes:
        data = os.pread(segment, os.fstat(segment).st_size, 0)
        places: dict[bytes, list[tuple[int, int]]] = {}
        offset = 0
        for line in data.split(b"\n")[:-1]:
            length = len(line) + 1
            places.setdefault(stream_of(line), []).append((offset, length))
            offset += length
        keyed = sorted((_key(stream), found) for stream, found in places.items())
        entries = b"".join(_ENTRY.pack(key, *place) for key, found in keyed for place in found)
        with suppress(OSError):  # a full or read-only disk costs the next reader the same 50 ms
            self._save(entries)
        return entries

    def _save(self, entries: bytes) -> None:
        os.makedirs(os.path.dirname(self.path), 0o700, exist_ok=True)
        temporary = f"{self.path}.{os.getpid()}"
        file = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            write_all(file, self._head + hashlib.sha256(entries).digest() + entries)
        finally:
            os.close(file)
        os.rename(temporary, self.path)


def _found(entries: bytes, key: bytes) -> Iterator[tuple[int, int]]:
    """(offset, length) of the entries with `key`, by binary search."""
    low, high = 0, len(entries) // _ENTRY.size
    while low < high:
        middle = (low + high) // 2
        if _ENTRY.unpack_from(entries, middle * _ENTRY.size)[0] < key:
            low = middle + 1
        else:
            high = middle
    for place in range(low * _ENTRY.size, len(entries), _ENTRY.size):
        found, offset, length = _ENTRY.unpack_from(entries, place)
        if found != key:
            return
        yield offset, length
