"""What a new monitor is asked: its container, and the place in the journal up to which that is so."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from cli.request import request_of
from eventstore.event import Actor
from machine import decide
from machine.world import World
from tests import networked
from tests.histories import C1, PLACES, History, container_id, created


def who_joins(history: History) -> str:
    """A container that its policy starts again in the network of `c1`."""
    networked.start(history, networked.add(history))
    settings = {"network": f"container:{C1}", "restart": {"policy": "always", "max": 0}}
    history.decide(decide.create, created("c2", "b", **settings))
    stream = f"container/{container_id('b')}"
    history.settle(stream)
    history.decide(decide.start, "c2")
    history.settle(stream)
    history.decide(decide.note_exit, container_id("b"), code=1)
    return container_id("b")


def test_what_is_decided_while_it_waits_for_another_ones_network_is_told_as_well() -> None:
    history = networked.history()
    joining = history.world.containers[who_joins(history)]
    target = history.world.containers[C1]
    target.status = "starting"

    def refresh() -> World:
        """Meanwhile the other one has come up, and a user has stopped this one."""
        target.status = "running"
        history.decide(decide.stop, "c2")
        return history.world

    cursor = SimpleNamespace(dump=lambda: ["the journal's end"])
    engine: Any = SimpleNamespace(
        world=history.world,
        places=PLACES,
        actor=Actor({"uid": 0}, "op-1"),
        journal=SimpleNamespace(cursor=cursor),
        refresh=refresh,
    )
    assert joining.status == "restarting"

    asked = request_of(engine, joining, why="replay")

    assert (asked["container"]["version"], asked["container"]["status"]) == (joining.version, "exited")
