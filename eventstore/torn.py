"""Torn or corrupt? Bytes that nobody was told of may be cut off; acknowledged ones may not."""

from __future__ import annotations

import os

from eventstore.codec import chain, frame_of, link_of, parse
from eventstore.errors import Malformed


def whole_lines(rest: bytes) -> list[bytes]:
    """The lines in `rest` that could be events by themselves, whatever is around them."""
    found = []
    for line in rest.split(b"\n")[:-1]:
        try:
            link_of(line + b"\n")
            frame_of(line + b"\n")
            parse(line)
        except Malformed:
            continue
        found.append(line + b"\n")
    return found


def known_written(file: int, offset: int, n: int, h: str) -> int:
    """The highest line that what is behind `offset` proves to have been on disk; line `n` with link `h` ends there.

    Each line says up to which line the journal was on disk when it was written. And a line that continues
    the chain behind bytes that do not belong there is no unfinished write, which has nothing behind it.
    """
    rest = os.pread(file, os.fstat(file).st_size - offset, offset)
    lines = whole_lines(rest)
    good, size, last = chain(rest, h)
    inserted = any(chain(line, last)[0] for line in whole_lines(rest[size:]))
    return max([n + good + 1 if inserted else 0, *(frame_of(line)[0] for line in lines)])
