"""What a container has said: stdout and stderr merged by time, from any line, and on as they grow.

A line's time is that of its end, as docker has it. Lines are bytes: NUL, invalid UTF-8 and lines of any
length pass as they are.
"""

from __future__ import annotations

import os
import sys
import time as clock

from effects.logindex import STREAMS
from effects.logparts import Stream

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType
    from typing import Self

    from effects.logparts import Group

_CHUNK = 1 << 18
_LINE_LIMIT = 1 << 16  # a longer line is handed over in pieces
_SECOND = 1_000_000_000
FALLBACK = 1.0  # seconds: file notification is a hint, this is the promise


class Piece:
    """Some whole lines of a stream that came at `time`, or a part of a very long one; `lost` bytes are missing
    before what follows. `final`: all there is at present, whether it ends a line or not.

    Unless times were asked for, lines of different times share a piece, and `time` is that of the last.
    """

    __slots__ = ("data", "final", "lost", "stream", "time")

    def __init__(self, stream: str, time: int, data: bytes, *, lost: int = 0, final: bool = False) -> None:
        self.stream, self.time, self.data, self.lost, self.final = stream, time, data, lost, final


class LogReader:
    """Reads the log directory of a container, whether its monitor lives or not. `complain` gets one line of
    text about a damaged index, and about bytes that were rotated away unread.
    """

    def __init__(self, directory: str, complain: Callable[[str], None] | None = None) -> None:
        self._complain = complain or _complain
        self._directory = directory
        dir_fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._dir = dir_fd
        self.streams = [Stream(dir_fd, name) for name in STREAMS]
        self._at = [0] * len(STREAMS)  # up to where all was handed over
        self._told = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for stream in self.streams:
            stream.close()
        os.close(self._dir)

    def pieces(
        self,
        *,
        tail: int | None = None,
        since: int | None = None,
        until: int | None = None,
        timed: bool = False,
    ) -> Iterator[Piece]:
        """The lines that came from `since` to `until` (ns since the epoch, both included), or the last `tail` of them.

        With `timed` each piece has the lines of one time.
        """
        ends = [stream.end if until is None else stream.until(until) for stream in self.streams]
        self._at = [0 if since is None else min(stream.since(since), end) for stream, end in self._with(ends)]
        surplus = 0
        if tail is not None:
            found = [
                s.lines_back(tail, end, at) for (s, end), at in zip(self._with(ends), self._at, strict=True)
            ]
            self._at = [start for start, _ in found]
            surplus = max(sum(lines for _, lines in found) - tail, 0)
        for piece in self._merged(ends, timed=timed):
            surplus = _leave_out(piece, surplus)
            if piece.data or piece.lost:
                yield piece
        self._tell_damage()

    def more(self, *, until: int | None = None, timed: bool = False) -> Iterator[Piece]:
        """What has come since the last `pieces` or `more`, unfinished lines too."""
        for stream in self.streams:
            stream.grow()
            if stream.missed:
                self._complain(
                    f"{stream.missed} bytes of {stream.name} were rotated away before they were read"
                )
                stream.missed = 0
        ends = [stream.end if until is None else stream.until(until) for stream in self.streams]
        if ends != self._at:
            yield from self._merged(ends, timed=timed)
            self._tell_damage()

    def follow(
        self, exited: Callable[[], bool], *, until: int | None = None, timed: bool = False
    ) -> Iterator[Piece | None]:
        """`more` whenever there is more, until `exited` says that nothing can come any more, or `until` has come.

        None is handed over before each wait: what was collected should be shown.
        """
        from effects.logwatch import Watch  # watchdog takes 50 ms to import

        with Watch(self._directory) as watch:
            while True:
                over = exited() or (until is not None and clock.time_ns() > until)
                yield from self.more(until=until, timed=timed)
                if over:
                    return
                yield None
                watch.wait(FALLBACK)

    def _with(self, ends: list[int]) -> Iterator[tuple[Stream, int]]:
        return zip(self.streams, ends, strict=True)

    def _merged(self, ends: list[int], *, timed: bool) -> Iterator[Piece]:
        """All lines from `_at` on, oldest first; moves `_at` to `ends`."""
        cursors = [
            _Cursor(stream, at, end, timed=timed)
            for (stream, end), at in zip(self._with(ends), self._at, strict=True)
        ]
        self._at = [max(at, end) for at, end in zip(self._at, ends, strict=True)]
        while True:
            waiting = [(time, number) for number, c in enumerate(cursors) if (time := c.time) is not None]
            if not waiting:
                return
            waiting.sort()
            piece = cursors[waiting[0][1]].take(waiting[1][0] if len(waiting) > 1 else None)
            if piece is not None:
                yield piece

    def _tell_damage(self) -> None:
        damaged = [stream.name for stream in self.streams if stream.damaged]
        if damaged and not self._told:
            self._told = True
            self._complain(f"some times of {' and '.join(damaged)} are unknown: their index is damaged")


