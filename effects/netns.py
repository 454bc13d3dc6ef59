"""Into another process's network namespace, and back. LEAN."""

from __future__ import annotations

import errno
import os

from effects import syscalls
from effects.failure import StepFailed
from effects.identity import alive

TYPE_CHECKING = False
if TYPE_CHECKING:
    from effects.identity import Identity


def open_namespace(identity: Identity, step: str) -> int:
    """A descriptor of the process's network namespace; ESRCH if it is gone, or is another by now."""
    path = f"/proc/{identity['pid']}/ns/net"
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise StepFailed(step, errno.ESRCH, "the process is gone", path) from error
    # Only after the opening: alive now, it was alive then, and the pid was its own.
    if not alive(identity):
        os.close(descriptor)
        raise StepFailed(step, errno.ESRCH, "the process is gone", path)
    return descriptor


class Within:
    """`with Within(descriptor):` this thread is in that network namespace. What is opened there stays there."""

    def __init__(self, namespace: int) -> None:
        self._namespace = namespace
        self._own = -1

    def __enter__(self) -> None:
        self._own = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            syscalls.setns(self._namespace, syscalls.CLONE_NEWNET)
        except OSError:
            os.close(self._own)
            raise

    def __exit__(self, *_error: object) -> None:
        syscalls.setns(self._own, syscalls.CLONE_NEWNET)
        os.close(self._own)
