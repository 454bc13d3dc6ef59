"""What a process of a container must not inherit from whoever typed the command. LEAN."""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # `signal` pulls in enum, 6 ms
import errno
import os

from effects import syscalls

_UNHANDLED = {9, 19}  # SIGKILL, SIGSTOP
_INFINITY = (1 << 64) - 1  # RLIM64_INFINITY
_OF_LIBC = {32, 33}  # glibc keeps them for itself, but not from being ignored at our birth


def default_signals() -> None:
    """All signals to their defaults and unblocked; Python's own SIG_IGN of SIGPIPE would pass an exec."""
    _signal.set_wakeup_fd(-1)
    for number in range(1, 65):
        if number in _OF_LIBC:
            syscalls.signal_default(number)
        elif number not in _UNHANDLED and _signal.getsignal(number) != _signal.SIG_DFL:
            _signal.signal(number, _signal.SIG_DFL)
    _signal.pthread_sigmask(_signal.SIG_SETMASK, ())


def close_others(keep: set[int]) -> None:
    """Close all descriptors above 2 but these."""
    low = 3
    for descriptor in sorted(keep):
        if descriptor > low:
            syscalls.close_range(low, descriptor - 1)
        low = max(low, descriptor + 1)
    syscalls.close_range(low)


def reset_oom_score() -> None:
    """To 0: the caller's protection, or its lack of it, is not the container's. Needs the host's /proc."""
    descriptor = os.open("/proc/self/oom_score_adj", os.O_RDWR | os.O_CLOEXEC)
    try:
        if int(os.read(descriptor, 16)) != 0:
            os.write(descriptor, b"0")
    finally:
        os.close(descriptor)


def leave_keyring(container_id: str) -> None:
    """Into a session keyring of the container's own: the caller's holds its keys."""
    try:
        syscalls.keyctl_join_session_keyring(f"_ses.{container_id}")
    except OSError as error:
        if error.errno != errno.ENOSYS:  # a kernel without keyrings has nothing to hide
            raise


def copy_limits(pid: int) -> None:
    """Take over the resource limits of `pid`, as far as we may: more than our own hard limit needs
    CAP_SYS_RESOURCE, and without it ours stays.
    """
    for resource, (soft, hard) in enumerate(limits_of(pid)):
        own_soft, own_hard = syscalls.prlimit(0, resource)
        if (soft, hard) == (own_soft, own_hard):
            continue
        try:
            syscalls.prlimit(0, resource, (soft, hard))
        except PermissionError:
            syscalls.prlimit(0, resource, (min(soft, own_hard), own_hard))


def limits_of(pid: int) -> list[tuple[int, int]]:
    """(soft, hard) of every resource, in the order of their numbers. Needs the host's /proc.

    Not by prlimit(2), which needs CAP_SYS_RESOURCE where the process has become another user.
    """
    with open(f"/proc/{pid}/limits", "rb") as file:
        lines = file.read().decode().splitlines()[1:]
    # fs/proc/base.c, proc_pid_limits: "%-25s %-20s %-20s %-10s", by the number of the resource.
    return [(_limit(line[26:47]), _limit(line[47:68])) for line in lines]


def _limit(text: str) -> int:
    text = text.strip()
    return _INFINITY if text == "unlimited" else int(text)
