"""A position in a journal: behind a whole line, known by its number and its link."""

from __future__ import annotations

from eventstore.codec import GENESIS


class Cursor:
    """Behind line `n` with link `h`, which ends at byte `offset` of the segment whose first line is `segment`.

    `Cursor()` is before everything. Travels to another process as JSON: `Cursor.load(cursor.dump())`.
    """

    __slots__ = ("h", "n", "offset", "segment")

    def __init__(self, segment: int = 0, offset: int = 0, n: int = 0, h: str = GENESIS) -> None:
        self.segment = segment
        self.offset = offset
        self.n = n
        self.h = h

    def dump(self) -> list[int | str]:
        return [self.segment, self.offset, self.n, self.h]

    @classmethod
    def load(cls, dumped: list[int | str]) -> Cursor:
        segment, offset, n, h = dumped
        if not (
            type(segment) is type(offset) is type(n) is int and type(h) is str and len(h) == len(GENESIS)
        ):
            raise ValueError(f"{dumped!r} is no cursor")
        return cls(segment, offset, n, h)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Cursor) and self.dump() == other.dump()

    def __hash__(self) -> int:
        return hash(self.h)

    def __repr__(self) -> str:
        return f"Cursor({self.segment}:{self.offset}, n={self.n}, h={self.h[:8]})"
