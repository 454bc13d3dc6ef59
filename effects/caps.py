"""Capabilities of a container's processes: names, masks, and the dropping of all others. LEAN."""

from __future__ import annotations

import errno

from effects import syscalls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

# In the order of their numbers, from 0 (linux/capability.h).
_TEXT = """
CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE
NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT
SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE
AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ
PERFMON BPF CHECKPOINT_RESTORE
"""
NAMES = tuple(_TEXT.split())
_MOST = 64  # capset(2) has two words of 32


def mask(names: Iterable[str]) -> int:
    """One bit for each name, which goes without CAP_. EINVAL for one that nobody knows."""
    bits = 0
    for name in names:
        if name not in NAMES:
            raise OSError(errno.EINVAL, f"no such capability: {name}")
        bits |= 1 << NAMES.index(name)
    return bits


def drop_bounding(keep: int) -> None:
    """No program will ever have more than `keep`, set-user-ID or not. Needs CAP_SETPCAP, so comes first."""
    for capability in range(_MOST):
        if keep >> capability & 1:
            continue
        try:
            syscalls.capbset_drop(capability)
        except OSError as error:
            if error.errno == errno.EINVAL:
                return  # the kernel knows no more than those before
            raise


def set_exactly(keep: int, *, root: bool) -> None:
    """Permitted and effective are `keep`, or nothing for another user than root; the others are empty.

    An empty inheritable set: else a file's own inheritable bits would hand them out (CVE-2022-24769).
    With it the ambient set is empty too (capabilities(7)). EPERM where `keep` holds what we lack.
    """
    own = keep if root else 0
    syscalls.capset(own, own, 0)


def held() -> int:
    """What this process has itself: all that it can hand on."""
    return syscalls.capget()[1]


def missing(keep: int) -> list[str]:
    """The names in `keep` that this process lacks and so cannot give away."""
    lacking = keep & ~held()
    return [name for number, name in enumerate(NAMES) if lacking >> number & 1]
