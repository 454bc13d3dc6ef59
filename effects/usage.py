"""What a container uses: the counters of its cgroup, of version 1 and 2, and of its network devices."""

from __future__ import annotations

import errno
import time

from effects import cgroup_tree, processes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from effects.host import Facts

_GONE = {errno.ENOENT, errno.ENODEV, errno.ESRCH}  # ENODEV: the cgroup was removed while open
_MICROSECOND = 1000  # ns


class Usage:
    """One sample. None where no controller of this machine tells; counters are since the container's start.

    at                      ns of CLOCK_MONOTONIC when it was taken
    cpu                     ns of processor time
    memory, memory_limit    bytes in use less what the kernel would drop first, and how many it may have
    pids                    processes and threads
    read, written           bytes from and to block devices
    received, sent          bytes through its own network devices, the loopback left out
    """

    __slots__ = ("at", "cpu", "memory", "memory_limit", "pids", "read", "received", "sent", "written")

    def __init__(self) -> None:
        self.at = time.monotonic_ns()
        self.cpu: int | None = None
        self.memory: int | None = None
        self.memory_limit: int | None = None
        self.pids: int | None = None
        self.read: int | None = None
        self.written: int | None = None
        self.received = self.sent = 0


def sample(cgroup: Facts, pid: int = 0) -> Usage | None:
    """Of the cgroup with these facts, and the network that process `pid` sees (0: none); None if it is gone."""
    directories: dict[str, str] = cgroup_tree.places(cgroup)["dirs"]
    version2 = {name for name, mount in cgroup["at"].items() if mount == cgroup["cgroup2"]}
    usage = Usage()
    try:
        _cpu(usage, directories, cgroup_tree.places(cgroup)["cgroup2"])
        _memory(usage, directories.get("memory"), version2="memory" in version2)
        _pids(usage, directories)
        if "io" in version2:
            _io(usage, directories["io"])
        elif "blkio" in directories:
            _blkio(usage, directories["blkio"])
        if pid:
            usage.received, usage.sent = network(pid)
    except OSError as error:
        if error.errno in _GONE:
            return None
        raise
    return usage


def network(pid: int) -> tuple[int, int]:
    """(received, sent) bytes through all network devices that the process sees, but the loopback."""
    received = sent = 0
    for line in _read(f"/proc/{pid}/net/dev").splitlines()[2:]:
        name, _, counters = line.partition(":")
        fields = counters.split()
        if name.strip() != "lo":
            received += int(fields[0])
            sent += int(fields[8])
    return received, sent


def host_memory() -> int:
    """Bytes that the machine has."""
    return _table(_read("/proc/meminfo").replace(":", "")).get("MemTotal", 0) * 1024


def _cpu(usage: Usage, directories: dict[str, str], version2: str) -> None:
    if "cpuacct" in directories:
        usage.cpu = int(_read(f"{directories['cpuacct']}/cpuacct.usage"))
    elif version2:  # there in every cgroup of version 2, with the controller or without
        usage.cpu = _table(_read(f"{version2}/cpu.stat"))["usage_usec"] * _MICROSECOND


def _memory(usage: Usage, directory: str | None, *, version2: bool) -> None:
    if directory is None:
        return
    used, most, inactive = (
        ("memory.current", "memory.max", "inactive_file")
        if version2
        else ("memory.usage_in_bytes", "memory.limit_in_bytes", "total_inactive_file")
    )
    counters = _table(_read(f"{directory}/memory.stat"))
    usage.memory = max(0, int(_read(f"{directory}/{used}")) - counters.get(inactive, 0))
    limit = _read(f"{directory}/{most}").strip()
    limits = [host_memory(), counters.get("hierarchical_memory_limit", 0)]
    if limit != "max":
        limits.append(int(limit))
    usage.memory_limit = min(filter(None, limits), default=0)


def _pids(usage: Usage, directories: dict[str, str]) -> None:
    if "pids" in directories:
        usage.pids = int(_read(f"{directories['pids']}/pids.current"))
    elif directories:
        usage.pids = len(processes.pids(next(iter(directories.values()))))


def _io(usage: Usage, directory: str) -> None:
    """io.stat of version 2: `8:0 rbytes=1 wbytes=2 ...` a device."""
    counters = [word.partition("=") for word in _read(f"{directory}/io.stat").split()]
    usage.read = sum(int(number) for key, _, number in counters if key == "rbytes")
    usage.written = sum(int(number) for key, _, number in counters if key == "wbytes")


def _blkio(usage: Usage, directory: str) -> None:
    """Version 1: `8:0 Read 1` a line. Only the throttling layer, which not all kernels have, counts for every scheduler."""
    try:
        content = _read(f"{directory}/blkio.throttle.io_service_bytes_recursive")
    except FileNotFoundError:
        return
    lines = [line.split() for line in content.splitlines()]
    usage.read = sum(int(line[2]) for line in lines if line[1] == "Read")
    usage.written = sum(int(line[2]) for line in lines if line[1] == "Write")


def _table(content: str) -> dict[str, int]:
    """Lines of a name and a number, and perhaps a unit."""
    return {words[0]: int(words[1]) for line in content.splitlines() if len(words := line.split()) > 1}


def _read(path: str) -> str:
    with open(path, "rb", buffering=0) as file:
        content = b""
        while piece := file.read(1 << 16):
            content += piece
        return content.decode(errors="surrogateescape")
