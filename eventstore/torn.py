"""Torn or corrupt? Bytes that nobody was told of may be cut off; acknowledged ones may not."""

from __future__ import annotations

import os

from eventstore.codec import frame_of, link_of, parse
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


def highest_mark(file: int, offset: int) -> int:
    """The highest durable mark in the lines at or behind `offset`: so many lines were once known to be on disk."""
    rest = os.pread(file, os.fstat(file).st_size - offset, offset)
    return max((frame_of(line)[0] for line in whole_lines(rest)), default=0)
