"""The kernel's capabilities by name (capabilities(7)), and what a container keeps of them."""

from __future__ import annotations

from machine.errors import InvalidValue
from machine.settings import DEFAULT_CAPS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

# In the order of their numbers in linux/capability.h, from 0.
_NAMES = """
CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE
NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT
SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE
AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ
PERFMON BPF CHECKPOINT_RESTORE
"""
CAPABILITIES = tuple(_NAMES.split())


def capability(text: str, what: str = "capability") -> str:
    """The kernel's name of "NET_ADMIN", "CAP_NET_ADMIN" or "net_admin"; "ALL" stands for every one."""
    name = text.upper().removeprefix("CAP_")
    if name == "ALL" or name in CAPABILITIES:
        return name
    raise InvalidValue(what, text, "no such capability [see capabilities(7)]")


def kept(add: Iterable[str], drop: Iterable[str], *, privileged: bool = False) -> list[str]:
    """The container's capabilities in the kernel's order: docker's fourteen, less `drop`, plus `add`.

    As in docker: ALL in `add` begins from all, ALL in `drop` from none; what is both added and
    dropped by name is kept unless ALL was added. Privileged keeps all, whatever is dropped.
    """
    added, dropped = set(add), set(drop)
    if privileged:
        return list(CAPABILITIES)
    if "ALL" in added:
        chosen = set(CAPABILITIES) - dropped
    elif "ALL" in dropped:
        chosen = added
    else:
        chosen = (set(DEFAULT_CAPS) - dropped) | added
    return [name for name in CAPABILITIES if name in chosen]
