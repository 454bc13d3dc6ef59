"""Limits as the kernel's files take them, version 1 and 2. Pure: no host, no kernel. LEAN.

Sources: Documentation/admin-guide/cgroup-v1/{memory,cpusets,pids}.rst, scheduler/sched-bwc.rst, cgroup-v2.rst.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Write = tuple[str, str, str]  # controller, file, value

# Which controller each limit needs.
NEEDS = {
    "memory": "memory",
    "memory_swap": "memory",
    "cpu_shares": "cpu",
    "cpu_quota": "cpu",
    "cpu_period": "cpu",
    "cpuset_cpus": "cpuset",
    "cpuset_mems": "cpuset",
    "pids": "pids",
}
UNLIMITED = -1
_BASE = 2.0


def needed(limits: dict[str, Any]) -> dict[str, str]:
    """Controller -> the first limit that needs it; limits of 0, "" or None ask for nothing."""
    asked: dict[str, str] = {}
    for name, controller in NEEDS.items():
        if limits.get(name):
            asked.setdefault(controller, name)
    return asked


def memory_and_swap(limits: dict[str, Any]) -> tuple[int, int]:
    """Bytes of memory, and of memory and swap together; -1 for no limit.

    As docker has it: a limit of memory alone allows as much swap again.
    """
    memory = limits.get("memory") or UNLIMITED
    swap = limits.get("memory_swap") or (2 * memory if memory > 0 else UNLIMITED)
    return memory, swap


def writes_v1(limits: dict[str, Any], *, reset: bool) -> list[Write]:
    """All but memory, whose order depends on what is in force, and cpuset, which inherits.

    `reset`: write the defaults too, for what is no longer asked.
    """
    rows = (
        ("cpu", "cpu.shares", _text(limits, "cpu_shares"), "1024"),
        ("cpu", "cpu.cfs_period_us", _text(limits, "cpu_period"), "100000"),
        ("cpu", "cpu.cfs_quota_us", _text(limits, "cpu_quota"), "-1"),
        ("pids", "pids.max", _pids(limits), "max"),
    )
    return _chosen(rows, reset=reset)


def writes_v2(limits: dict[str, Any], *, reset: bool) -> list[Write]:
    """All limits; `reset` as above. An empty cpuset inherits the parent's by itself."""
    memory, both = memory_and_swap(limits)
    shares = limits.get("cpu_shares") or 0
    rows = (
        # Version 2 counts swap alone, version 1 and docker's option both together.
        ("memory", "memory.swap.max", str(both - max(memory, 0)) if both > 0 else "", "max"),
        ("memory", "memory.max", str(memory) if memory > 0 else "", "max"),
        ("cpu", "cpu.weight", str(weight(shares)) if shares else "", "100"),
        ("cpu", "cpu.max", _bandwidth(limits), "max 100000"),
        ("cpuset", "cpuset.cpus", _text(limits, "cpuset_cpus"), ""),
        ("cpuset", "cpuset.mems", _text(limits, "cpuset_mems"), ""),
        ("pids", "pids.max", _pids(limits), "max"),
    )
    return _chosen(rows, reset=reset)


def weight(shares: int) -> int:
    """cpu.weight (1..10000) for cpu.shares (2..262144), so that the defaults, 100 and 1024, match.

    The curve that runc and crun took in 2025; the straight line before it gave the default a weight of 39.
    """
    log = _log2(min(max(shares, 2), 262144))
    return min(max(_ceil(10.0 ** ((log * log + 125 * log) / 612 - 7 / 34)), 1), 10000)


def _chosen(rows: tuple[tuple[str, str, str, str], ...], *, reset: bool) -> list[Write]:
    return [
        (controller, file, value or default) for controller, file, value, default in rows if value or reset
    ]


def _text(limits: dict[str, Any], name: str) -> str:
    return str(limits.get(name) or "")


def _pids(limits: dict[str, Any]) -> str:
    pids = limits.get("pids") or 0
    return "max" if pids < 0 else str(pids or "")


def _bandwidth(limits: dict[str, Any]) -> str:
    quota, period = limits.get("cpu_quota") or 0, limits.get("cpu_period") or 0
    if not quota and not period:
        return ""
    return f"{quota if quota > 0 else 'max'} {period or 100000}"


def _ceil(value: float) -> int:
    return -int(-value // 1)


def _log2(number: int) -> float:
    """The binary logarithm; `math` is a file of its own on some Pythons, and is not worth loading."""
    whole = number.bit_length() - 1
    rest, digit, result = number / (1 << whole), 0.5, float(whole)
    for _ in range(50):
        rest *= rest
        if rest >= _BASE:
            rest /= _BASE
            result += digit
        digit /= _BASE
    return result
