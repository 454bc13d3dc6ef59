"""A container whose cgroup was lost, and cannot be made anew: everything else about it goes on."""

from __future__ import annotations

from typing import Any

import pytest

from cli.freezes import Freezes
from cli.looking import directory_of
from machine.errors import EffectFailure
from machine.subjects import Container
from tests.steps import create, pause, remove, start
from tests.world import Computer


class Server:
    """Of a monitor: keeps what its clients are told."""

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []

    def tell(self, _client: object, message: dict[str, Any]) -> None:
        self.told.append(message)


@pytest.fixture
def computer() -> Computer:
    """It runs `c1`; then somebody unmounts the cgroups."""
    computer = Computer()
    computer.live((create(), start))
    computer.kernel.hierarchies.clear()
    computer.kernel.tree.at("/sys/fs/cgroup").entries.clear()
    computer.recover()
    return computer


def c1(computer: Computer) -> Container:
    return computer.world.containers[computer.world.names["c1"]]


def test_it_lives_and_has_none(computer: Computer) -> None:
    assert c1(computer).status == "running"
    assert c1(computer).cgroup is None


def test_it_cannot_be_paused_and_runs_on(computer: Computer) -> None:
    pause(computer)

    assert c1(computer).status == "running"
    error = c1(computer).error
    assert error is not None
    assert (error["step"], error["message"]) == ("freeze", "its cgroup is gone")


def test_no_job_holds_it_still(computer: Computer) -> None:
    server: Any = Server()
    client: Any = None
    freezes = Freezes(computer.engine, c1(computer), server)
    freezes.freeze(client)
    freezes.thaw()

    assert server.told == [{"event": "error", "message": "freeze: its cgroup is gone"}]
    assert not freezes.has_any()


def test_its_processes_cannot_be_told(computer: Computer) -> None:
    with pytest.raises(EffectFailure, match="cannot list the processes of c1: cgroup: it is gone"):
        directory_of(c1(computer))


def test_it_can_be_removed(computer: Computer) -> None:
    remove(force=True)(computer)

    assert computer.world.containers == {}
