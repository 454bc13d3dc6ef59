"""Reading on from a cursor: whole lines of complete writes, in order, checked, across segments, without a lock."""

from __future__ import annotations

import gc
import os
import stat

from eventstore.codec import END, chain, encoded, fast_sha256, frame_of, link_of, number_of, stream_of
from eventstore.codec import decode as decode_line
from eventstore.cursor import Cursor
from eventstore.errors import AheadOfJournal, Corrupt, JournalMissing, Malformed, StaleCursor
from eventstore.segments import LINE_LIMIT, header_of, name_of, open_segment, segment_numbers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from typing import Protocol

    from eventstore.codec import Digest
    from eventstore.event import Event
    from eventstore.schema import Schema, SegmentHeader

    class Projection(Protocol):
        """State folded from events; the journal asks it for nothing but stream versions."""

        def apply(self, event: Event, /) -> None: ...
        def version(self, stream: str, /) -> int: ...


PIECE = 64 << 10  # bytes read at once: a matter of the processor's cache, 1 MiB is 15 % slower
LEAN_TAIL = 256 << 10  # bytes up to which one line after the other is quicker than `import msgspec`


def whole_writes(piece: bytes) -> int:
    """Bytes of `piece` up to the end of its last complete write (docs/journal.md, "m")."""
    end = piece.rfind(b"\n") + 1
    while end:
        start = piece.rfind(b"\n", 0, end - 1) + 1
        try:
            more = frame_of(piece[start:end])[1]
        except Malformed:
            return end  # the chain will say which line is bad
        if not more:
            return end
        end = start
    return 0


