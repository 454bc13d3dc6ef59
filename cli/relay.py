"""The foreground of run, start -a and attach: the command relays, it never lends its own descriptors.

Output is read from the log files, whose descriptors the monitor hands over (`effects.control`): from the
logical offset where the monitor says that the relay begins, across rotations, to the end that it tells with
the exit. So nothing is missed by a slow terminal, nor when the container and its directory are removed meanwhile.
Input and signals go to the monitor. If the command dies, the container goes on.
"""

from __future__ import annotations

import select

from cli import terminal
from cli.attachment import Attached, LogTail
from cli.streams import Output, Signals, read_some
from effects.control import CLOSED, JSON, MAX_DATA, Connection, pack

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from collections.abc import Callable
    from typing import Any, Literal

    Event = dict[str, Any]
else:
    import _signal

FORWARDED = (
    _signal.SIGHUP,
    _signal.SIGINT,
    _signal.SIGQUIT,
    _signal.SIGUSR1,
    _signal.SIGUSR2,
    _signal.SIGTERM,
)
QUITTING = (_signal.SIGHUP, _signal.SIGINT, _signal.SIGQUIT, _signal.SIGTERM)
# Unread log files that are kept open. With pace the container waits long before.
_MAX_FILES, _MAX_FILES_PACED = 8, 64
_HOLD, _GO = 32 << 20, 4 << 20  # how far behind a relay may be, and from where on it is well again


class Outcome:
    """How a relay ended. `event` is the monitor's last message, `at` the offsets reached (to attach again).

    exit      the container ended; `code` is its exit code, and all its output was written
    detached  by the detach keys
    closed    nobody reads our stdout any more; the container goes on. `code` is 141, as a shell says for SIGPIPE
    lost      the monitor has gone without telling an exit
    """

    def __init__(
        self, kind: Literal["exit", "detached", "closed", "lost"], code: int, at: dict[str, int], event: Event
    ) -> None:
        self.kind, self.code, self.at, self.event = kind, code, at, event

    def __repr__(self) -> str:
        return f"Outcome({self.kind!r}, {self.code}, at={self.at}, event={self.event})"


def relay(
    control: Connection,
    attached: Attached,
    *,
    stdin: bool,
    detach_keys: bytes = b"",
    signal_container: Callable[[int], None] | None = None,
    pace: bool = False,
    redraw: bool = False,
    fds: tuple[int, int, int] = (0, 1, 2),
) -> Outcome:
    """Relay until the container exits, the user detaches, or either side breaks off.

    stdin             forward ours; its end is the container's end-of-file
    signal_container  gets the signals that we get, unless our terminal is in raw mode, where keys make them
    pace              a reader that is slow slows the container down, as a pipe would; else the reader may
                      be told that it missed something
    redraw            let a program in the container's terminal paint itself again
    """
    keys = detach_keys if attached.tty else b""
    raw = terminal.RawMode(fds[0] if attached.tty and stdin else -1)
    caught = FORWARDED if signal_container is not None and not raw.active else ()
    resized = (_signal.SIGWINCH,) if attached.tty else ()
    session = _Session(control, attached, keys, fds, pace=pace)
    try:
        with raw, Signals(*caught, *resized) as signals:
            session.begin(stdin=stdin, redraw=redraw)
            return session.run(signals, signal_container)
    finally:
        session.close()