class _Cursor:
    """Goes along a stream from `at` to `end`, by lines of one time or, if not `timed`, in larger steps."""

    def __init__(self, stream: Stream, at: int, end: int, *, timed: bool) -> None:
        self._stream, self._at, self._end, self._timed = stream, at, end, timed
        self._seen = at  # there is no newline between `_at` and here
        self._last = self._latest = 0
        self._groups = _within(stream.groups(at), at, end)
        self._group: Group | None = None
        self._block, self._block_at = b"", 0  # read ahead: most lines are short
        self._advance()

    @property
    def time(self) -> int | None:
        """When the next lines came; None at the end. Never runs backwards, as the clock may."""
        return None if self._group is None and self._at >= self._end else self._latest

    def take(self, bound: int | None) -> Piece | None:
        """The next lines, none of which came after `bound`; None if there was only the beginning of one."""
        group = self._group
        if group is None:
            return Piece(self._stream.name, self._last, self._until(self._end), final=True)
        time, end, lost = group
        if lost:
            self._advance()
            return Piece(self._stream.name, time, b"", lost=lost)
        limit = self._seen + _CHUNK
        while end <= limit:
            following = self._advance()
            if following is None or following[2] or self._timed or end == limit:
                break
            if bound is not None and self._latest > bound:
                break
            time, end, _ = following
        self._last = time
        data = self._lines(min(end, limit))
        return Piece(self._stream.name, time, data) if data else None

    def _advance(self) -> Group | None:
        self._group = next(self._groups, None)
        if self._group is not None:
            self._latest = max(self._latest, self._group[0])
        return self._group

    def _lines(self, end: int) -> bytes:
        """All that is complete before `end`; the beginning of a line only if it is very long."""
        cut = self._seen + self._read(self._seen, end).rfind(b"\n") + 1
        if cut > self._seen:
            data = self._until(cut)
        elif end - self._at > _LINE_LIMIT:
            data = self._until(end)
        else:
            data = b""
        self._seen = end
        return data

    def _until(self, end: int) -> bytes:
        data, self._at = self._read(self._at, end), end
        return data

    def _read(self, at: int, end: int) -> bytes:
        if not self._block_at <= at <= end <= self._block_at + len(self._block):
            self._block_at, self._block = at, self._load(at, max(end, min(at + _CHUNK, self._end)))
        return self._block[at - self._block_at : end - self._block_at]

    def _load(self, at: int, end: int) -> bytes:
        pieces = []
        while at < end:
            # A file that somebody cut short is read as zeros, so that offsets hold.
            pieces.append(self._stream.read(at, end - at) or bytes(end - at))
            at += len(pieces[-1])
        return b"".join(pieces)


def _within(groups: Iterator[Group], at: int, limit: int) -> Iterator[Group]:
    """The groups of the bytes from `at` to `limit`."""
    for time, end, lost in groups:
        if at >= limit and not lost:
            return
        if end <= limit or not lost:
            yield time, min(end, limit), lost
        at = end


def _leave_out(piece: Piece, surplus: int) -> int:
    """Take the first `surplus` lines off the piece; returns how many are still to go."""
    if not surplus:
        return 0
    piece.lost = 0
    found = piece.data.count(b"\n")
    if found < surplus:
        piece.data = b""
        return surplus - found - piece.final
    at = 0
    for _ in range(surplus):
        at = piece.data.index(b"\n", at) + 1
    piece.data = piece.data[at:]
    return 0


def _complain(text: str) -> None:
    sys.stderr.write(f"mydocker: {text}\n")
