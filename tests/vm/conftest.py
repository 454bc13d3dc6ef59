"""Virtual machines for tests, and a loud word where there can be none."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.vm.engine import Engine
from tests.vm.machine import Machine, make_disk, missing
from tests.waiting import until

SEED = os.environ.get("MYDOCKER_SEED") or str(int.from_bytes(os.urandom(3), "big"))


@pytest.fixture(scope="session", autouse=True)
def possible() -> None:
    """Fails, not skips: what only a virtual machine can show would be claimed by nobody."""
    if absent := missing():
        pytest.fail(absent)


@pytest.fixture
def boot(tmp_path: Path) -> Iterator[Callable[..., Machine]]:
    """Boots the machine of this test; all boots share its one disk. Off at the end."""
    disk = tmp_path / "disk"
    make_disk(disk)
    machines: list[Machine] = []

    def start(log: Path | None = None) -> Machine:
        machines.append(Machine(tmp_path, disk, log))
        return machines[-1]

    yield start
    for machine in machines:
        machine.cut()


@pytest.fixture(scope="session")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """One boot for all tests in which no power goes: cgroups of version 2 alone; two CPUs, for a choice between them."""
    base = tmp_path_factory.mktemp("machine")
    make_disk(base / "disk")
    with Machine(base, base / "disk", cpus=2) as machine:
        assert machine.ok("cat /sys/fs/cgroup/cgroup.controllers").split()[:3] == ["cpuset", "cpu", "io"]
        yield machine


@pytest.fixture(scope="session")
def engine(machine: Machine) -> Iterator[Engine]:
    """When all containers have gone, all cgroups have too, but that of the default network's name server."""
    engine = Engine(machine)
    yield engine
    if containers := engine.containers():
        engine.ok("rm -f " + " ".join(containers))
    engine.ok("network prune -f")
    look = "for d in /sys/fs/cgroup/mydocker-*/*/; do [ -d $d ] && basename $d; done; true"
    # A monitor answers before it leaves its cgroup and ends.
    until(lambda: set(machine.ok(look).split()) <= {"servers"}, "cgroups stay")
