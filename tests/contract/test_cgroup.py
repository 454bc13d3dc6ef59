"""A container's cgroup: limited before anything runs in it, emptied and removed whatever runs in it."""

from __future__ import annotations

import errno
import os
from typing import Any

import pytest

from effects import cgroup_tree
from effects.failure import Failure
from effects.handler import Effects
from effects.registry import HANDLERS
from tests.contract.bench import Bench, FakeBench, LinuxBench, may_open, value_of
from tests.fakes import Crash, FakeHost, Fuse, fused

MEBIBYTE = 1 << 20
MEMORY = ("memory", "memory.limit_in_bytes"), ("memory", "memory.max")
V1_UNLIMITED = {"9223372036854771712", "max"}


def memory(bench: Bench) -> str:
    return str(value_of(bench, *MEMORY))


def swap(bench: Bench) -> int:
    """What the container may use of memory and swap together."""
    both = value_of(bench, ("memory", "memory.memsw.limit_in_bytes"), ("memory", "memory.swap.max"))
    is_v2 = bench.facts["cgroup"]["at"]["memory"] == bench.facts["cgroup"]["cgroup2"]
    return int(both) + (int(memory(bench)) if is_v2 else 0)


def failure(bench: Bench, verb: str, **changes: Any) -> Failure:
    effects = Effects(HANDLERS, bench.host)
    result = getattr(effects, verb)("cgroup", {**bench.spec("cgroup"), **changes})
    assert isinstance(result, Failure), result
    return result


def change(bench: Bench, limits: dict[str, Any]) -> None:
    bench.limits = limits
    result = Effects(HANDLERS, bench.host).change("cgroup", bench.spec("cgroup"))
    assert result == bench.facts["cgroup"]


def test_the_limits_are_in_force_before_anything_runs(bench: Bench) -> None:
    bench.limits = {
        "memory": 32 * MEBIBYTE,
        "pids": 7,
        "cpu_shares": 512,
        "cpu_quota": 50000,
        "cpuset_cpus": "1",
    }
    bench.stage("cgroup")
    bench.do("cgroup")

    assert memory(bench) == str(32 * MEBIBYTE)
    assert swap(bench) == 64 * MEBIBYTE
    assert value_of(bench, ("pids", "pids.max"), ("pids", "pids.max")) == "7"
    assert value_of(bench, ("cpu", "cpu.shares"), ("cpu", "cpu.weight")) in {"512", "59"}
    assert value_of(bench, ("cpu", "cpu.cfs_quota_us"), ("cpu", "cpu.max")) in {"50000", "50000 100000"}
    assert value_of(bench, ("cpuset", "cpuset.cpus"), ("cpuset", "cpuset.cpus")) == "1"


def test_without_limits_it_takes_processes_all_the_same(bench: Bench) -> None:
    bench.limits = {}
    bench.stage("release")
    bench.do("release")
    pid = bench.facts["init"]["pid"]
    where = cgroup_tree.places(bench.facts["cgroup"])

    leaves = [path.rpartition("/")[0] for path in where["joins"]] + [where["cgroup2"]] * bool(
        where["cgroup2"]
    )
    assert leaves
    assert all(bench.host.pids_in(leaf) == [pid] for leaf in leaves)
    assert memory(bench) in V1_UNLIMITED


@pytest.mark.parametrize(
    ("before", "after"),
    [(64, 128), (128, 64), (64, 512), (512, 16)],
    ids=["raise", "lower", "raise beyond memory and swap", "lower below half"],
)
def test_limits_change_in_place(before: int, after: int, bench: Bench) -> None:
    bench.limits = {"memory": before * MEBIBYTE}
    bench.stage("frozen")

    change(bench, {"memory": after * MEBIBYTE, "pids": 9})

    assert memory(bench) == str(after * MEBIBYTE)
    assert swap(bench) == 2 * after * MEBIBYTE
    assert value_of(bench, ("pids", "pids.max"), ("pids", "pids.max")) == "9"


def test_a_limit_no_longer_asked_for_is_lifted(bench: Bench) -> None:
    bench.stage("frozen")

    change(bench, {})

    assert memory(bench) in V1_UNLIMITED
    assert value_of(bench, ("pids", "pids.max"), ("pids", "pids.max")) == "max"
    assert value_of(bench, ("cpu", "cpu.shares"), ("cpu", "cpu.weight")) in {"1024", "100"}
    assert value_of(bench, ("cpuset", "cpuset.cpus"), ("cpuset", "cpuset.cpus")) in {"0-1", ""}


def test_a_change_of_what_is_gone_fails(bench: Bench) -> None:
    assert failure(bench, "change").errno == errno.ENOENT


@pytest.mark.parametrize("layout", ["v1", "v2"])
def test_a_limit_without_its_controller_is_refused_by_name(layout: str) -> None:
    bench = FakeBench(layout)
    for hierarchy in list(bench.kernel.hierarchies):
        if "memory" in hierarchy["controllers"]:
            bench.kernel.hierarchies.remove(hierarchy)
        elif hierarchy["version"] == 2:
            bench.kernel.cgroup(hierarchy["path"]).file("cgroup.controllers", b"pids cpu cpuset")
    refused = failure(bench, "do")
    assert (refused.errno, refused.step) == (errno.ENODEV, "cgroup memory")
    assert refused.message == "memory: this machine has no memory controller for cgroups"


def test_a_controller_that_cannot_be_handed_down_fails_only_who_needs_it() -> None:
    bench = FakeBench("v2")
    top = bench.kernel.cgroup("/sys/fs/cgroup")
    top.parent = top  # not the machine's own root: its processes forbid it to hand controllers down
    assert isinstance(bench.host, FakeHost)
    bench.host.myself.cgroups = [top]

    refused = failure(bench, "do", limits={"pids": 5})
    assert (refused.errno, refused.step) == (errno.EBUSY, "cgroup pids")

    bench.limits = {}
    assert bench.do("cgroup")["at"] == {}


