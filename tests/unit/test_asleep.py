"""From a snapshot containers come asleep: lists show them as they are, and who asks for more or changes one wakes it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from cli.commands.ps import columns
from machine import decide
from machine.asleep import Asleep
from machine.projections import pid
from machine.subjects import Container
from machine.world import World
from tests.histories import alive, container_id, created, in_status

ID = container_id("a")


def busy() -> World:
    """A running container with settings, and a stopped one."""
    history = alive(labels={"a": "b"}, limits={"memory": 1 << 20})
    history.decide(decide.create, created("c2", "b"))
    history.settle(f"container/{container_id('b')}")
    return history.world


def is_asleep(c: Container) -> bool:
    return type(c) is Asleep


def test_what_is_unpacked_is_what_was_packed() -> None:
    world = busy()
    back = World.unpack(world.pack())

    assert back.names == world.names
    assert back.dump() == world.dump()


def test_packed_again_it_is_the_same_asleep_or_awake() -> None:
    packed = busy().pack()
    world = World.unpack(packed)
    world.containers[ID].wake()

    assert is_asleep(world.containers[container_id("b")])
    assert world.pack() == packed


def test_what_lists_show_does_not_wake_it() -> None:
    world = World.unpack(busy().pack())
    shown = [columns(c) for c in world.containers.values()]
    processes = [pid(c) for c in world.containers.values()]

    assert processes == [pid(c) for c in busy().containers.values()] != [0, 0]
    assert shown == [columns(c) for c in busy().containers.values()]
    assert all(map(is_asleep, world.containers.values()))


@pytest.mark.parametrize(
    "ask", [lambda c: c.settings, lambda c: c.version, lambda c: c.holding("init"), lambda c: c.dump()]
)
def test_the_rest_is_there_for_whoever_asks(ask: Callable[[Container], Any]) -> None:
    world, whole = World.unpack(busy().pack()), busy()

    def told(value: Any) -> Any:
        return value.dump() if hasattr(value, "dump") else value

    assert told(ask(world.containers[ID])) == told(ask(whole.containers[ID]))
    assert not is_asleep(world.containers[ID])


def test_an_event_wakes_it_first() -> None:
    before = in_status("exited")
    world = World.unpack(before.world.pack())
    before.decide(decide.rename, "c1", "c9")
    world.apply(before.events[-1])

    assert world.dump() == before.world.dump()
    assert world.names == before.world.names == {"c9": ID}
    assert World.unpack(world.pack()).dump() == world.dump()


def test_what_it_never_had_is_an_error_asleep_and_awake() -> None:
    asleep: Any = World.unpack(busy().pack()).containers[ID]

    with pytest.raises(AttributeError, match="no_such"):
        _ = asleep.no_such
    with pytest.raises(AttributeError, match="no_such"):
        _ = asleep.no_such
