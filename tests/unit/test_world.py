"""A world is JSON: what is dumped comes back the same, and a monitor's narrow one is enough for it."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from eventstore import plainjson
from machine import decide, decide_store, networks
from machine import events as ev
from machine.plan import plan
from machine.subjects import Container, Held, Host, Image, Job, Layer, Slots
from machine.world import World
from tests.histories import (
    C1,
    IN_LIFE,
    LAYER,
    PLACES,
    STREAM,
    History,
    container_id,
    created,
    failing,
    fold,
    in_status,
    outcome,
)


def reloaded(world: World) -> World:
    """Through JSON, as a snapshot is."""
    return World.load(json.loads(json.dumps(world.dump())))


def busy() -> History:
    """One of everything: pending, leftovers, signals, removed images and layers, an anomaly, a job."""
    history = in_status("running", limits={"pids": 1})
    history.decide(decide.update, "c1", limits={"pids": 2}, restart=None)
    history.decide(decide.begin_exec, "c1", ev.ExecStarted(exec="e1", command=["true"]))
    history.decide(decide.kill, "c1", 10)
    history.decide(decide.create, created("gone", "b"))
    history.settle(f"container/{container_id('b')}")
    history.decide(decide.start, "gone")
    history.settle(f"container/{container_id('b')}")
    history.decide(decide.remove, "gone", force=True)
    history.settle(f"container/{container_id('b')}", failing(("undo", "cgroup")))
    history.decide(decide.create, created("going", "c"))
    history.settle(f"container/{container_id('c')}")
    history.decide(decide.remove, "going")
    history.decide(decide.create, created("going", "d"))
    published = ev.LayerPublished(digest=LAYER, size=1, entries=1, path="/x")
    history.decide(
        decide_store.publish_image,
        published,
        ev.ImagePublished(name="i", layers=[LAYER], source={"path": "/x"}),
    )
    history.decide(decide_store.remove_image, "i")
    history.decide(
        decide_store.begin_job,
        ev.JobStarted(id="1", kind="cp", subject="x", target="y", staging="/root/staging/1"),
    )
    history.decide(networks.create, networks.Wanted("f" * 64, "net"))
    history.note(STREAM, ev.ContainerUnpauseRequested())
    return history


def in_midst(status: str) -> list[History]:
    """The status unsettled, after each intent and after each outcome of its settling."""
    found = [in_status(status)]
    for turns in range(8):
        history = in_status(status)
        for _ in range(turns):
            history.step(STREAM)
        subject = history.world.subject(STREAM)
        step = plan(subject, PLACES) if subject is not None else None
        found.append(history)
        if step is None:
            break
        history.begin(STREAM, step)
    return found


@pytest.mark.parametrize("status", IN_LIFE)
def test_a_world_in_the_midst_of_settling_comes_back_the_same(status: str) -> None:
    for history in in_midst(status):
        back = reloaded(history.world)
        assert (back.dump(), back.names) == (history.world.dump(), history.world.names)


def test_a_world_with_one_of_everything_comes_back_the_same() -> None:
    world = busy().world
    back = reloaded(world)

    assert (back.dump(), back.names) == (world.dump(), world.names)
    assert any(c.leftovers for c in back.containers.values())


def test_a_name_goes_back_to_the_container_that_has_it_and_to_no_removed_one() -> None:
    assert reloaded(busy().world).names == {"c1": C1, "going": container_id("d")}


def test_a_reloaded_world_goes_on_like_the_one_it_was_dumped_from() -> None:
    one = busy()
    other = busy()
    other.world = reloaded(other.world)
    for history in (one, other):
        history.settle_all()
        history.decide(decide.remove, "c1", force=True)
        history.settle_all()

    assert other.world.dump() == one.world.dump()


def floats(value: Any) -> list[float]:
    if isinstance(value, dict):
        return [found for item in value.values() for found in floats(item)]
    if isinstance(value, list):
        return [found for item in value for found in floats(item)]
    return [value] if isinstance(value, float) else []


def test_a_dump_is_json_without_floats_for_every_encoder() -> None:
    dump = busy().world.dump()

    assert floats(dump) == []
    assert plainjson.loads(plainjson.dumps(dump)) == msgspec.json.decode(msgspec.json.encode(dump)) == dump


SLOTTED: list[Slots] = [Held(1, "k", "x", {}), Container("a"), Layer("d"), Job("j"), Image("i"), Host()]


@pytest.mark.parametrize("empty", SLOTTED, ids=lambda empty: type(empty).__name__)
def test_every_slot_is_dumped(empty: Slots) -> None:
    slots = {name for cls in type(empty).__mro__ for name in getattr(cls, "__slots__", ())}

    assert set(empty.dump()) == {name for name in slots if name[0] != "_"}
    assert type(empty).load(empty.dump()).dump() == empty.dump()
    with pytest.raises(AttributeError):
        empty.something_else = 1  # type: ignore[attr-defined] # what is no slot would be lost in a dump


def test_missing_parts_of_a_dump_are_empty() -> None:
    assert World.load({}).dump() == World().dump()


@pytest.mark.parametrize(
    ("stream", "version"),
    [
        (STREAM, None),
        ("host", 1),
        ("image/i", 2),
        ("image/none", 0),
        (f"layer/{LAYER}", 2),
        ("job/1", 1),
        ("job/none", 0),
        ("container/none", 0),
        ("nonsense", 0),
    ],
)
def test_the_version_of_a_stream_is_the_number_of_its_last_event(stream: str, version: int | None) -> None:
    history = busy()
    expected = max((event.v for event in history.events if event.s == stream), default=0)

    assert history.world.version(stream) == expected
    assert version in (None, expected)


def test_the_journals_own_events_are_counted() -> None:
    history = History()
    history.note("journal", ev.HostBooted(boot="x", machine="y"))
    history.note("journal", ev.HostBooted(boot="x", machine="y"))

    assert history.world.version("journal") == 2
    assert reloaded(history.world).version("journal") == 2


def test_folding_the_same_events_gives_the_same_world() -> None:
    history = busy()

    assert fold(history.events).dump() == history.world.dump()


def test_subjects_are_all_that_may_hold_resources() -> None:
    history = busy()

    assert {subject.stream.partition("/")[0] for subject in history.world.subjects()} == {
        "host",
        "network",
        "container",
        "job",
        "layer",
    }


def test_streams_lead_to_their_subjects() -> None:
    history = busy()
    for subject in history.world.subjects():
        assert history.world.subject(subject.stream) is subject

    assert history.world.subject("image/i") is None


def test_an_outcome_that_is_folded_without_its_subject_makes_no_subject_that_holds() -> None:
    history = in_status("removing")
    steps = [history.world.subject(STREAM)]
    assert steps[0] is not None
    last = plan(steps[0], PLACES)
    assert last is not None
    history.settle(STREAM)

    history.note(STREAM, outcome(last, {}))

    assert history.world.containers[C1].held == []
    assert history.world.names == {}
