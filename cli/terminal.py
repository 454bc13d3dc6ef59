"""The user's terminal: raw mode and every way back from it, its size, and the keys that detach."""

from __future__ import annotations

import os
import termios

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from collections.abc import Callable
    from types import FrameType, TracebackType
    from typing import Self

    Handler = Callable[[int, FrameType | None], object] | int | None
else:
    import _signal  # `signal` wraps it in enums, for 3 ms

_DEADLY = (_signal.SIGHUP, _signal.SIGINT, _signal.SIGQUIT, _signal.SIGTERM)
_ATTRIBUTE_SETS = 4  # tcgetattr's list begins with the input, output, control and local flags
_CC = 6


def size(*fds: int) -> tuple[int, int] | None:
    """Rows and columns of the first of these descriptors that is a terminal and knows its size."""
    for fd in fds:
        try:
            cols, rows = os.get_terminal_size(fd)
        except OSError:
            continue  # no terminal
        if rows and cols:
            return rows, cols
    return None


class DetachKeys:
    """Finds the key sequence in what is typed, however the reads cut it.

    Keys that may be the beginning of the sequence are held back until the next one tells.
    """

    def __init__(self, keys: bytes) -> None:
        self._keys = keys
        self._held = b""

    def feed(self, data: bytes) -> tuple[bytes, bool]:
        """What is to be sent on now, and whether the sequence was typed; what follows it is dropped."""
        if not self._keys:
            return data, False
        data = self._held + data
        at = data.find(self._keys)
        if at >= 0:
            self._held = b""
            return data[:at], True
        held = min(len(self._keys) - 1, len(data))
        while held and not self._keys.startswith(data[len(data) - held :]):
            held -= 1
        cut = len(data) - held
        self._held = data[cut:]
        return data[:cut], False


class RawMode:
    """While entered, the terminal hands over each key as it is typed and changes nothing on its way.

    What it was before is restored at the end, by an exception, by a deadly signal (which then takes its course), and while
    we are stopped. Does nothing on what is no terminal: `active` tells. For the main thread only.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self.active = os.isatty(fd)
        self._handlers: dict[int, Handler] = {}

    def __enter__(self) -> Self:
        if self.active:
            self._saved = termios.tcgetattr(self._fd)
            for signo in _DEADLY:
                self._handle(signo, self._die)
            self._handle(_signal.SIGTSTP, self._stop)
            self._handle(_signal.SIGCONT, self._resume)
            self._set_raw()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.active:
            self._restore()
            for signo, handler in self._handlers.items():
                _signal.signal(signo, _signal.SIG_DFL if handler is None else handler)

    def _handle(self, signo: int, handler: Callable[[int, FrameType | None], None]) -> None:
        if _signal.getsignal(signo) != _signal.SIG_IGN:  # nohup's, or a background job's: stays ignored
            self._handlers[signo] = _signal.signal(signo, handler)

    def _set_raw(self) -> None:
        """As cfmakeraw(3)."""
        mode = termios.tcgetattr(self._fd)
        off = (
            termios.IGNBRK
            | termios.BRKINT
            | termios.PARMRK
            | termios.ISTRIP
            | termios.INLCR
            | termios.IGNCR
            | termios.ICRNL
            | termios.IXON,
            termios.OPOST,
            termios.CSIZE | termios.PARENB,
            termios.ECHO | termios.ECHONL | termios.ICANON | termios.ISIG | termios.IEXTEN,
        )
        mode[:_ATTRIBUTE_SETS] = [flags & ~gone for flags, gone in zip(mode, off, strict=False)]
        mode[2] |= termios.CS8
        mode[_CC][termios.VMIN], mode[_CC][termios.VTIME] = 1, 0
        termios.tcsetattr(self._fd, termios.TCSADRAIN, mode)

    def _restore(self) -> None:
        try:
            termios.tcsetattr(self._fd, termios.TCSADRAIN, self._saved)
        except termios.error:
            return  # the terminal has gone: nothing is left to restore

    def _die(self, signo: int, _frame: FrameType | None) -> None:
        self._restore()
        _signal.signal(signo, _signal.SIG_DFL)
        os.kill(os.getpid(), signo)

    def _stop(self, signo: int, _frame: FrameType | None) -> None:
        self._restore()
        _signal.signal(signo, _signal.SIG_DFL)
        os.kill(os.getpid(), signo)  # stopped here, until SIGCONT
        _signal.signal(signo, self._stop)

    def _resume(self, _signo: int, _frame: FrameType | None) -> None:
        if os.tcgetpgrp(self._fd) != os.getpgrp():
            return  # continued in the background: the terminal is another's
        self._set_raw()
        os.kill(os.getpid(), _signal.SIGWINCH)  # the size may have changed meanwhile
