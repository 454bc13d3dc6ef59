"""What a cgroup uses: counters of both versions, and of processes that really work, in real cgroups."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from effects import usage
from tests.inmates import inmate

MIB = 1 << 20
EATER = """
import sys, time
for line in sys.stdin:
    what, _, amount = line.partition(" ")
    if what == "eat":
        kept = b"x" * int(amount)
    elif what == "burn":
        while time.process_time_ns() < int(amount): pass
    print("done", flush=True)
"""


def tree(place: Path, **files: str) -> str:
    """A directory with these control files; `__` stands for the dot in a name."""
    place.mkdir(parents=True)
    for name, content in files.items():
        (place / name.replace("__", ".")).write_text(content)
    return str(place)


def version2(tmp_path: Path, **changes: str) -> dict[str, Any]:
    """The facts of a cgroup of version 2 whose files say this."""
    files = {
        "cgroup__procs": "",
        "cpu__stat": "usage_usec 1500\nuser_usec 1000\n",
        "memory__current": str(10 * MIB),
        "memory__max": "max\n",
        "memory__stat": f"anon 5\ninactive_file {4 * MIB}\n",
        "pids__current": "3\n",
        "io__stat": "8:0 rbytes=10 wbytes=20 rios=1 wios=2 dbytes=0 dios=0\n8:16 rbytes=1 wbytes=2\n",
    } | changes
    tree(tmp_path / "cg/leaf", **files)
    mount = str(tmp_path / "cg")
    return {"leaf": "leaf", "at": dict.fromkeys(("cpu", "memory", "pids", "io"), mount), "cgroup2": mount}


def taken(facts: dict[str, Any], pid: int = 0) -> usage.Usage:
    found = usage.sample(facts, pid)
    assert found is not None
    return found


def test_version_2_is_read_in_its_own_units(tmp_path: Path) -> None:
    found = taken(version2(tmp_path))

    assert found.cpu == 1_500_000
    assert found.memory == 6 * MIB
    assert found.pids == 3
    assert (found.read, found.written) == (11, 22)


def test_memory_without_a_limit_is_limited_by_the_machine(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()

    assert taken(version2(tmp_path / "a")).memory_limit == usage.host_memory() > MIB
    assert taken(version2(tmp_path / "b", memory__max=str(64 * MIB))).memory_limit == 64 * MIB


def test_a_cgroup_that_is_gone_gives_nothing(tmp_path: Path) -> None:
    assert usage.sample({"leaf": "none", "at": {"memory": str(tmp_path)}, "cgroup2": ""}) is None


def test_what_no_controller_tells_is_unknown_and_not_zero(tmp_path: Path) -> None:
    tree(tmp_path / "cg/leaf", cpu__stat="usage_usec 1\n")

    found = taken({"leaf": "leaf", "at": {}, "cgroup2": str(tmp_path / "cg")})

    assert found.cpu == 1000
    assert (found.memory, found.pids, found.read, found.written) == (None, None, None, None)


def test_version_1_is_read_by_controller_and_a_parents_limit_counts(tmp_path: Path) -> None:
    at = {name: str(tmp_path / name) for name in ("cpuacct", "memory", "pids", "blkio")}
    tree(tmp_path / "cpuacct/leaf", cpuacct__usage="77\n")
    tree(tmp_path / "pids/leaf", pids__current="2\n")
    tree(
        tmp_path / "blkio/leaf",
        blkio__throttle__io_service_bytes_recursive="8:0 Read 1\n8:0 Write 2\n8:16 Read 3\n8:16 Total 9\nTotal 15\n",
    )
    tree(
        tmp_path / "memory/leaf",
        memory__usage_in_bytes="1000",
        memory__limit_in_bytes="9223372036854771712",
        memory__stat="inactive_file 1\nhierarchical_memory_limit 4096\ntotal_inactive_file 300\n",
    )

    found = taken({"leaf": "leaf", "at": at, "cgroup2": ""})

    assert (found.cpu, found.memory, found.memory_limit, found.pids) == (77, 700, 4096, 2)
    assert (found.read, found.written) == (4, 2)


def test_a_kernel_without_block_throttling_is_no_cgroup_that_is_gone(tmp_path: Path) -> None:
    tree(tmp_path / "blkio/leaf")

    assert taken({"leaf": "leaf", "at": {"blkio": str(tmp_path / "blkio")}, "cgroup2": ""}).read is None


def test_a_working_process_is_measured(tmp_path: Path) -> None:
    with inmate("python3", "-I", "-S", "-c", EATER, memory=64 * MIB, pids=7) as held:
        idle = taken(held.cgroup)
        held.say(b"eat %d\n" % (8 * MIB))
        held.wait_for(b"done\n")
        held.say(b"burn 60000000\n")
        held.wait_for(b"done\n")
        busy = taken(held.cgroup)

    assert idle.cpu is not None
    assert idle.memory is not None
    assert busy.cpu is not None
    assert busy.memory is not None
    assert busy.cpu >= 50_000_000 > idle.cpu
    assert busy.memory - idle.memory >= 7 * MIB
    assert busy.memory_limit == 64 * MIB
    assert busy.pids == 1
    assert busy.at > idle.at
    assert usage.sample(held.cgroup) is None


def test_the_network_of_a_process_is_summed_without_the_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    zeros = " 0" * 7
    devices = f"heading\nheading\n    lo: 1000{zeros} 2000{zeros}\n  eth0:10{zeros} 20{zeros}\neth1: 3{zeros} 4{zeros}\n"
    monkeypatch.setattr(usage, "_read", lambda path: {"/proc/7/net/dev": devices}[path])

    assert usage.network(7) == (13, 24)


def test_the_kernels_own_list_of_devices_is_understood() -> None:
    assert usage.network(os.getpid()) >= (0, 0)


def test_the_network_is_the_processs_own() -> None:
    with inmate("unshare", "--net", "--", "sh", "-c", "echo apart; read line") as held:
        held.wait_for(b"apart\n")
        found = taken(held.cgroup, held.pid)

        assert (found.received, found.sent) == (0, 0)


def test_a_process_that_is_gone_gives_nothing(tmp_path: Path) -> None:
    assert usage.sample(version2(tmp_path), pid=2**22 - 1) is None


def test_a_refusal_of_the_kernel_is_told(tmp_path: Path) -> None:
    facts = version2(tmp_path)
    os.unlink(tmp_path / "cg/leaf/cpu.stat")
    os.mkdir(tmp_path / "cg/leaf/memory.max.d")
    os.rename(tmp_path / "cg/leaf/memory.max.d", tmp_path / "cg/leaf/cpu.stat")

    with pytest.raises(IsADirectoryError):
        usage.sample(facts)
