"""Runs a function in a forked child that sees one directory as its whole world, with few rights left.

What reads a hostile archive or writes into a container's tree does it in here: the kernel confines it,
not our care with paths. Whatever the function needs must be imported, and every descriptor it uses
opened, before `start`: a later import would read the container's files (CVE-2019-14271).
"""

from __future__ import annotations

import errno
import json
import os
import signal

from effects import syscalls
from effects.failure import place

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

# capability.h. Not SYS_CHROOT, by which a root process walks out of its chroot (chroot(2)), nor
# DAC_READ_SEARCH, by which it opens files by handle; without SYS_ADMIN trusted.* xattrs stay closed to it.
CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_FOWNER, CAP_FSETID, CAP_MKNOD, CAP_SETFCAP = 0, 1, 3, 4, 27, 31
WRITER = (CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_FOWNER, CAP_FSETID, CAP_MKNOD, CAP_SETFCAP)

_MAX_REPORT = 4 << 20  # bytes of a child's answer that we are ready to hold


class Child:
    """A forked child at work, and what it will answer.

    `work` returns JSON values. An OSError of its own is raised again by `wait`, with the same errno, message
    and path, as the same one of `errors` if it was one, and with `step`, the label.
    """

    def __init__(
        self,
        work: Callable[[], Any],
        *,
        label: str,
        keep: Sequence[int] = (),
        confine: Callable[[], None] | None = None,
        places: Sequence[int] = (),
        errors: tuple[type[OSError], ...] = (),
    ) -> None:
        self._label = label
        self._errors = {kind.__name__: kind for kind in errors}
        self._answer = _failed("was ended")
        self._report, report = os.pipe2(os.O_CLOEXEC)
        parent = os.getpid()
        try:
            self._pid = os.fork()
        except OSError:
            os.close(self._report)
            os.close(report)
            raise
        if self._pid == 0:
            _child(work, confine, (*keep, report), places, report=report, parent=parent)
        os.close(report)

    def wait(self) -> Any:
        """What `work` returned; its OSError; or an OSError that tells how it died. Again: the same."""
        if self._pid:
            self._answer = self._ended()
        if "error" in self._answer:
            raise self._error(**self._answer["error"])
        return self._answer["result"]

    def _ended(self) -> dict[str, Any]:
        answer = b""
        with open(self._report, "rb", buffering=0) as report:
            while len(answer) <= _MAX_REPORT and (piece := report.read(1 << 16)):
                answer += piece
        _, status = os.waitpid(self._pid, 0)
        self._pid = 0
        if os.WIFSIGNALED(status):
            return _failed(f"killed by {signal.Signals(os.WTERMSIG(status)).name}")
        try:
            return dict(json.loads(answer))
        except ValueError:
            return _failed("ended without an answer")

    def kill(self) -> None:
        """End it and forget its answer; harmless after `wait`."""
        if self._pid:
            os.kill(self._pid, signal.SIGKILL)  # our own child, not reaped: the pid is still its own
            os.waitpid(self._pid, 0)
            os.close(self._report)
            self._pid = 0

    def _error(self, kind: str, code: int, message: str, path: str | None) -> OSError:
        error = self._errors.get(kind, OSError)(code, message, path)
        vars(error)["step"] = self._label
        return error


def start(
    work: Callable[[], Any],
    root_fd: int,
    *,
    label: str,
    cwd_fd: int = -1,
    keep: Sequence[int] = (),
    capabilities: Sequence[int] = WRITER,
    errors: tuple[type[OSError], ...] = (),
) -> Child:
    """Run `work` with the directory `root_fd` as its root and working directory (or `cwd_fd`, below it).

    Of all descriptors it has only `keep`; umask 0; of all capabilities only `capabilities`.
    """

    def confine() -> None:
        os.fchdir(root_fd)
        os.chroot(".")
        if cwd_fd >= 0:
            os.fchdir(cwd_fd)
        os.umask(0)
        _drop_rights(capabilities)

    places = [root_fd] if cwd_fd < 0 else [root_fd, cwd_fd]
    return Child(work, label=label, keep=keep, confine=confine, places=places, errors=errors)


def run(
    work: Callable[[], Any],
    root_fd: int,
    *,
    label: str,
    cwd_fd: int = -1,
    keep: Sequence[int] = (),
    errors: tuple[type[OSError], ...] = (),
) -> Any:
    """`start` and `wait` in one."""
    return start(work, root_fd, label=label, cwd_fd=cwd_fd, keep=keep, errors=errors).wait()


def _drop_rights(capabilities: Sequence[int]) -> None:
    mask = sum(1 << capability for capability in capabilities)
    syscalls.prctl(syscalls.PR_SET_NO_NEW_PRIVS, 1)
    syscalls.capset(mask, mask, 0)


def _child(
    work: Callable[[], Any],
    confine: Callable[[], None] | None,
    keep: Sequence[int],
    places: Sequence[int],
    *,
    report: int,
    parent: int,
) -> None:
    """Never returns: the caller's stack, with its clean-ups, is not this process's to unwind."""
    answer: dict[str, Any]
    try:
        # Ctrl-C reaches the whole group: the parent answers it, and kills us. Its handlers are not ours.
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD, signal.SIGWINCH):
            signal.signal(number, signal.SIG_IGN if number == signal.SIGINT else signal.SIG_DFL)
        syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)
        # First of all the locks: a forked child would go on holding what its dead parent held.
        _close_others((*keep, *places), os.open("/dev/null", os.O_RDWR))
        if confine is not None:
            confine()
            _close_others((0, 1, 2, *keep))
        answer = {"result": work()}
    except OSError as error:
        path = os.fsdecode(error.filename) if isinstance(error.filename, (str, bytes)) else None
        answer = _failed(error.strerror or str(error), error.errno or errno.EIO, type(error).__name__, path)
    except BaseException as error:  # noqa: BLE001 - a bug: told to the parent in one line, as its own
        answer = _failed(f"{type(error).__name__}: {error} ({place(error)})")
    # The parent may wait for one of these to close before it listens to what we say.
    _close_others((report,))
    _send(report, json.dumps(answer).encode())
    os._exit(0)


def _close_others(keep: Sequence[int], null: int = -1) -> None:
    """Close all but `keep`; 0 to 2 become `null` if given, or a stray warning would land in some new file."""
    low = 0
    for number in range(3 if null >= 0 else 0):
        if number not in keep:
            os.dup2(null, number, inheritable=False)
        low = 3
    for descriptor in sorted(number for number in keep if number >= low):
        if descriptor > low:
            syscalls.close_range(low, descriptor - 1)
        low = descriptor + 1
    syscalls.close_range(low)


def _failed(message: str, code: int = errno.EIO, kind: str = "", path: str | None = None) -> dict[str, Any]:
    return {"error": {"kind": kind, "code": code, "message": message, "path": path}}


def _send(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]
