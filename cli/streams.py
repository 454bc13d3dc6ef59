"""The command's own stdin, stdout and stderr, and its signals, for a poll loop that must not block."""

from __future__ import annotations

import errno
import os
import select
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from types import TracebackType
    from typing import Self

    from cli.terminal import Handler
else:
    import _signal

CHUNK = 1 << 16
# A pipe that poll(2) calls writable has a free page at least: so much never blocks (pipe(7)).
_PIECE = 4096
_NAMES = {1: "stdout", 2: "stderr"}
_GONE = frozenset((errno.EPIPE, errno.EIO, errno.ECONNRESET))  # the reader, or the terminal, has gone


class Output:
    """Writes what `descriptor` takes without blocking. O_NONBLOCK is no way: the shell has the same open file.

    `closed` once its reader has gone: what is written then is dropped. `absent` if it was never open.
    """

    def __init__(self, descriptor: int) -> None:
        self.fd = descriptor
        self.pending = memoryview(b"")
        self.closed = self.absent = False
        self._poller = select.poll()
        self._poller.register(descriptor, select.POLLOUT)
        try:
            self._whole = stat.S_ISREG(os.fstat(descriptor).st_mode)  # a file takes any amount at once
        except OSError as error:
            if error.errno != errno.EBADF:
                raise
            self.absent = True

    def write(self, data: bytes) -> None:
        """Takes all of `data`; call it only when `flush` says that nothing is pending."""
        self.pending = memoryview(data)
        self.flush()

    def flush(self) -> bool:
        """Write what can be written; True when nothing is pending."""
        if self.closed or self.absent:
            self.pending = memoryview(b"")
        try:
            while self.pending:
                if not self._whole and not self._poller.poll(0):
                    return False
                piece = self.pending if self._whole else self.pending[:_PIECE]
                self.pending = self.pending[os.write(self.fd, piece) :]
        except BlockingIOError:
            return False  # somebody else set O_NONBLOCK
        except OSError as error:
            if error.errno not in _GONE:
                raise OSError(error.errno, error.strerror, _NAMES.get(self.fd)) from None
            self.closed, self.pending = True, memoryview(b"")
        return True


def read_some(fd: int) -> bytes | None:
    """What a ready descriptor gives: None if nothing after all, b"" at its end, and when it has gone."""
    try:
        return os.read(fd, CHUNK)
    except BlockingIOError:
        return None
    except OSError as error:
        if error.errno not in (errno.EIO, errno.EBADF):
            raise
        return b""


class Signals:
    """Turns signals into numbers that a poll loop reads from `fd`, while entered. For the main thread only.

    Signals that were ignored (nohup, background jobs of a script) stay so.
    """

    def __init__(self, *numbers: int) -> None:
        self._numbers = numbers
        self._handlers: dict[int, Handler] = {}

    def __enter__(self) -> Self:
        self.fd, self._writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._wakeup = _signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        for number in self._numbers:
            if _signal.getsignal(number) != _signal.SIG_IGN:
                self._handlers[number] = _signal.signal(number, _note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._handlers.items():
            _signal.signal(number, _signal.SIG_DFL if handler is None else handler)
        _signal.set_wakeup_fd(self._wakeup)
        os.close(self.fd)
        os.close(self._writer)

    def read(self) -> list[int]:
        """The signals of ours that came since."""
        try:
            return [number for number in os.read(self.fd, CHUNK) if number in self._handlers]
        except BlockingIOError:
            return []


def _note(_number: int, _frame: object) -> None:
    """The interpreter has put the number into the wake-up pipe: nothing is left to do here."""
