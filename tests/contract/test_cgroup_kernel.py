"""What only the real kernel can show of cgroups: its refusals, its killing, its freezer, its races."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest

from effects import cgroup_tree
from effects.failure import Failure
from effects.handler import Effects
from effects.registry import HANDLERS
from tests.contract.bench import LinuxBench, may_open

pytestmark = pytest.mark.root
# Where the controllers are of version 2 only, as in the machine of tests/vm.
V1 = os.path.exists("/sys/fs/cgroup/cpu/cpu.cfs_quota_us") or not os.path.exists(
    "/sys/fs/cgroup/cgroup.controllers"
)


@pytest.mark.parametrize(
    ("limits", "step", "message"),
    [
        ({"cpuset_cpus": "0-4095"}, "cgroup cpuset", "cpuset.cpus does not take 0-4095: "),
        ({"cpuset_cpus": "x"}, "cgroup cpuset", "cpuset.cpus does not take x: "),
        ({"cpu_quota": 1}, "cgroup cpu", "cpu.max does not take 1 100000: "),
    ],
)
def test_a_value_the_kernel_refuses_is_told_with_its_controller(
    limits: dict[str, Any], step: str, message: str, real: LinuxBench
) -> None:
    refused = Effects(HANDLERS, real.host).do("cgroup", {**real.spec("cgroup"), "limits": limits})
    assert isinstance(refused, Failure)
    if V1:
        message = message.replace("cpu.max does not take 1 100000", "cpu.cfs_quota_us does not take 1")
    assert (refused.step, refused.message[: len(message)]) == (step, message)
    assert refused.path.endswith(message.split(maxsplit=1)[0])


def test_swap_and_memory_together_cannot_be_less_than_memory(real: LinuxBench) -> None:
    limits = {"memory": 8 << 20, "memory_swap": 4 << 20}
    refused = Effects(HANDLERS, real.host).do("cgroup", {**real.spec("cgroup"), "limits": limits})
    assert isinstance(refused, Failure)
    assert (refused.step, refused.message) == (
        "cgroup memory",
        "memory_swap counts both, and 4194304 is less than memory alone, 8388608",
    )


@pytest.mark.parametrize("version", [1, 2])
def test_kill_all_ends_what_runs_below_a_cgroup_of_either_version(version: int, real: LinuxBench) -> None:
    """A process of the host's own pid namespace, in one hierarchy only, in a cgroup below the leaf."""
    real.do("cgroup")
    where = cgroup_tree.places(real.facts["cgroup"])
    leaf = where["cgroup2"] if version == 2 else where["dirs"]["pids"]
    real.host.make_dir(f"{leaf}/below", 0o755)
    child = os.fork()
    if child == 0:
        try:
            with open(f"{leaf}/below/cgroup.procs", "w") as file:
                file.write("0")
            os.kill(os.getpid(), signal.SIGSTOP)
        finally:
            os._exit(1)
    try:
        os.waitid(os.P_PID, child, os.WSTOPPED)
        assert real.host.pids_in(f"{leaf}/below") == [child]

        real.host.kill_all([leaf], 5)

        ended = os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT | os.WNOHANG)
        assert ended is not None
        assert real.host.pids_in(f"{leaf}/below") == []
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def test_the_devices_of_a_version_2_cgroup_are_limited_by_the_kernel(real: LinuxBench) -> None:
    real.do("cgroup")
    leaf = cgroup_tree.places(real.facts["cgroup"])["cgroup2"]
    real.host.limit_devices(leaf, ["c 1:3 rwm"])
    assert may_open(leaf, "/dev/null")
    assert not may_open(leaf, "/dev/zero")


@pytest.mark.skipif(not V1, reason="no freezer of version 1 here")
def test_what_the_freezer_of_version_1_holds_can_still_be_ended(real: LinuxBench) -> None:
    real.stage("frozen")
    spec = {**real.facts["cgroup"], "cgroup2": ""}  # as on a machine without version 2
    frozen, init = HANDLERS["frozen"], HANDLERS["init"]
    assert frozen.do(spec, real.host) == {}
    assert frozen.probe(spec, real.host) == {}
    with pytest.raises(OSError, match="does not end"):
        real.host.kill(real.facts["init"], 0.05)

    init.undo(real.spec("init"), real.facts["init"], real.host)

    assert not real.host.is_alive(real.facts["init"])
    frozen.undo(spec, {}, real.host)
    assert frozen.probe(spec, real.host) is None


def test_neighbours_that_come_and_go_at_once_do_not_disturb_each_other(real: LinuxBench) -> None:
    """Each finds the parent empty now and then, and removes it under the others."""
    spec = {**real.spec("cgroup"), "limits": {"pids": 5, "cpuset_cpus": "0"}}
    children = []
    for number in range(4):
        child = os.fork()
        if child == 0:
            status = 1
            try:
                for turn in range(40):
                    mine = {**spec, "name": f"{number}-{turn}"}
                    facts = HANDLERS["cgroup"].do(mine, real.host)
                    HANDLERS["cgroup"].undo(mine, facts, real.host)
                status = 0
            except OSError as error:
                print(number, error)
            finally:
                os._exit(status)
        children.append(child)
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0, 0, 0, 0]


def test_a_cgroup_that_several_share_takes_one_while_another_who_left_it_empty_removes_it(
    real: LinuxBench,
) -> None:
    """A monitor comes as the only other one goes, a network's server as the last of the others ends.

    The kernel refuses in four ways: the directory is gone, before or after it was opened, and what was made in its
    place has no CPUs yet, or fewer files.
    """
    parent = f"mydocker-{real.root_id}"
    children = []
    for _number in range(4):
        child = os.fork()
        if child == 0:
            status = 1
            try:
                for _turn in range(100):
                    facts = cgroup_tree.enter(real.host, parent, cgroup_tree.MONITORS)
                    cgroup_tree.leave(real.host, facts)
                status = 0
            except OSError as error:
                print(error)
            finally:
                os._exit(status)
        children.append(child)
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0, 0, 0, 0]
