"""A container's stdin, stdout and stderr as its monitor holds them, for a single-threaded poll loop. LEAN.

Without a terminal:
stdout, stderr  FIFOs in the container's directory, which it and we each open for reading and writing. So
                nobody ever gets SIGPIPE or end-of-file from them, and what they hold outlives either side.
                Their end is: the container has exited and there is nothing more to read.
stdin           an ordinary pipe, made before the container's first process, which inherits the reading end.
                No FIFO: once we had closed the only writing end of one, `cat /dev/stdin` in the container,
                which opens it anew, would wait for a writer for ever (fifo(7)); and before the container had
                opened it, closing would lose what it holds. Both are no matter with a pipe. The price is
                that stdin ends with its monitor, as a terminal does.

With one, we hold the master of a pty, and an open slave: so reading the master never fails with EIO while
the container has no terminal open, not even after vhangup(2), and end-of-output is told as with FIFOs.
"""

from __future__ import annotations

import errno
import fcntl
import os
import select
import stat
import struct

from effects.logfile import KEEP, MAX_SIZE, LogWriter, Turn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from effects.control_server import Client, Server

PIPE_SIZE = 1 << 20  # what may wait in a pipe while no monitor lives
STDIN_LIMIT = 1 << 16
_CHUNK = 1 << 16

# <asm-generic/ioctls.h>; `termios` has most of them, but is one more module to load
_TCGETS, _TIOCSWINSZ, _FIONREAD, _TIOCGPTPEER = 0x5401, 0x5414, 0x541B, 0x5441
# The kernel's struct termios: input, output, control and local flags, line discipline, c_cc.
_TERMIOS = struct.Struct("4IB19s")
_ICANON, _VEOF = 2, 4


