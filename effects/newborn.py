"""A cloned child of ours until its exec: how it reports, waits at its gate, and is let go. LEAN.

One SOCK_SEQPACKET pair is everything between the two: the child sends "ready" (with what it made), waits
for "go", sends "exec" just before its execve, or at any time a failure; its end is closed by the exec. If our end
closes before the "go", the child exits and has run nothing.
"""

from __future__ import annotations

import _socket
import errno
import gc
import os
import struct
import sys

from effects import heritage, identity, syscalls
from effects.failure import StepFailed, place
from eventstore import plainjson

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any, NoReturn

_GO, _EXEC = b"go", b"exec"
_MOST = 1 << 16  # bytes of one message
_SIGCHLD = 17
_INT = 4


class Newborn:
    """The parent's side. `pidfd` is ours to close with `close`; reaping is the parent's business."""

    def __init__(self, pid: int, pidfd: int, control: _socket.socket, proc: int | None) -> None:
        self.pid, self.pidfd, self._control = pid, pidfd, control
        start = identity.start_time(pid, proc)
        assert start is not None  # a child of ours that nobody reaped
        self.start = start
        self.terminal = -1

    def wait_ready(self) -> dict[str, Any]:
        """What the child made. `terminal` is the pty's master afterwards, if it made one; ours to close.

        StepFailed if the child failed; it is reaped then, and nothing of it is left.
        """
        space = _socket.CMSG_SPACE(_INT)
        data, ancillary, _, _ = self._control.recvmsg(_MOST, space, _socket.MSG_CMSG_CLOEXEC)
        for _level, _kind, payload in ancillary:
            (self.terminal,) = struct.unpack("i", payload[:_INT])
        return self._understood(data, "before it was ready")

    def fileno(self) -> int:
        """To poll for what `wait_ready` or `wait_exec` would read."""
        return self._control.fileno()

    def release(self) -> None:
        """Open the gate. BrokenPipeError if the child is gone."""
        self._control.send(_GO)

    def wait_exec(self) -> None:
        """Return once the program runs; StepFailed, the child reaped, if it could not."""
        data = self._control.recv(_MOST)
        if data == _EXEC:
            data = self._control.recv(_MOST)
            if not data:
                self._control.close()
                return
        self._understood(data, "before its program was run")

    def abandon(self) -> None:
        """Never mind: end it, reap it, and close what we hold."""
        syscalls.pidfd_send_signal(self.pidfd, 9)
        self._reap()
        self.close()

    def close(self) -> None:
        """Let go of it: a child still at its gate exits by itself."""
        self._control.close()
        for descriptor in (self.pidfd, self.terminal):
            if descriptor >= 0:
                os.close(descriptor)
        self.pidfd = self.terminal = -1

    def _understood(self, data: bytes, when: str) -> dict[str, Any]:
        message: dict[str, Any] = plainjson.loads(data) if data else {}
        if data and "step" not in message:
            return message
        status = self._reap()
        self.close()
        if not data:
            raise StepFailed("init", errno.ECHILD, f"the child ended {when} ({_told(status)})")
        raise StepFailed(message["step"], message["errno"], message["message"], message["path"])

    def _reap(self) -> int:
        """Wait for its end, which is at hand; what `waitstatus_to_exitcode` would say."""
        result = os.waitid(os.P_PIDFD, self.pidfd, os.WEXITED)
        assert result is not None
        return result.si_status if result.si_code == os.CLD_EXITED else -result.si_status


class Report:
    """The child's side: what it tells, and the gate."""

    def __init__(self, control: _socket.socket) -> None:
        self._control = control

    def ready(self, made: dict[str, Any], terminal: int = -1) -> None:
        rights = (
            [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, struct.pack("i", terminal))] if terminal >= 0 else []
        )
        self._control.sendmsg([plainjson.dumps(made)], rights)

    def wait_gate(self) -> None:
        """Return when released. When the parent is gone, this process ends here."""
        if self._control.recv(len(_GO)) != _GO:
            os._exit(1)

    def about_to_exec(self) -> None:
        self._control.send(_EXEC)

    def failed(self, error: BaseException, step: str) -> None:
        told = refused(step, error)
        message = {"step": told.step, "errno": told.errno, "message": told.strerror, "path": told.filename}
        self._control.send(plainjson.dumps(message))


def bear(
    body: Callable[[Report], NoReturn],
    *,
    flags: int = 0,
    cgroup: int = -1,
    keep: Iterable[int] = (),
    proc: int | None = None,
) -> Newborn:
    """Clone this single-threaded process with CLONE_NEW* `flags`; the child runs `body` and never returns.

    The child holds 0, 1, 2, `keep` and its end of the control socket; has all signals at their defaults
    and unblocked; imports nothing any more. `cgroup`: a handle of the version 2 directory it is born in.
    `proc`: a handle of our own /proc, where that is not what its path leads to.
    """
    ours, theirs = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET | _socket.SOCK_CLOEXEC)
    try:
        pid, pidfd = syscalls.clone3(flags, exit_signal=_SIGCHLD, cgroup=cgroup)
        if pid == 0:
            _live(body, Report(theirs), {*keep, theirs.fileno()})
    except OSError as error:
        ours.close()
        raise StepFailed("clone", error.errno or 0, error.strerror or "") from error
    finally:
        theirs.close()
    return Newborn(pid, pidfd, ours, proc)


def _live(body: Callable[[Report], NoReturn], report: Report, keep: set[int]) -> NoReturn:
    """The child's whole life in Python: the caller's stack, with its clean-ups, is not ours to unwind."""
    try:
        # The parent's garbage must not close descriptors here that are long ours.
        gc.disable()
        heritage.default_signals()
        # First of all the parent's locks: we would go on holding them after its death.
        heritage.close_others(keep)
        os.umask(0)
        # An import from here on would look into the container, or fail because of it.
        sys.path.clear()
        sys.meta_path.clear()
        body(report)
    except BaseException as error:  # noqa: BLE001 - told to the parent, whatever it is
        try:
            report.failed(error, "init")
        finally:
            os._exit(1)
    finally:
        os._exit(1)


def refused(step: str, error: BaseException) -> StepFailed:
    """The same error, as that of a named step; a finer step that it has already stays.

    What is no OSError is a defect of ours: EPROTO and its place, since nobody will see a traceback.
    """
    if not isinstance(error, OSError):
        return StepFailed(step, errno.EPROTO, f"{type(error).__name__}: {error} ({place(error)})")
    step = getattr(error, "step", "") or step
    path = error.filename
    shown = os.fsdecode(path) if isinstance(path, (str, bytes)) else None
    return StepFailed(step, error.errno or errno.EPROTO, error.strerror or str(error), shown)


def _told(code: int) -> str:
    return f"killed by signal {-code}" if code < 0 else f"exit code {code}"
