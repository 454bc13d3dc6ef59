"""The foreground of exec: the joiner hands us the ends of the process's pipes, or the master of its terminal.

The session is ours alone and ends with us. So detach keys have no place here, and a process that is slower or
faster than our own stdin and stdout simply waits, as in any pipe. The joiner tells {"exited": code}.
"""

from __future__ import annotations

import errno
import os
import select
import termios

from cli import terminal
from cli.relay import FORWARDED, QUITTING, Outcome
from cli.streams import CHUNK, Output, Signals, read_some
from effects.control import CLOSED, JSON, Connection
from effects.stdio import end_of_file, open_slave

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from collections.abc import Callable
    from typing import Any
else:
    import _signal


def relay_pipes(
    stdin_w: int | None,
    stdout_r: int,
    stderr_r: int,
    control: Connection,
    *,
    signal_process: Callable[[int], None] | None = None,
    fds: tuple[int, int, int] = (0, 1, 2),
) -> Outcome:
    """Relay until the process has exited and what it had written by then is out.

    Like docker, this does not wait for children that it left behind with its stdout. All four are ours
    to close from now on, `control` is not. `stdin_w` None: the process reads nothing of ours.
    """
    ducts = {stdout_r: Output(fds[1]), stderr_r: Output(fds[2])}
    session = _Session(control, fds[0], stdin_w, ducts)
    try:
        with Signals(*(FORWARDED if signal_process else ())) as signals:
            return session.run(signals, signal_process)
    finally:
        session.close()


def relay_pty(master: int, control: Connection, *, fds: tuple[int, int, int] = (0, 1, 2)) -> Outcome:
    """The same over a terminal, with ours in raw mode and its size passed on. `master` is ours to close."""

    def resize(_signo: int) -> None:
        size = terminal.size(fds[1], fds[0])
        if size:
            termios.tcsetwinsize(master, size)

    session = _Session(control, fds[0], master, {master: Output(fds[1])})
    slave = open_slave(master)  # so that the master never ends while the process has its terminal closed
    try:
        with terminal.RawMode(fds[0]), Signals(_signal.SIGWINCH) as signals:
            resize(_signal.SIGWINCH)
            return session.run(signals, resize)
    finally:
        os.close(slave)
        session.close()


class _Session:
    """`sink` is where our stdin goes, `ducts` from where to which of our outputs the rest comes."""

    def __init__(self, control: Connection, stdin: int, sink: int | None, ducts: dict[int, Output]) -> None:
        self.control, self.stdin, self.sink = control, stdin, sink
        self.open = dict(ducts)
        self.outs = list(ducts.values())
        self.over_pty = sink in ducts
        self.pending = b""  # of stdin
        self.gone = self.hurried = self.line_open = False
        self.reading = sink is not None
        self.last: dict[str, Any] = {}
        for fd in {*ducts, *([] if sink is None else [sink])}:
            os.set_blocking(fd, False)

    def close(self) -> None:
        for fd in {*self.open, *([] if self.sink is None else [self.sink])}:
            os.close(fd)
        self.open, self.sink = {}, None

    def run(self, signals: Signals, signalled: Callable[[int], None] | None) -> Outcome:
        while True:
            flowing = [self._flow(source, out) for source, out in list(self.open.items())]
            outcome = self._outcome(at_rest=not any(flowing))
            if outcome is not None:
                return outcome
            for fd in self._poll(signals.fd, 0 if any(flowing) else None):
                if fd == signals.fd:
                    self._signalled(signals.read(), signalled)
                elif fd == self.control.fileno():
                    self._converse()
                elif fd == self.stdin:
                    self._read_stdin()
            self._write_stdin()

    def _outcome(self, *, at_rest: bool) -> Outcome | None:
        if self.outs[0].closed:
            return Outcome("closed", 128 + _signal.SIGPIPE, {}, self.last)
        written = at_rest and not any(out.pending for out in self.outs)
        if not self.gone or not (written or self.hurried):
            return None
        if "exited" in self.last:
            return Outcome("exit", self.last["exited"], {}, self.last)
        return Outcome("lost", 255, {}, self.last)

    def _flow(self, source: int, out: Output) -> bool:
        """Move one chunk, if the output has taken the last one; True if there may be another."""
        if not out.flush():
            return False
        data = read_some(source)
        if data:
            out.write(data)
            return True
        if data is not None:
            del self.open[source]
            if source != self.sink:
                os.close(source)
        return False

    def _poll(self, signal_fd: int, timeout: int | None) -> list[int]:
        poller = select.poll()
        wanted: dict[int, int] = {signal_fd: select.POLLIN}
        if not self.gone:
            wanted[self.control.fileno()] = select.POLLIN
            if self.reading and not self.pending:
                wanted[self.stdin] = select.POLLIN
        for source, out in self.open.items():
            if not out.pending:
                wanted[source] = select.POLLIN
        if self.pending and self.sink is not None:
            wanted[self.sink] = wanted.get(self.sink, 0) | select.POLLOUT
        for out in self.outs:
            if out.pending:
                wanted[out.fd] = select.POLLOUT
        for fd, events in wanted.items():
            poller.register(fd, events)
        return [fd for fd, _ in poller.poll(timeout)]

    def _converse(self) -> None:
        while not self.gone and (packet := self.control.receive()) is not None:
            kind, message, _ = packet
            if kind == JSON:
                self.last = message
            self.gone = kind == CLOSED or "exited" in self.last

    def _read_stdin(self) -> None:
        data = read_some(self.stdin)
        if data:
            self.pending = data
            self.line_open = not data.endswith(b"\n")
        elif data is not None:
            self.reading = False
            if self.over_pty and self.sink is not None:
                self.pending = end_of_file(self.sink, line_open=self.line_open)
            else:
                self._end_stdin()

    def _write_stdin(self) -> None:
        try:
            while self.pending and self.sink is not None:
                self.pending = self.pending[os.write(self.sink, self.pending[:CHUNK]) :]
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno not in (errno.EPIPE, errno.EIO):
                raise
            self.pending, self.reading = b"", False  # nobody reads it any more
            if not self.over_pty:
                self._end_stdin()

    def _end_stdin(self) -> None:
        if self.sink is not None:
            os.close(self.sink)
            self.sink = None

    def _signalled(self, numbers: list[int], signalled: Callable[[int], None] | None) -> None:
        for number in numbers:
            if self.gone and number in QUITTING:
                self.hurried = True
            elif signalled is not None:
                signalled(number)
