"""What this machine is and offers: its system, its memory, its cgroup controllers, overlayfs."""

from __future__ import annotations

import os

from effects.linux_cgroups import Cgroups
from effects.usage import host_memory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def host_info() -> dict[str, Any]:
    """KernelVersion, OperatingSystem, Architecture, NCPU, MemTotal (bytes), Overlay, Cgroups."""
    kernel = os.uname()
    return {
        "KernelVersion": kernel.release,
        "OperatingSystem": operating_system(),
        "Architecture": kernel.machine,
        "NCPU": len(os.sched_getaffinity(0)),
        "MemTotal": host_memory(),
        "Overlay": has_overlay(),
        "Cgroups": controllers(),
    }


def controllers() -> dict[str, str]:
    """Each controller's version and mount, as "v1 /sys/fs/cgroup/memory"; `unified` is version 2's tree itself."""
    found = {}
    for hierarchy in Cgroups().hierarchies():
        place = f"v{hierarchy['version']} {hierarchy['path']}"
        names = hierarchy["controllers"]
        if hierarchy["version"] == 2:  # noqa: PLR2004 - the kernel's own number
            with open(f"{hierarchy['path']}/cgroup.controllers", encoding="ascii") as file:
                names = ["unified", *file.read().split()]
        found.update({name.removeprefix("name="): place for name in names})
    return found


def has_overlay() -> bool:
    """Whether the kernel knows overlayfs now; the first mount of one may load the module."""
    with open("/proc/filesystems", encoding="ascii") as file:
        return any(line.split()[-1] == "overlay" for line in file)


def operating_system(path: str = "/etc/os-release") -> str:
    """PRETTY_NAME of os-release(5); "Linux" where it tells none, as there."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            for line in file:
                key, _, value = line.strip().partition("=")
                if key == "PRETTY_NAME":
                    return value.strip("\"'")
    except FileNotFoundError:
        pass
    return "Linux"
