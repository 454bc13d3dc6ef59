"""Cgroups of version 2 alone, as on every current distribution: limits, memory that runs out, freezing, devices."""

from __future__ import annotations

import os

import pytest

from tests.vm.engine import Engine
from tests.vm.machine import CHECKOUT

pytestmark = [pytest.mark.root, pytest.mark.timeout(7200)]
ALL = bool(os.environ.get("MYDOCKER_TEST_ALL"))


def control(engine: Engine, container_id: str, *files: str) -> list[str]:
    """What the container's control files say."""
    where = " ".join(f"/sys/fs/cgroup/mydocker-*/{container_id}/{file}" for file in files)
    return engine.machine.ok(f"cat {where}").splitlines()


def test_limits_are_in_the_kernels_files_and_can_be_changed(engine: Engine) -> None:
    options = "-m 64m --pids-limit 9 --cpu-shares 512 --cpuset-cpus 1"
    container_id = engine.ok(f"run -d --name limits {options} busybox top").split()[-1]
    files = ("memory.max", "memory.swap.max", "pids.max", "cpu.weight", "cpuset.cpus")
    mebibyte = 1 << 20
    both = str(64 * mebibyte)
    assert control(engine, container_id, *files) == [both, both, "9", "59", "1"]
    engine.ok("update -m 32m --pids-limit 7 limits")
    assert control(engine, container_id, "memory.max", "pids.max") == [str(32 * mebibyte), "7"]


def test_memory_that_runs_out_is_told_from_a_signal(engine: Engine) -> None:
    done = engine("run --name oom -m 16m busybox sh -c 'x=a; while :; do x=$x$x; done'")
    state = engine.containers()["oom"]["State"]
    assert (done.code, state["ExitCode"], state["ExitReason"], state["OOMKilled"]) == (137, 137, "oom", True)


def test_paused_means_frozen_and_a_frozen_container_can_be_stopped(engine: Engine) -> None:
    container_id = engine.ok("run -d --name frozen busybox top").split()[-1]
    engine.ok("pause frozen")
    assert control(engine, container_id, "cgroup.freeze") == ["1"]
    assert "frozen 1" in control(engine, container_id, "cgroup.events")
    engine.ok("stop -t 0 frozen")
    assert engine.containers()["frozen"]["State"]["ExitCode"] in {137, 143}


def test_devices_are_refused_by_a_program_in_the_kernel(engine: Engine) -> None:
    """Also to nodes that the container makes itself."""
    made = "mknod /kmsg c 1 11; mknod /disk b 254 0; cat /disk; cat /kmsg"
    done = engine(
        f"run --rm busybox sh -c '{made}; head -c 1 /dev/zero | wc -c; echo > /dev/null && echo done'"
    )
    assert done.out.split() == ["1", "done"]
    assert done.err.count("Operation not permitted") == 2


def test_a_container_may_have_cgroups_below_its_own_and_all_go_with_it(engine: Engine) -> None:
    nest = "mkdir -p /sys/fs/cgroup/a/b; sleep 999 & echo $! > /sys/fs/cgroup/a/b/cgroup.procs; wait"
    container_id = engine.ok(f"run -d --name nested --privileged busybox sh -c '{nest}'").split()[-1]
    below = f"/sys/fs/cgroup/mydocker-*/{container_id}/a/b/cgroup.procs"
    engine.machine.ok(f"until grep -q . {below}; do sleep 0.1; done")
    engine.ok("rm -f nested")
    assert engine.machine.ok(f"ls -d /sys/fs/cgroup/mydocker-*/{container_id} 2>/dev/null || true") == ""


def test_the_suites_for_cgroups_hold_inside_the_machine(engine: Engine) -> None:
    """Those of the handlers, on this kernel; with --all every system test."""
    files = "tests/contract/test_cgroup_kernel.py tests/contract/test_cgroup.py"
    if ALL:
        files = "tests/contract tests/system"
    pytest_line = f"{CHECKOUT}/.venv-dev/bin/python -m pytest -q -p no:cacheprovider --timeout 1200 --basetemp /data/tests"
    done = engine.machine(f"cd {CHECKOUT} && {pytest_line} -k 'not fake' {files}", timeout=7000)
    assert done.code == 0, done.out[-5000:]
