"""`mydocker logs`."""

from __future__ import annotations

import sys
import time

from cli.declare import argument, command, flag, value
from cli.session import Session, pass_session
from effects.logread import LogReader, Piece
from machine import moments
from machine.errors import InvalidValue
from machine.resources import LIVE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


def _tail(text: str, what: str) -> int | None:
    if text == "all":
        return None
    if text.isascii() and text.isdigit():
        return int(text)
    raise InvalidValue(what, text, "expected a number of lines, or all")


def _moment(text: str, what: str) -> int:
    return moments.timestamp(text, time.time_ns(), what)


@command()
@flag("follow", "-f", "--follow", help="Go on as it says more, until it ends.")
@value("tail", "-n", "--tail", parse=_tail, metavar="N", help="Only the last N lines (all).")
@value("since", "--since", parse=_moment, metavar="TIME", help="Only what came since: 10m, or a time.")
@value("until", "--until", parse=_moment, metavar="TIME", help="Only what came until then.")
@flag("timestamps", "-t", "--timestamps", help="Each line with its time.")
@argument("name")
@pass_session
def logs(
    session: Session,
    name: str,
    tail: int | None,
    since: int | None,
    until: int | None,
    *,
    follow: bool,
    timestamps: bool,
) -> None:
    """Print what a container wrote, its stdout to stdout and its stderr to stderr."""
    container = session.find(name)
    with LogReader(f"{session.directory(container)}/log") as reader:
        writer = Writer(timed=timestamps)
        writer.write(reader.pieces(tail=tail, since=since, until=until, timed=timestamps))
        if not follow:
            return

        def exited() -> bool:
            now = session.refresh().containers.get(container.id)
            return now is None or now.status not in LIVE

        for piece in reader.follow(exited, until=until, timed=timestamps):
            writer.write([piece] if piece is not None else [])


def _stamp(moment: int) -> bytes:
    """RFC 3339 with nanoseconds, UTC, as docker writes it."""
    seconds, rest = divmod(moment, 1_000_000_000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{rest:09d}Z ".encode()


class Writer:
    """Pieces to the two outputs, with the time before each line where asked."""

    def __init__(self, *, timed: bool) -> None:
        self._timed = timed
        self._outs = {"stdout": sys.stdout.buffer, "stderr": sys.stderr.buffer}
        self._open = {"stdout": False, "stderr": False}  # in the middle of a line

    def write(self, pieces: Iterable[Piece]) -> None:
        for piece in pieces:
            if piece.lost:
                sys.stderr.write(f"mydocker: {piece.lost} bytes of {piece.stream} are missing here\n")
            data = self._stamped(piece) if self._timed else piece.data
            self._outs[piece.stream].write(data)
        for out in self._outs.values():
            out.flush()

    def _stamped(self, piece: Piece) -> bytes:
        stamp = _stamp(piece.time)
        lines = piece.data.splitlines(keepends=True)
        begun = self._open[piece.stream]
        if lines:
            self._open[piece.stream] = not lines[-1].endswith(b"\n")
        return b"".join(line if number == 0 and begun else stamp + line for number, line in enumerate(lines))