class Tail:
    """Yields the events behind `cursor`, which moves with them.

    `decode` turns pieces of whole lines into events where there is much to read. Sealed segments are
    then checked by their digest, everything else by the chain. Damage raises Corrupt; with `lenient`
    (nobody has recovered the journal since the boot) a torn end is left out instead. `only`: the streams whose
    events are wanted, where that is not all; the others' lines are checked alike, but not decoded.
    """

    def __init__(
        self,
        directory: str,
        schema: Schema,
        cursor: Cursor,
        *,
        decode: Callable[[bytes], list[Event]] | None = None,
        lenient: bool = False,
        only: Collection[str] = (),
    ) -> None:
        self.directory = directory
        self.schema = schema
        self.cursor = cursor
        self.lenient = lenient
        self.lines = b""  # those of the events that were yielded last
        self.opened = 0  # how often a segment was opened
        self.ahead = False  # the projection has more, or only a part, of what is behind the cursor
        self.header: SegmentHeader
        self._bulk = decode
        self._only = frozenset(map(encoded, only))
        self._file, self._size = -1, 0
        self._complete = False  # there was once no segment behind the one at hand
        self._digest: Digest | None = None  # over the segment so far, where it is read from its start in bulk
        self._before = ""  # the link before the segment's first line
        self._open(cursor.segment or self._oldest())

    def read(self) -> Iterator[list[Event]]:
        """Everything up to the end of the journal as it is now."""
        while True:
            yield from self._rest_of_segment()
            n = self.cursor.n
            if self._exists(n + 1):
                self._move_on(n + 1)
            elif self._complete or segment_numbers(self.directory)[-1] <= self.cursor.segment:
                break
            else:
                yield from self._rest_of_segment()  # what was written before a later segment was made
                if self.cursor.n == n:
                    raise self._gap()
        self._complete = True

    def _exists(self, segment: int) -> bool:
        if os.access(f"{self.directory}/{name_of(segment)}", os.F_OK):
            return True
        if os.fstat(self._file).st_nlink:
            return False  # only what is behind an archived segment can be archived
        from eventstore.archive import archived_numbers

        return segment in archived_numbers(self.directory)

    def sound_rest(self) -> list[Event]:
        """After Corrupt: what is sound of the piece in which the damage is."""
        at = self.cursor
        piece = os.pread(self._file, PIECE, at.offset)
        _, size, _ = chain(piece, at.h)
        lines = piece[: whole_writes(piece[:size])]
        return self._decode(lines, bulk=False) if lines else []

    def catch_up(self, projection: Projection) -> int:
        """Apply all that was written since; how many events it was."""
        self.refuse_if_ahead()
        if self.nothing_new():
            return 0
        count, apply = 0, projection.apply
        collecting = gc.isenabled()
        gc.disable()  # events are no garbage and have no cycles: looking for them costs a fifth of a replay
        self.ahead = True  # until it is all applied
        try:
            for events in self.read():
                for event in events:
                    apply(event)
                count += len(events)
        finally:
            if collecting:
                gc.enable()
        self.ahead = False
        return count

    def nothing_new(self, last: int = 0) -> bool:
        """The usual case before an append, in a system call or two. Not sure means no. `last`: the last segment, if known."""
        at, found = self.cursor, os.fstat(self._file)
        self._size = found.st_size
        if found.st_size != at.offset or not found.st_nlink:
            return False
        return last == at.segment or (
            self._complete and not os.access(f"{self.directory}/{name_of(at.n + 1)}", os.F_OK)
        )

    def refuse_if_ahead(self) -> None:
        if self.ahead:
            raise AheadOfJournal

    def remainder(self) -> int:
        """Bytes that `read` left behind the cursor: those of an unfinished or torn write."""
        return self._size - self.cursor.offset

    def reopen(self) -> None:
        """After a recovery by somebody else: StaleCursor if it has cut off what was read before."""
        self._open(self.cursor.segment)

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _oldest(self) -> int:
        if not segment_numbers(self.directory):
            raise JournalMissing(self.directory)
        return 1

    def _open(self, segment: int) -> None:
        at = self.cursor
        file = self._open_any(segment)
        self.close()
        self._file = file
        self._digest = None
        self.opened += 1
        self.header = header_of(file, segment, self.schema)
        if not at.offset or at.segment != segment:
            self._before = at.h
        if at.segment != segment:
            self.cursor = Cursor(segment, 0, at.n, at.h)
        elif at.offset:
            try:
                found = link_of(os.pread(file, END, at.offset - END)) if at.offset > END else ""
            except Malformed:
                found = ""
            if found != at.h:
                raise StaleCursor(name_of(segment), at.offset, "another line ends there, or none")

    def _open_any(self, segment: int) -> int:
        try:
            return open_segment(self.directory, segment)
        except FileNotFoundError:
            from eventstore.archive import open_archived
        try:
            return open_archived(self.directory, segment)
        except FileNotFoundError:
            if not self.cursor.n:
                raise Corrupt(name_of(segment), 1, "the segment is missing") from None
            raise StaleCursor(name_of(segment), self.cursor.offset, "no such segment") from None

    def _rest_of_segment(self) -> Iterator[list[Event]]:
        found = os.fstat(self._file)
        if not found.st_nlink and found.st_mode & stat.S_IWUSR:
            self._open(self.cursor.segment)  # written anew after a failed sync, with the same bytes
            found = os.fstat(self._file)
        self._size = size = found.st_size
        offset = self.cursor.offset
        if size < offset:
            raise StaleCursor(name_of(self.cursor.segment), offset, f"the segment ends at {size}")
        bulk = self._bulk is not None and size - offset > LEAN_TAIL
        if bulk and not offset and segment_numbers(self.directory)[-1] > self.cursor.segment:
            self._digest = fast_sha256()(b"")
        if size - offset <= PIECE:  # what others have written since the last time
            piece = os.pread(self._file, size - offset, offset)
            end = whole_writes(piece)
            if end:
                yield self._take(piece[:end], bulk=False)
            return
        limit = self._end_of_writes(offset, size)
        while offset < limit:
            piece = os.pread(self._file, min(PIECE, limit - offset), offset)
            end = piece.rfind(b"\n") + 1
            if not end:  # a single line may be as long as a piece
                piece = os.pread(self._file, min(2 * LINE_LIMIT, limit - offset), offset)
                end = piece.rfind(b"\n") + 1 or len(piece)
            yield self._take(piece[:end], bulk=bulk)
            if self.cursor.offset != offset + end:
                return  # the rest is torn
            offset += end

    def _end_of_writes(self, offset: int, size: int) -> int:
        """Where the last complete write between the two ends."""
        window = PIECE
        while offset < size:
            start = max(offset, size - window)
            end = whole_writes(os.pread(self._file, size - start, start))
            if end or start == offset:
                return start + end
            window *= 2
        return offset

    def _take(self, lines: bytes, *, bulk: bool) -> list[Event]:
        at = self.cursor
        if self._digest is not None:
            self._digest.update(lines)
            h = lines[6 - END : -3].decode("latin-1")
        else:
            good, size, h = chain(lines, at.h, *((fast_sha256(),) if bulk else ()))
            if size < len(lines):
                lines = lines[: whole_writes(lines[:size])]
                h = link_of(lines) if lines else at.h
                self._torn_or_raise(at.n + good + 1, at.offset + len(lines), at.n + lines.count(b"\n"), h)
        self.lines = lines
        events = self._decode(lines, bulk=bulk)
        n = at.n + (lines.count(b"\n") if self._only else len(events))
        first, last = self._ends(lines, events) if n > at.n else (n + 1, n)
        if first != at.n + 1 or last != n:
            raise self._corrupt(
                at.n + 1, f"has number {first}, not {at.n + 1}, or one behind it is out of order"
            )
        self.cursor = Cursor(at.segment, at.offset + len(lines), n, h)
        return events

    def _decode(self, lines: bytes, *, bulk: bool) -> list[Event]:
        written = self.header.schema
        if self._only:
            lines = b"".join(
                [line for line in lines.splitlines(keepends=True) if stream_of(line) in self._only]
            )
        try:
            if bulk and self._bulk and written == self.schema.number:
                return self._bulk(lines)
            return [decode_line(line, self.schema, written) for line in lines.split(b"\n")[:-1]]
        except Malformed as error:
            good, _, _ = chain(lines, self.cursor.h)
            raise self._corrupt(self.cursor.n + 1 + min(good, lines.count(b"\n") - 1), str(error)) from None

    def _ends(self, lines: bytes, events: list[Event]) -> tuple[int, int]:
        """The numbers of the first and the last line; what is between them is held by the chain."""
        if not self._only:
            return events[0].n, events[-1].n
        try:
            return number_of(lines), number_of(lines[lines.rfind(b"\n", 0, -1) + 1 :])
        except Malformed as error:
            raise self._corrupt(self.cursor.n + 1, str(error)) from None

    def _move_on(self, following: int) -> None:
        """To the next segment, whose header must tell of this one what was read of it."""
        at = self.cursor
        if self.remainder():
            raise self._corrupt(at.n + 1, "bytes behind the last line of a sealed segment")
        digest = self._digest
        if digest is not None:
            from eventstore.archive import head_of

            if digest.hexdigest() != head_of(self.directory, following, self.schema).prev.get("sha256"):
                self._locate()
        self._open(following)
        prev = self.header.prev
        if (prev.get("name"), prev.get("size"), prev.get("last")) != (name_of(at.segment), at.offset, at.n):
            raise Corrupt(name_of(following), 1, f"does not follow {name_of(at.segment)} as it is")

    def _gap(self) -> Corrupt:
        if self.remainder():
            return self._corrupt(self.cursor.n + 1, "the segment ends in the midst of a write")
        return Corrupt(name_of(self.cursor.n + 1), 1, "the segment is missing")

    def _locate(self) -> None:
        """Raise Corrupt with the first bad line of a segment whose digest is wrong."""
        data = os.pread(self._file, os.fstat(self._file).st_size, 0)
        good, size, _ = chain(data, self._before, fast_sha256())
        first = self.cursor.segment
        what = "the chain breaks here" if size < len(data) else "the digest in the next segment is another"
        raise self._corrupt(first + min(good, self.cursor.n - first), what)

    def _torn_or_raise(self, bad: int, offset: int, n: int, h: str) -> None:
        """Line `bad` does not fit the chain: fine if nobody was told that anything behind line `n` is written."""
        last = segment_numbers(self.directory)[-1] == self.cursor.segment
        if self.lenient and last and bad > self.cursor.segment:
            from eventstore.torn import known_written

            if known_written(self._file, offset, n, h) <= n:
                return
        raise self._corrupt(bad, "the chain breaks here")

    def _corrupt(self, n: int, what: str) -> Corrupt:
        return Corrupt(name_of(self.cursor.segment), n - self.cursor.segment + 1, what)
