"""What a time means in a journal whose clock may jump: the order is the journal's, never the clock's.

A time is the moment behind the last event before the first one that is later. So what came before it is settled
by the lines themselves, and later jumps of the clock change no answer. Found by the segments and their indexes;
snapshots have no say in it.
"""

from __future__ import annotations

from itertools import pairwise

from eventstore.archive import all_numbers, head_of, open_source
from eventstore.codec import number_of, time_of
from eventstore.errors import Corrupt, JournalMissing, Malformed
from eventstore.index import Index
from eventstore.segments import name_of
from eventstore.tail import whole_writes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from eventstore.schema import Schema


class Times:
    """Of the journal in `directory` as it is now; times are ns since the epoch. JournalMissing, NotReadable, Corrupt.

    `progress` is told how many segments of how many were looked at: where an index is missing, that takes a while.
    """

    def __init__(
        self,
        directory: str,
        schema: Schema,
        progress: Callable[[int, int], None] = lambda _done, _all: None,
    ) -> None:
        self._directory, self._schema, self._progress = directory, schema, progress
        self._numbers = all_numbers(directory)
        if not self._numbers:
            raise JournalMissing(directory)
        self._last = self._numbers[-1]  # the segment that is written to has no index

    def last_until(self, ts: int) -> int:
        """The number of the last event before the first one that is later than `ts`; 0: that is the very first."""
        for first, following in self._sealed():
            if self._bounds(first, following)[1] > ts:
                return next(n for n, then in self._times(first) if then > ts) - 1
        n = self._last - 1
        for n, then in self._times(self._last):
            if then > ts:
                return n - 1
        return n

    def comes_again(self, n: int, ts: int) -> bool:
        """Whether an event behind number `n` is not later than `ts`, though the one after `n` is: the clock was set back."""
        for first, following in self._sealed():
            if following <= n + 1 or self._bounds(first, following)[0] > ts:
                continue
            if any(number > n and then <= ts for number, then in self._times(first)):
                return True
        return any(number > n and then <= ts for number, then in self._times(self._last))

    def place_before(self, ts: int) -> int:
        """A number, of the event before a segment, so that all events of `ts` and later are behind it."""
        for first, following in self._sealed():
            if self._bounds(first, following)[1] >= ts:
                return first - 1
        return self._last - 1

    def _sealed(self) -> Iterator[tuple[int, int]]:
        """The first numbers of a sealed segment and of the next one."""
        for done, pair in enumerate(pairwise(self._numbers)):
            self._progress(done, len(self._numbers))
            yield pair

    def _bounds(self, first: int, following: int) -> tuple[int, int]:
        """The earliest and the latest time in a sealed segment; of a damaged one, by its header and the next."""
        after = head_of(self._directory, following, self._schema)
        with open_source(self._directory, first) as source:
            try:
                return Index(self._directory, first, str(after.prev.get("sha256")), self._schema).times(
                    source
                )
            except Malformed:
                begun = head_of(self._directory, first, self._schema).ts
                return min(begun, after.ts), max(begun, after.ts)

    def _times(self, first: int) -> Iterator[tuple[int, int]]:
        """(number, time) of each event of a segment, up to an unfinished write."""
        with open_source(self._directory, first) as source:
            data = source.read(source.size, 0)
        for place, line in enumerate(data[: whole_writes(data)].split(b"\n")[:-1]):
            try:
                yield number_of(line), time_of(line)
            except Malformed as error:
                raise Corrupt(name_of(first), place + 1, str(error)) from None
