"""What of /proc and /sys a container does not see, and what it may only read: docker's lists. LEAN."""

from __future__ import annotations

import os
import stat

from effects import mounts, rootdir

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

MASKED = (
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
)
READ_ONLY = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")
_CPUS = "/sys/devices/system/cpu"  # each cpu*/thermal_throttle tells of its neighbours' load


def hide(root: int, null: int) -> list[str]:
    """Cover every masked path that this kernel has: files by null, directories by an empty tmpfs."""
    empty = mounts.filesystem("tmpfs", (("size", "4096"), ("mode", "0755")), mounts.SAFE | mounts.RDONLY)
    covered: list[str] = []
    attached = False
    for path, target in _present(root, (*MASKED, *_throttles(root))):
        if not stat.S_ISDIR(os.fstat(target).st_mode):
            _cover(target, mounts.clone_of(null, read_only=False))
        elif attached:
            _cover(target, mounts.clone_of(empty, read_only=False))
        else:
            # Itself, since before Linux 6.15 only an attached mount can be copied (EINVAL).
            mounts.attach(empty, target)
            attached = True
        os.close(target)
        covered.append(path)
    os.close(empty)
    return covered


def protect(root: int) -> list[str]:
    """Make every read-only path of this kernel so, by a read-only mount of itself over itself."""
    covered: list[str] = []
    for path, target in _present(root, READ_ONLY):
        _cover(target, mounts.clone_of(target, read_only=True))
        os.close(target)
        covered.append(path)
    return covered


def _cover(target: int, mount: int) -> None:
    mounts.attach(mount, target)
    os.close(mount)


def _present(root: int, paths: tuple[str, ...]) -> Iterator[tuple[str, int]]:
    """(path, handle) of those that exist; any other error than absence is raised."""
    for path in paths:
        try:
            handle = rootdir.open_in(root, path)
        except FileNotFoundError:
            continue
        yield path, handle


def _throttles(root: int) -> list[str]:
    try:
        cpus = rootdir.open_in(root, _CPUS, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        return []
    try:
        names = [name for name in os.listdir(cpus) if name.startswith("cpu") and name[3:].isdigit()]
    finally:
        os.close(cpus)
    return [f"{_CPUS}/{name}/thermal_throttle" for name in names]