def test_devices_are_limited_unless_privileged(bench: Bench) -> None:
    bench.stage("cgroup")
    bench.do("cgroup")
    where = cgroup_tree.places(bench.facts["cgroup"])
    if directory := where["dirs"].get("devices"):
        assert "c 1:3 rwm" in bench.host.read_file(f"{directory}/devices.list").decode()
        assert "a *:*" not in bench.host.read_file(f"{directory}/devices.list").decode()
    elif isinstance(bench, FakeBench):
        assert "c 1:3 rwm" in (bench.kernel.cgroup(where["cgroup2"]).devices or [])
    else:
        assert may_open(where["cgroup2"], "/dev/null")
        assert not may_open(where["cgroup2"], "/dev/kmsg")


def test_a_privileged_container_has_all_devices(bench: Bench) -> None:
    facts = HANDLERS["cgroup"].do({**bench.spec("cgroup"), "privileged": True}, bench.host)
    where = cgroup_tree.places(facts)
    if directory := where["dirs"].get("devices"):
        assert (
            bench.host.read_file(f"{directory}/devices.list")
            == b"a *:* rwm\n"[: 10 - isinstance(bench, FakeBench)]
        )
    elif isinstance(bench, FakeBench):
        assert bench.kernel.cgroup(where["cgroup2"]).devices is None
    else:
        assert may_open(where["cgroup2"], "/dev/kmsg")


def test_undo_kills_what_runs_there_also_below_and_frozen(bench: Bench) -> None:
    bench.stage("frozen")
    bench.do("frozen")
    where = cgroup_tree.places(bench.facts["cgroup"])
    for path in where["joins"]:
        bench.host.make_dir(f"{path.rpartition('/')[0]}/below", 0o755)
    identity = bench.facts["init"]

    HANDLERS["cgroup"].undo(bench.spec("cgroup"), bench.facts["cgroup"], bench.host)

    assert not bench.host.is_alive(identity)
    assert HANDLERS["cgroup"].probe(bench.spec("cgroup"), bench.host) is None


def test_the_parent_goes_with_its_last_child(bench: Bench) -> None:
    bench.stage("cgroup")
    bench.do("cgroup")
    neighbour = {**bench.spec("cgroup"), "name": "neighbour"}
    HANDLERS["cgroup"].do(neighbour, bench.host)

    bench.undo("cgroup")
    assert bench.leftovers() != []
    HANDLERS["cgroup"].undo(neighbour, {}, bench.host)
    assert bench.leftovers() == []


@pytest.mark.parametrize("noticed", [False, True], ids=["after it was made", "while it is made"])
def test_a_parent_removed_meanwhile_is_made_again(noticed: bool, bench: Bench) -> None:
    """As by the undoing of a neighbour, which found it empty between our making it and our leaf."""
    real, parent = bench.host.make_dir, f"mydocker-{bench.root_id}"
    snatched: list[str] = []

    def make_dir(path: str, mode: int) -> None:
        real(path, mode)
        if path.endswith(parent) and path not in snatched:
            snatched.append(path)
            bench.host.remove_cgroup(path, 0)
            if noticed:
                raise FileNotFoundError(errno.ENOENT, "gone before its mode was set", path)

    bench.host.make_dir = make_dir  # type: ignore[method-assign]
    bench.do("cgroup")
    assert len(snatched) == len(bench.host.hierarchies())


def test_a_monitor_enters_a_leaf_of_its_own_which_goes_once_it_is_empty(bench: Bench) -> None:
    parent = f"mydocker-{bench.root_id}"
    if isinstance(bench, LinuxBench):
        child = os.fork()
        if child == 0:
            status = 1
            try:
                facts = cgroup_tree.enter(bench.host, parent, cgroup_tree.MONITORS)
                where = cgroup_tree.places(facts)
                inside = {path.rpartition("/")[0] for path in where["joins"]} | {where["cgroup2"]} - {""}
                status = int(any(bench.host.pids_in(path) != [os.getpid()] for path in inside))
            finally:
                os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    else:
        facts = cgroup_tree.enter(bench.host, parent, cgroup_tree.MONITORS)
        assert isinstance(bench.host, FakeHost)
        assert facts["leaf"] == f"{parent}/{cgroup_tree.MONITORS}"
        bench.succeed()
    assert bench.leftovers() != []
    bench.do("cgroup")
    bench.undo("cgroup")
    assert bench.leftovers() == []


def test_facts_are_short_and_tell_every_path(bench: Bench) -> None:
    facts = bench.do("cgroup")
    where = cgroup_tree.places(facts)
    assert len(str(facts)) < 700
    assert all(map(bench.host.exists, where["dirs"].values()))
    assert all(map(bench.host.exists, where["joins"]))
    assert len(set(where["joins"])) == len(where["joins"])


def test_after_a_crash_at_any_call_the_limits_are_in_force_once_do_reports(bench: Bench) -> None:
    """Half done is not taken for done: a directory alone proves nothing."""
    for step in range(1, 200):
        handler, spec = bench.stage("cgroup")
        try:
            handler.do(spec, fused(bench.host, Fuse(step)))
        except Crash:
            bench.succeed()
            bench.do("cgroup")
            assert memory(bench) == str(32 << 20)
            assert value_of(bench, ("pids", "pids.max"), ("pids", "pids.max")) == "50"
            if directory := cgroup_tree.places(bench.facts["cgroup"])["dirs"].get("devices"):
                assert "a *:*" not in bench.host.read_file(f"{directory}/devices.list").decode()
        else:
            break
    assert 10 < step < 199
