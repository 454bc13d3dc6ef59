"""What each command decides, and what it refuses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from machine import decide
from machine import events as ev
from machine.errors import AmbiguousPrefix, IllegalTransition, NameInUse, NoSuchContainer, NoSuchImage
from machine.lifecycle import LIVE, VERBS
from tests.histories import C1, IN_LIFE, LAYER, STREAM, History, alive, created, in_status, tags

# --- which container is meant ------------------------------------------------------------------------


def two() -> History:
    history = History()
    history.decide(decide.create, created("one", "a"))
    history.decide(decide.create, ev.ContainerCreated(**{**created("two").payload(), "id": "ab" + "c" * 62}))
    return history


@pytest.mark.parametrize(
    ("reference", "name"), [("one", "one"), ("two", "two"), ("a" * 64, "one"), ("ab", "two"), ("aa", "one")]
)
def test_a_container_is_found_by_name_id_and_unique_prefix(reference: str, name: str) -> None:
    assert decide.find(two().world, reference).name == name


def test_a_name_goes_before_the_prefix_of_another_ones_id() -> None:
    history = two()
    history.decide(decide.create, created("ab", "d"))

    assert decide.find(history.world, "ab").name == "ab"


def test_an_ambiguous_prefix_is_refused_with_all_that_it_could_mean() -> None:
    with pytest.raises(AmbiguousPrefix) as caught:
        decide.find(two().world, "a")

    assert sorted(caught.value.ids) == ["a" * 64, "ab" + "c" * 62]


@pytest.mark.parametrize("reference", ["three", "", "f", "a" * 65])
def test_what_is_not_there_is_not_found(reference: str) -> None:
    with pytest.raises(NoSuchContainer):
        decide.find(two().world, reference)


def test_a_removed_container_with_leftovers_is_found_no_more() -> None:
    history = alive()
    history.decide(decide.remove, "c1", force=True)
    history.settle(STREAM, lambda step: None if step.kind == "cgroup" else {})
    assert history.world.containers[C1].leftovers

    for reference in ("c1", C1, "a"):
        with pytest.raises(NoSuchContainer):
            decide.find(history.world, reference)


def test_a_container_that_no_event_created_is_not_found() -> None:
    history = History()
    history.note(STREAM, ev.ContainerRenamed(name="ghost"))

    for reference in ("ghost", "a"):
        with pytest.raises(NoSuchContainer):
            decide.find(history.world, reference)


# --- names and creation ------------------------------------------------------------------------------


def test_a_name_in_use_is_refused_with_its_owner() -> None:
    with pytest.raises(NameInUse) as caught:
        decide.create(two().world, created("one", "e"))

    assert caught.value.container_id == C1


def test_a_name_is_free_from_the_decision_to_remove_on() -> None:
    history = two()
    history.decide(decide.remove, "one")

    assert tags(decide.create(history.world, created("one", "e"))) == ["container.created"]


def test_a_container_needs_all_its_layers() -> None:
    with pytest.raises(NoSuchImage):
        decide.create(History().world, ev.ContainerCreated(**{**created("c1").payload(), "layers": [LAYER]}))


def test_rename_refuses_a_name_in_use_and_frees_the_old_one() -> None:
    history = two()
    history.settle_all()
    with pytest.raises(NameInUse):
        decide.rename(history.world, "one", "two")
    history.decide(decide.rename, "one", "three")

    assert history.world.names == {"two": "ab" + "c" * 62, "three": C1}


# --- verbs by status ---------------------------------------------------------------------------------

# verb -> status -> what is decided; "" where it is so already. What is not here is refused.
STOP, START, RM = "container.stop_requested", "container.start_requested", "container.remove_requested"
IDLE = ("created", "exited", "failed")
DECIDED: dict[str, dict[str, str]] = {
    "start": {**dict.fromkeys((*IDLE, "restarting"), START), **dict.fromkeys(("starting", "running"), "")},
    "stop": {**dict.fromkeys((*LIVE, "restarting"), STOP), **dict.fromkeys(IDLE, "")},
    "kill": dict.fromkeys(("running", "paused", "stopping"), "container.kill_requested"),
    "pause": {"running": "container.pause_requested"},
    "unpause": {"paused": "container.unpause_requested"},
    "rm": {**dict.fromkeys(("creating", *IDLE, "restarting"), RM), "removing": ""},
    "rm -f": {**dict.fromkeys(IN_LIFE, RM), "removing": ""},
    "exec": {"running": "exec.started"},
    "rename": dict.fromkeys((*IDLE, "running", "paused", "restarting"), "container.renamed"),
    "update": dict.fromkeys((*IDLE, "running", "paused", "restarting"), "container.updated"),
}
ASK: dict[str, Callable[[Any], decide.Decision]] = {
    "start": lambda world: decide.start(world, C1),
    "stop": lambda world: decide.stop(world, C1),
    "kill": lambda world: decide.kill(world, C1, 15),
    "pause": lambda world: decide.pause(world, C1),
    "unpause": lambda world: decide.unpause(world, C1),
    "rm": lambda world: decide.remove(world, C1),
    "rm -f": lambda world: decide.remove(world, C1, force=True),
    "exec": lambda world: decide.begin_exec(world, C1, ev.ExecStarted(exec="e1", command=["true"])),
    "rename": lambda world: decide.rename(world, C1, "other"),
    "update": lambda world: decide.update(world, C1, limits={"pids": 9}, restart=None),
}


@pytest.mark.parametrize("status", IN_LIFE)
@pytest.mark.parametrize("verb", sorted(DECIDED))
def test_each_verb_decides_or_is_refused_by_status(verb: str, status: str) -> None:
    world = in_status(status).world
    before = world.dump()
    if status in DECIDED[verb]:
        expected = DECIDED[verb][status]
        assert tags(ASK[verb](world)) == ([expected] if expected else [])
    else:
        with pytest.raises(IllegalTransition) as caught:
            ASK[verb](world)
        assert (caught.value.name, caught.value.status) == ("c1", status)

    assert world.dump() == before


def test_a_refusal_names_only_the_users_verbs() -> None:
    with pytest.raises(IllegalTransition, match=r"cannot pause c1: it is exited") as caught:
        decide.pause(in_status("exited").world, "c1")

    assert {"start", "rm", "rename"} <= set(caught.value.allowed) <= {*VERBS, "rm -f"}


@pytest.mark.parametrize("status", IN_LIFE)
def test_what_a_refusal_allows_is_not_refused(status: str) -> None:
    world = in_status(status).world
    for verb in set(decide.allowed(status)) & set(ASK):
        assert ASK[verb](world)
