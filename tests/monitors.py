"""A monitor without a container: real logs, FIFOs and control socket, in a thread that a test directs."""

from __future__ import annotations

import fcntl
import os
import select
import struct
import termios
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cli import handover
from effects import control
from effects.control import Connection
from effects.control_server import Server
from effects.stdio import Stdio

MB = 1 << 20


class FakeMonitor(threading.Thread):
    """Serves one client over `connection`, as `cli.monitor` does. `heard` has what the client sent.

    `do` runs something in the monitor's thread, `exit` and `die` end it. The container is the test itself:
    it writes to `self.stdout` and reads `self.stdin`, or has the slave of `master`.
    """

    def __init__(self, directory: Path, *, master: int = -1, stdin: bool = False, **sizes: int) -> None:
        super().__init__(daemon=True)
        (directory / "log").mkdir()
        self.server = Server()
        if master >= 0:
            self.stdio = Stdio.over_pty(f"{directory}/log", master, **sizes)
        else:
            out, err = f"{directory}/stdout", f"{directory}/stderr"
            for path in (out, err):
                os.mkfifo(path)
            self.stdio = Stdio.over_fifos(f"{directory}/log", out, err, stdin=stdin, **sizes)
            self.stdout, self.stderr = os.open(out, os.O_RDWR), os.open(err, os.O_RDWR)
            self.stdin = os.dup(self.stdio.stdin_reader) if stdin else -1
            self.stdio.started()
        self.stdio.server = self.server
        self.heard: list[tuple[str, Any]] = []
        self._news = threading.Condition()
        self.was_held = threading.Event()
        self.deaf = False
        self._tasks: list[Callable[[], None]] = []
        self._bell, self._ringer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._over = self._closed = False
        ours, theirs = handover.pair()
        self.connection = Connection(ours)
        self.server.adopt(theirs)

    def do(self, task: Callable[[], None]) -> None:
        self._tasks.append(task)
        os.write(self._ringer, b"!")

    def hears(self, kind: str, payload: object) -> bool:
        """Wait until the client has sent that."""
        with self._news:
            return self._news.wait_for(lambda: (kind, payload) in self.heard, 60)

    def say(self, data: bytes, stream: str = "stdout") -> None:
        """As if the container had said it; it is logged when this returns."""
        done = threading.Event()
        self.do(lambda: self._log(stream, data))
        self.do(done.set)
        assert done.wait(60)

    def exit(self, code: int) -> None:
        self.do(lambda: self._exit(code))

    def die(self) -> None:
        """As by kill -9, but for what the container's FIFOs still hold."""
        self.do(self._die)

    def run(self) -> None:
        while not self._over:
            self._turn()
        self.server.flush(30)
        self.server.close()

    def close(self) -> None:
        """After the test: the thread has ended, or ends now."""
        if self._closed:
            return
        self._closed = True
        self.die()
        self.join(30)
        assert not self.is_alive()
        self.connection.close()
        self.stdio.close()
        ends = (self.stdout, self.stderr, self.stdin) if not self.stdio.tty else ()
        for fd in (*ends, self._bell, self._ringer):
            if fd >= 0:
                os.close(fd)

    def _turn(self) -> None:
        events = dict(self.server.poll_fds(stdin_room=self.stdio.stdin_room() and not self.deaf))
        events[self._bell] = select.POLLIN
        if self.server.held():
            self.was_held.set()
        else:
            events |= dict.fromkeys(self.stdio.fds(), select.POLLIN)
        writer = self.stdio.wants_write()
        if writer is not None:
            events[writer] = events.get(writer, 0) | select.POLLOUT
        poller = select.poll()
        for fd, wanted in events.items():
            poller.register(fd, wanted)
        for fd, what in poller.poll():
            self._serve(fd, what, writer)

    def _serve(self, fd: int, what: int, writer: int | None) -> None:
        if fd == self._bell:
            for _ in os.read(self._bell, 100):
                self._tasks.pop(0)()
        elif fd == writer and what & select.POLLOUT:
            self.stdio.flush_stdin()
        elif fd in self.stdio.fds():
            if what & select.POLLIN and self.stdio.pump(fd):
                self.server.broadcast_wake()
        else:
            for client, kind, payload in self.server.ready(fd, what):
                with self._news:
                    self.heard.append((kind, payload))
                    self._news.notify_all()
                if kind == control.STDIN:
                    self.stdio.feed(payload)
                elif kind == control.END:
                    self.stdio.end_stdin()
                elif kind == control.JSON and payload["op"] == "attach":
                    self.stdio.attach(self.server, client, payload)
                elif kind == control.JSON and payload["op"] == "resize":
                    self.stdio.resize(payload["rows"], payload["cols"])

    def _log(self, stream: str, data: bytes) -> None:
        self.stdio.logs[stream].write(data)
        self.server.broadcast_wake()

    def _exit(self, code: int) -> None:
        self.stdio.drain()
        message = {"event": "exit", "code": code, "ends": self.stdio.ends(), "lost": self.stdio.lost()}
        for client in list(self.server.clients.values()):
            self.server.tell(client, message)
        self._over = True

    def _die(self) -> None:
        self._over = True