class Stdio:
    """Made by `over_fifos` or `over_pty`; logs into `log_dir`. With a `server`, attached clients are told
    of new log files and of a closed stdin.
    """

    def __init__(self, log_dir: str, streams: tuple[str, ...], max_size: int, keep: int) -> None:
        turn = Turn()
        self.logs = {stream: LogWriter(log_dir, stream, max_size, keep, turn) for stream in streams}
        self.server: Server | None = None
        self.tty = False
        self.stdin_reader = -1
        self._sources: dict[int, LogWriter] = {}
        self._slave = -1
        self._stdin = -1
        self._pending = bytearray()
        self._ending = False
        self._line_open = False
        for log in self.logs.values():
            log.on_new_file = self._tell_new_file

    @classmethod
    def over_fifos(
        cls,
        log_dir: str,
        stdout: str,
        stderr: str,
        *,
        stdin: bool = False,
        max_size: int = MAX_SIZE,
        keep: int = KEEP,
    ) -> Stdio:
        """`stdout` and `stderr` are the paths of existing FIFOs. With `stdin` a pipe is made: hand
        `stdin_reader` to the container's first process, then call `started`.
        """
        self = cls(log_dir, ("stdout", "stderr"), max_size, keep)
        try:
            for stream, path in (("stdout", stdout), ("stderr", stderr)):
                self._sources[_open_fifo(path)] = self.logs[stream]
            if stdin:
                self.stdin_reader, self._stdin = os.pipe2(os.O_CLOEXEC)
                os.set_blocking(self._stdin, False)
        except OSError:
            self.close()
            raise
        return self

    @classmethod
    def over_pty(cls, log_dir: str, master: int, *, max_size: int = MAX_SIZE, keep: int = KEEP) -> Stdio:
        """`master` becomes ours. What the terminal shows is logged as stdout; there is no stderr."""
        self = cls(log_dir, ("stdout",), max_size, keep)
        self.tty = True
        os.set_blocking(master, False)
        self._stdin = master
        self._sources[master] = self.logs["stdout"]
        self._slave = open_slave(master)
        return self

    def bequest(self) -> tuple[dict[str, Any], tuple[int, ...]]:
        """All that another version of the program takes over (`cli.succession`): our ends, and what waits for stdin.

        FIFOs are opened anew by their names; what is in them would be gone if nobody had them open meanwhile.
        """
        packet = {
            "inherit": "stdio",
            "stdin": self._stdin >= 0,
            "pending": self._pending.decode("latin-1"),
            "ending": self._ending,
            "line_open": self._line_open,
        }
        return packet, ((self._stdin,) if self._stdin >= 0 else ()) + tuple(
            set(self._sources) - {self._stdin}
        )

    def inherit(self, packet: dict[str, Any], fds: tuple[int, ...]) -> None:
        """What `bequest` told of; a terminal's master is ours already, by `over_pty`."""
        if packet["stdin"]:
            self._stdin, fds = fds[0], fds[1:]
        for fd in fds:
            os.close(fd)
        self._pending += packet["pending"].encode("latin-1")
        self._ending, self._line_open = packet["ending"], packet["line_open"]

    def started(self) -> None:
        """The first process has its own copy of `stdin_reader`: ours would hide that it closes it."""
        if self.stdin_reader >= 0:
            os.close(self.stdin_reader)
            self.stdin_reader = -1

    def fds(self) -> list[int]:
        """Descriptors to poll for reading."""
        return list(self._sources)

    def owns(self, fd: int) -> bool:
        """Whether it is one of those that `fds` or `wants_write` told of."""
        return fd in self._sources or fd == self._stdin

    def serve(self, fd: int, events: int) -> int:
        """One of ours is ready, with these events of poll(2): write what waits for stdin, log what came; bytes of that."""
        # Of a full pipe that nobody reads any more poll tells POLLERR, and no POLLOUT.
        if fd == self._stdin and events & (select.POLLOUT | select.POLLERR):
            self.flush_stdin()
        return self.pump(fd) if fd in self._sources and events & select.POLLIN else 0

    def pump(self, fd: int) -> int:
        """Log what is there, at most about 1 MiB; returns its size, 0 if there is nothing."""
        log = self._sources[fd]
        if not self.tty:
            return log.take(fd)
        try:
            data = os.read(fd, _CHUNK)
        except BlockingIOError:
            return 0
        return log.write(data)

    def drain(self) -> int:
        """After the exit: log all that is still there.

        Somebody outside may hold the other end too and write for ever: what comes after the call is not waited for.
        """
        total = 0
        for fd in list(self._sources):
            left = int.from_bytes(fcntl.ioctl(fd, _FIONREAD, bytes(4)), "little") + PIPE_SIZE
            while left > 0 and (moved := self.pump(fd)):
                left -= moved
                total += moved
        return total

    def stdin_room(self) -> bool:
        """Whether `feed` may be called: else read no more from the clients that send stdin."""
        return len(self._pending) < STDIN_LIMIT

    def feed(self, data: bytes) -> None:
        """Bytes for stdin; kept here as far as the container does not read them. Never blocks."""
        if self._stdin < 0 or self._ending:
            return
        self._pending += data
        self._line_open = data[-1:] not in (b"\n", b"")
        self.flush_stdin()

    def end_stdin(self) -> None:
        """End-of-file for the container, after all that was fed."""
        if self._stdin < 0 or self._ending:
            return
        if self.tty:
            self._pending += end_of_file(self._stdin, line_open=self._line_open)
            self._line_open = False
        else:
            self._ending = True
        self.flush_stdin()

    def wants_write(self) -> int | None:
        """The descriptor to poll for writing, if stdin has bytes waiting; then call `flush_stdin`."""
        return self._stdin if self._pending else None

    def flush_stdin(self) -> None:
        try:
            while self._pending:
                del self._pending[: os.write(self._stdin, self._pending[:_CHUNK])]
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno not in (errno.EPIPE, errno.EIO):
                raise
            self._pending.clear()  # the container has closed its stdin
            self._tell_stdin_closed()
            self._ending = not self.tty
        if self._ending:
            os.close(self._stdin)
            self._stdin = -1

    def resize(self, rows: int, cols: int) -> None:
        """The terminal's size; out of range sizes are cut to what the kernel can hold. Nothing without one."""
        if self.tty:
            size = [min(max(number, 0), 0xFFFF) for number in (rows, cols)]
            fcntl.ioctl(self._stdin, _TIOCSWINSZ, struct.pack("4H", *size, 0, 0))

    def ends(self) -> dict[str, int]:
        """The logical offset after the last byte, by stream."""
        return {stream: log.end for stream, log in self.logs.items()}

    def lost(self) -> dict[str, int]:
        """How many bytes a full or broken disk has cost, of the streams that lost any."""
        return {stream: log.lost for stream, log in self.logs.items() if log.lost}

    def attach(self, server: Server, client: Client, request: dict[str, Any]) -> None:
        """Answer an "attach" request: from where to read, and the log files as descriptors.

        From then on the client gets wake-ups, and each new file as a rotation begins it, so that it
        misses nothing even if it is slow and the whole directory is removed.
        """
        wanted = request.get("from")
        start = wanted if isinstance(wanted, dict) else {}
        at: dict[str, int] = {}
        files: list[list[str | int]] = []
        fds: list[int] = []
        for stream, log in self.logs.items():
            offset = start.get(stream)
            offset = min(max(offset, 0), log.end) if isinstance(offset, int) else log.end
            opened = log.open_from(offset)
            at[stream] = max(offset, opened[0][0]) if opened else offset
            files += [[stream, base] for base, _ in opened]
            fds += [fd for _, fd in opened]
        client.attached, client.stdin = True, bool(request.get("stdin"))
        server.tell(client, {"event": "attached", "tty": self.tty, "at": at, "files": files}, tuple(fds))

    def close(self) -> None:
        for fd in {*self._sources, self._stdin, self._slave, self.stdin_reader} - {-1}:
            os.close(fd)
        for log in self.logs.values():
            log.close()
        self._sources.clear()
        self._stdin = self._slave = self.stdin_reader = -1

    def _tell_new_file(self, log: LogWriter) -> None:
        if self.server is None:
            return
        for client in list(self.server.clients.values()):
            if client.attached:
                self._hand_file(self.server, client, log)

    def _hand_file(self, server: Server, client: Client, log: LogWriter) -> None:
        try:
            for base, fd in log.open_from():
                server.tell(client, {"event": "file", "stream": log.stream, "base": base}, (fd,))
        except OSError:
            # Better no connection than one with a hole in it; the log is not concerned.
            server.hang_up(client)

    def _tell_stdin_closed(self) -> None:
        if self.server is None:
            return
        for client in list(self.server.clients.values()):
            if client.stdin:
                self.server.tell(client, {"event": "stdin_closed"})


def _open_fifo(path: str) -> int:
    fd = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW)
    if not stat.S_ISFIFO(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(errno.EINVAL, "not a FIFO", path)
    try:
        fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, PIPE_SIZE)
    except PermissionError:
        return fd  # beyond pipe-max-size without CAP_SYS_RESOURCE: the default of 64 KiB does
    return fd


def open_slave(master: int) -> int:
    """The slave of our master, whatever devpts it is of (ioctl_tty(2), TIOCGPTPEER)."""
    return fcntl.ioctl(master, _TIOCGPTPEER, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)


def end_of_file(master: int, *, line_open: bool) -> bytes:
    """What to type for end-of-file. In the middle of a line the first one only sends that line (termios(3))."""
    *_, flags, _line, chars = _TERMIOS.unpack(fcntl.ioctl(master, _TCGETS, bytes(_TERMIOS.size)))
    key: bytes = chars[_VEOF : _VEOF + 1]
    return key * (2 if line_open and flags & _ICANON else 1)
