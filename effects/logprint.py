"""Prints what a `LogReader` reads: stdout to stdout, stderr to stderr, with times in front if wanted."""

from __future__ import annotations

import os
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from effects.logread import LogReader, Piece

_SECOND = 1_000_000_000
_BATCH = 1 << 16


def print_logs(
    reader: LogReader,
    *,
    tail: int | None = None,
    since: int | None = None,
    until: int | None = None,
    timestamps: bool = False,
    exited: Callable[[], bool] | None = None,
    out: int = 1,
    err: int = 2,
) -> None:
    """All that was asked for; with `exited` also what comes until it is true and all was printed.

    `since` and `until` are ns since the epoch. BrokenPipeError if the reader of either output has gone.
    """
    printer = _Printer({"stdout": out, "stderr": err}, timestamps=timestamps)
    for piece in reader.pieces(tail=tail, since=since, until=until, timed=timestamps):
        printer.put(piece)
    printer.flush()
    if exited is None:
        return
    for more in reader.follow(exited, until=until, timed=timestamps):
        if more is None:
            printer.flush()
        else:
            printer.put(more)
    printer.flush()


def stamp(moment: int) -> bytes:
    """RFC 3339 in UTC with nine digits of the second, as docker writes it: 2026-01-31T12:00:00.000000001Z."""
    seconds, nanoseconds = divmod(moment, _SECOND)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{nanoseconds:09}Z".encode()


class _Printer:
    def __init__(self, fds: dict[str, int], *, timestamps: bool) -> None:
        self._fds, self._timestamps = fds, timestamps
        self._fresh = dict.fromkeys(fds, True)  # the stream is at the beginning of a line
        self._batch = bytearray()  # what goes to `_current`: a write per line would take most of the time
        self._current = -1

    def put(self, piece: Piece) -> None:
        if piece.lost:
            self._add(
                self._fds["stderr"],
                f"mydocker: {piece.lost} bytes of {piece.stream} were lost here\n".encode(),
            )
        if piece.data:
            data = self._stamped(piece) if self._timestamps else piece.data
            self._add(self._fds[piece.stream], data)

    def flush(self) -> None:
        rest = memoryview(bytes(self._batch))
        self._batch.clear()
        try:
            while rest:
                rest = rest[os.write(self._current, rest) :]
        except OSError as error:
            name = next(stream for stream, fd in self._fds.items() if fd == self._current)
            raise OSError(error.errno, error.strerror, name) from None

    def _add(self, fd: int, data: bytes) -> None:
        if fd != self._current or len(self._batch) > _BATCH:
            self.flush()
            self._current = fd
        self._batch += data

    def _stamped(self, piece: Piece) -> bytes:
        prefix = stamp(piece.time) + b" "
        body, end = (piece.data[:-1], b"\n") if piece.data.endswith(b"\n") else (piece.data, b"")
        first = prefix if self._fresh[piece.stream] else b""
        self._fresh[piece.stream] = bool(end)
        return first + body.replace(b"\n", b"\n" + prefix) + end