Start = Callable[..., FakeMonitor]


class Reader(threading.Thread):
    """Reads a pipe to its end, from when `go` is set; sets `some` when it got something."""

    def __init__(self, fd: int, *, at_once: bool = True) -> None:
        super().__init__(daemon=True)
        self.fd, self.data = fd, bytearray()
        self.go, self.some = threading.Event(), threading.Event()
        if at_once:
            self.go.set()

    def run(self) -> None:
        assert self.go.wait(60)
        while data := os.read(self.fd, MB):
            self.data += data
            self.some.set()
        os.close(self.fd)


class Foreground:
    """Our side of a relay: pipes for stdin, stdout and stderr."""

    def __init__(self, *, at_once: bool = True) -> None:
        self.stdin, self.typist = os.pipe()
        out, self.stdout = os.pipe()
        err, self.stderr = os.pipe()
        self.out, self.err = Reader(out, at_once=at_once), Reader(err)
        for reader in (self.out, self.err):
            reader.start()
        self.open = {self.stdin, self.typist, self.stdout, self.stderr}

    @property
    def fds(self) -> tuple[int, int, int]:
        return self.stdin, self.stdout, self.stderr

    def shut(self, fd: int) -> None:
        self.open.discard(fd)
        os.close(fd)

    def finish(self) -> tuple[bytes, bytes]:
        """All that was written."""
        self.out.go.set()
        for fd in list(self.open):
            self.shut(fd)
        for reader in (self.out, self.err):
            reader.join(60)
        return bytes(self.out.data), bytes(self.err.data)


def once_it_runs(monitor: FakeMonitor, ours: Foreground, act: Callable[[], None]) -> None:
    """Do this in another thread when the relay has relayed something: its signal handlers are there by then."""

    def work() -> None:
        assert ours.out.some.wait(60)
        act()

    monitor.say(b"running\n")
    threading.Thread(target=work, daemon=True).start()


def pattern(size: int) -> bytes:
    """Every 8 bytes tell their place."""
    return b"".join(b"%07d\n" % number for number in range(size // 8))


def set_size(fd: int, rows: int, cols: int) -> None:
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("4H", rows, cols, 0, 0))


class Screen(threading.Thread):
    """What the user's terminal shows."""

    def __init__(self, master: int) -> None:
        super().__init__(daemon=True)
        self.master, self.shown = master, b""
        self._news = threading.Condition()

    def run(self) -> None:
        while True:
            try:
                data = os.read(self.master, 4096)
            except OSError:
                return  # the other side is closed
            with self._news:
                self.shown += data
                self._news.notify_all()

    def shows(self, text: bytes) -> bool:
        with self._news:
            return self._news.wait_for(lambda: text in self.shown, 60)
