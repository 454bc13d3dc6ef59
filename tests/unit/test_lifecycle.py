"""The table is the machine's, and the machine has no dead ends."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from transitions import MachineError

from machine import decide
from machine import events as ev
from machine.errors import MachineError as Refusal
from machine.lifecycle import LIVE, STATUSES, VERBS, lifecycle
from machine.resources import DISK, HOLDS, ONE_SHOT, VOLATILE
from machine.subjects import Container
from machine.table import STATUSES as TABLE_STATUSES
from machine.table import TABLE
from machine.table import VERBS as TABLE_VERBS
from machine.world import World

ROOT = Path(__file__).parents[2]
TRIGGERS = sorted(lifecycle().events)


class Model:
    """What a `transitions` machine moves: only its status matters."""

    state = ""


def by_the_machine(trigger: str, status: str) -> str | None:
    """The next status by a real trigger of a real machine, None where it refuses."""
    machine = lifecycle()
    model = Model()
    machine.add_model(model, initial=status)
    try:
        assert machine.events[trigger].trigger(model)
    except MachineError:
        return None
    return model.state


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("trigger", TRIGGERS)
def test_the_table_says_what_the_machine_says(trigger: str, status: str) -> None:
    assert TABLE[trigger].get(status) == by_the_machine(trigger, status)


def test_the_table_has_the_machines_triggers_statuses_and_verbs() -> None:
    assert sorted(TABLE) == TRIGGERS
    assert (TABLE_STATUSES, TABLE_VERBS) == (STATUSES, VERBS)


@pytest.mark.parametrize("tool", ["generate-table", "generate-docs"])
def test_what_is_generated_is_current(tool: str) -> None:
    program = [sys.executable, str(ROOT / "tools" / tool), "--check"]

    assert subprocess.run(program, check=False).returncode == 0, f"run tools/{tool}"


# --- no dead ends ------------------------------------------------------------------------------------


def world_with(status: str) -> World:
    """A world with one container `c1` of that status."""
    world = World()
    container = world.containers["a" * 64] = Container("a" * 64)
    container.status, container.name = status, "c1"
    world.names["c1"] = container.id
    return world


def accepts(status: str, verb: str) -> bool:
    """Whether the verb is not refused; one that needs nothing done is accepted."""
    world = world_with(status)
    try:
        decide.remove(world, "c1", force=True) if verb == "rm -f" else getattr(decide, verb)(world, "c1")
    except Refusal:
        return False
    return True


@pytest.mark.parametrize("status", [s for s in STATUSES if s not in ("absent", "removed")])
def test_no_status_refuses_both_start_and_the_ways_out(status: str) -> None:
    """S01: a container that can neither be started nor stopped nor removed is stuck for good."""
    assert any(accepts(status, verb) for verb in ("start", "stop", "rm -f"))


@pytest.mark.parametrize("status", [s for s in STATUSES if s not in ("absent", "removed")])
def test_rm_force_works_in_every_status(status: str) -> None:
    assert accepts(status, "rm -f")


def ways_out(status: str) -> set[str]:
    return {trigger for trigger, steps in TABLE.items() if steps.get(status, status) != status}


@pytest.mark.parametrize(
    ("status", "finish", "compensate"),
    [
        ("creating", "ready", "fail"),
        ("starting", "released", "fail"),
        ("stopping", "exit", "fail"),
        ("restarting", "start", "stop"),
    ],
)
def test_what_is_under_way_can_finish_and_be_compensated(status: str, finish: str, compensate: str) -> None:
    assert {finish, compensate} <= ways_out(status)


def test_removing_leads_to_removed_and_nowhere_else() -> None:
    """Its compensation is a leftover: `forget` comes in any case."""
    assert ways_out("removing") == {"forget"}
    assert ways_out("removed") == set()


def test_every_status_is_reached_from_absent() -> None:
    found, wave = {"absent"}, {"absent"}
    while wave:
        wave = {steps[s] for steps in TABLE.values() for s in wave if s in steps} - found
        found |= wave

    assert found == set(STATUSES)


@pytest.mark.parametrize("status", [*LIVE, "removing"])
def test_an_exit_is_legal_wherever_a_process_may_be(status: str) -> None:
    assert status in TABLE["exit"]


# --- the table of resources --------------------------------------------------------------------------


def test_every_status_says_what_it_holds() -> None:
    assert set(STATUSES) - {"absent"} <= set(HOLDS)


@pytest.mark.parametrize("status", sorted(HOLDS))
def test_a_status_holds_a_process_only_if_an_exit_may_be_noted_there(status: str) -> None:
    if "init" in HOLDS[status]:
        assert status in TABLE["exit"]


def test_every_kind_is_known_to_live_on_disk_or_to_die_with_the_kernel() -> None:
    kinds = {kind for held in HOLDS.values() for kind in held}

    assert kinds - {"root_link"} == DISK | VOLATILE  # a link: its own half is a file, the rest dies
    assert not DISK & VOLATILE
    assert not ONE_SHOT & kinds


def test_the_schema_has_no_event_twice() -> None:
    tags = [event.tag for event in ev.EVENTS]

    assert len(tags) == len(set(tags))