class _Session:
    def __init__(
        self, control: Connection, attached: Attached, keys: bytes, fds: tuple[int, int, int], *, pace: bool
    ) -> None:
        self.control, self.tty, self.pace = control, attached.tty, pace
        self.fds = fds
        self.keys = terminal.DetachKeys(keys)
        self.outs = {"stdout": Output(fds[1]), "stderr": Output(fds[2])}
        limit = _MAX_FILES_PACED if pace else _MAX_FILES
        self.logs = {
            s: LogTail(s, files, attached.at[s], self.outs[s], limit) for s, files in attached.files.items()
        }
        self.queue: list[bytes] = []  # packets that the monitor has not taken yet
        self.reading = self.detached = self.holding = self.gone = self.hurried = False
        self.last: Event = {}

    def begin(self, *, stdin: bool, redraw: bool) -> None:
        self.reading = stdin
        if redraw:
            self._send_size(more=1)
        self._send_size()

    def close(self) -> None:
        for log in self.logs.values():
            log.close()

    def run(self, signals: Signals, signal_container: Callable[[int], None] | None) -> Outcome:
        while True:
            more = [log.pump() for log in self.logs.values()]
            outcome = self._outcome(at_rest=not any(more))
            if outcome is not None:
                return outcome
            self._keep_pace()
            ready = self._poll(signals.fd, 0 if any(more) else None)
            if self.control.fileno() in ready:
                self._converse()  # first: a signal means another thing once the exit has been told
            if signals.fd in ready:
                self._signalled(signals.read(), signal_container)
            if self.reading and self.fds[0] in ready:
                self._read_stdin()

    def _outcome(self, *, at_rest: bool) -> Outcome | None:
        at = {name: log.at - len(log.out.pending) for name, log in self.logs.items()}
        if self.detached:
            return Outcome("detached", 0, at, self.last)
        if self.outs["stdout"].closed:
            return Outcome("closed", 128 + _signal.SIGPIPE, at, self.last)
        written = at_rest and not any(log.out.pending for log in self.logs.values())
        if not self.gone or not (written or self.hurried):
            return None
        self._tell_gaps()
        if self.last.get("event") == "exit":
            return Outcome("exit", self.last["code"], at, self.last)
        return Outcome("lost", 255, at, self.last)

    def _poll(self, signal_fd: int, timeout: int | None) -> list[int]:
        """Descriptors with something for us; outputs are only waited for: `pump` goes on with them."""
        poller = select.poll()
        poller.register(signal_fd, select.POLLIN)
        if not self.gone:
            writing = select.POLLOUT if self.queue else 0
            poller.register(self.control.fileno(), select.POLLIN | writing)
            if self.reading and not self.queue:
                poller.register(self.fds[0], select.POLLIN)
        for log in self.logs.values():
            if log.out.pending:
                poller.register(log.out.fd, select.POLLOUT)
        return [fd for fd, _ in poller.poll(timeout)]

    def _converse(self) -> None:
        self._send()
        while not self.gone and (packet := self.control.receive()) is not None:
            kind, message, fds = packet
            if kind == CLOSED:
                self.gone = True
            elif kind == JSON:
                self._hear(message, fds)

    def _hear(self, message: Event, fds: list[int]) -> None:
        event = message["event"]
        if event == "file":
            self.logs[message["stream"]].add(message["base"], fds[0])
        elif event == "stdin_closed":
            self.reading = False
        elif event == "exit":
            self.gone = True
            for name, log in self.logs.items():
                log.end = message["ends"].get(name)
        self.last = message

    def _read_stdin(self) -> None:
        data = read_some(self.fds[0])
        if data is None:
            return
        if not data:
            self.reading = False
            self._send(b"E")
            return
        data, self.detached = self.keys.feed(data)
        # Two packets at most: held back keys may come before a full read.
        self._send(*(b"I" + data[at : at + MAX_DATA] for at in range(0, len(data), MAX_DATA)))

    def _send(self, *packets: bytes) -> None:
        self.queue += packets
        try:
            while self.queue and self.control.send_packet(self.queue[0]):
                del self.queue[0]
        except OSError:
            self.queue = []  # the monitor has gone; what it still said is to be read first

    def _send_size(self, more: int = 0) -> None:
        size = terminal.size(self.fds[1], self.fds[0]) if self.tty else None
        if size:
            self._send(pack({"op": "resize", "rows": size[0] + more, "cols": size[1]}))

    def _signalled(self, numbers: list[int], signal_container: Callable[[int], None] | None) -> None:
        for number in numbers:
            if number == _signal.SIGWINCH:
                self._send_size()
            elif self.gone and number in QUITTING:
                self.hurried = True  # the container is over, and the user waits no longer for its output
            elif signal_container is not None:
                signal_container(number)

    def _keep_pace(self) -> None:
        if not self.pace or self.gone:
            return
        behind = max(log.behind() for log in self.logs.values())
        if behind > _HOLD and not self.holding:
            self.holding = True
            self._send(pack({"op": "hold"}))
        elif behind < _GO and self.holding:
            self.holding = False
            self._send(pack({"op": "go"}))

    def _tell_gaps(self) -> None:
        lost = self.last.get("lost", {})
        for name, log in self.logs.items():
            for count, why in (
                (lost.get(name), "the disk took no more"),
                (log.missed, "they were read too slowly"),
            ):
                if count:
                    self.outs["stderr"].write(
                        f"mydocker: {count} bytes of {name} are missing: {why}\n".encode()
                    )
