"""Virtual machines for tests, and a loud word where there can be none."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.vm.machine import Machine, make_disk, missing

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
