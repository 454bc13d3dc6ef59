"""The next effect follows from what a status holds and what is held, and settling comes to rest."""

from __future__ import annotations

from typing import Any

import pytest

from machine import decide, plan_network
from machine.plan import MAKERS, Step, leftover_steps, plan
from machine.resources import HOLDS, NETWORKING, ONE_SHOT
from tests.histories import (
    BOOT,
    IN_LIFE,
    PLACES,
    STREAM,
    History,
    Outcome,
    c1,
    created,
    failing,
    in_status,
    well,
)
from tests.planned import MAKE, UNMAKE, kinds, next_step


def noting(kind: str) -> tuple[list[dict[str, Any]], Outcome]:
    """The specifications of that kind as they come, and success for everything."""
    specs: list[dict[str, Any]] = []

    def how(step: Step) -> dict[str, Any] | None:
        if step.kind == kind:
            specs.append(step.spec)
        return well(step)

    return specs, how


def without_networks(status: str) -> list[str]:
    """What a container of that status holds that is on no network."""
    return [kind for kind in HOLDS[status] if kind not in NETWORKING]


# --- the table ---------------------------------------------------------------------------------------


def test_every_kind_that_is_held_has_a_maker_of_its_specification() -> None:
    assert {kind for held in HOLDS.values() for kind in held} == {*MAKERS, *plan_network.MAKERS}
    assert not ONE_SHOT & {*MAKERS, *plan_network.MAKERS}


@pytest.mark.parametrize("status", [s for s in IN_LIFE if s not in ("creating", "starting", "removing")])
def test_a_settled_container_holds_what_its_status_holds(status: str) -> None:
    history = in_status(status)
    history.settle(STREAM)

    assert c1(history).status == status
    assert kinds(history) == without_networks(status)
    assert all(row.done for row in c1(history).held)


def test_a_life_makes_in_order_and_unmakes_in_reverse() -> None:
    history = History()
    done: list[str] = []
    for verb, argument, more in (
        (decide.create, created("c1"), {}),
        (decide.start, "c1", {}),
        (decide.pause, "c1", {}),
        (decide.remove, "c1", {"force": True}),
    ):
        history.decide(verb, argument, **more)
        done += history.settle(STREAM)

    assert done == [*MAKE, "do frozen", "undo frozen", *UNMAKE]
    assert history.world.containers == {}


def test_a_pause_is_undone_before_the_signal_of_a_stop() -> None:
    history = in_status("paused")
    history.settle(STREAM)
    history.decide(decide.stop, "c1")

    assert history.settle(STREAM) == ["undo frozen", "do signal"]


def test_signals_are_sent_in_the_order_in_which_they_were_asked_for() -> None:
    history = in_status("running")
    for signal in (1, 15, 9):
        history.decide(decide.kill, "c1", signal)
    specs, how = noting("signal")
    history.settle(STREAM, how)

    assert [spec["signal"] for spec in specs] == [1, 15, 9]


def test_a_signal_goes_to_a_process_by_pid_start_and_boot() -> None:
    history = in_status("running")
    history.decide(decide.kill, "c1", 10)

    assert next_step(history).spec == {"pid": 4711, "start": 99, "boot": BOOT, "signal": 10}


def test_a_stop_of_a_starting_container_waits_for_its_process() -> None:
    history = in_status("starting")
    history.decide(decide.stop, "c1")

    assert history.settle(STREAM) == [*MAKE[1:], "do signal"]
    assert c1(history).status == "stopping"


def test_a_rename_moves_the_link_and_nothing_else() -> None:
    history = in_status("running")
    history.decide(decide.rename, "c1", "c2")

    assert history.settle(STREAM) == ["undo root_link", "do root_link"]
    link = c1(history).holding("root_link")
    assert link is not None
    assert link.spec["link"].endswith("/mnt/c2")


def test_new_limits_change_the_cgroup_in_place() -> None:
    history = in_status("running", limits={"memory": 1})
    history.decide(decide.update, "c1", limits={"pids": 2}, restart=None)
    step = next_step(history)

    assert (step.verb, step.kind, step.spec["limits"]) == ("change", "cgroup", {"memory": 1, "pids": 2})
    assert history.settle(STREAM) == ["change cgroup"]


@pytest.mark.parametrize("status", ["created", "exited", "failed"])
def test_new_limits_of_an_idle_container_change_nothing_until_it_starts(status: str) -> None:
    history = in_status(status)
    history.settle(STREAM)
    history.decide(decide.update, "c1", limits={"pids": 2}, restart=None)
    assert history.settle(STREAM) == []

    history.decide(decide.start, "c1")
    specs, how = noting("cgroup")
    history.settle(STREAM, how)
    assert [spec["limits"] for spec in specs] == [{"pids": 2}]


def test_a_change_of_settings_by_a_newer_engine_leaves_what_is_held_alone() -> None:
    """Resources are known by kind and key: another specification is no reason to touch one."""
    history = in_status("running")
    for row in c1(history).held:
        row.spec = {"of": "an older engine"}

    assert plan(c1(history), PLACES) is None


# --- failures ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["cgroup", "init", "root_link", "release"])
def test_a_failed_start_undoes_what_was_made_the_half_made_included(kind: str) -> None:
    history = in_status("starting")
    made = MAKE[1 : MAKE.index(f"do {kind}") + 1]

    done = history.settle(STREAM, failing(("do", kind)))

    assert done == made + UNMAKE[UNMAKE.index(f"undo {kind}") : -1]
    assert (c1(history).status, kinds(history)) == ("failed", ["directory"])
    assert c1(history).error == {"kind": kind, "errno": 5, "step": kind, "message": "broken"}


def test_a_failed_creation_leaves_nothing_and_frees_the_name() -> None:
    history = in_status("creating")

    assert history.settle(STREAM, failing(("do", "directory"))) == ["do directory", "undo directory"]
    assert (history.world.containers, history.world.names) == ({}, {})


def test_a_failed_pause_lets_the_container_run_on() -> None:
    history = in_status("paused")

    assert history.settle(STREAM, failing(("do", "frozen"))) == ["do frozen", "undo frozen"]
    assert (c1(history).status, kinds(history)) == ("running", without_networks("running"))


def test_a_failed_new_link_does_not_loop_and_does_not_end_the_container() -> None:
    history = in_status("running")
    history.decide(decide.rename, "c1", "c2")

    assert history.settle(STREAM, failing(("do", "root_link"))) == ["undo root_link", "do root_link"]
    assert c1(history).status == "running"


def test_a_failed_change_is_not_tried_for_ever() -> None:
    history = in_status("running")
    history.decide(decide.update, "c1", limits={"pids": 2}, restart=None)

    assert history.settle(STREAM, failing(("change", "cgroup"))) == ["change cgroup"]


def test_an_error_is_forgotten_once_the_same_succeeds() -> None:
    history = in_status("running")
    history.decide(decide.update, "c1", limits={"pids": 2}, restart=None)
    history.settle(STREAM, failing(("change", "cgroup")))
    assert c1(history).error is not None

    history.decide(decide.update, "c1", limits={"pids": 3}, restart=None)
    history.settle(STREAM)

    assert c1(history).error is None


def test_a_signal_that_failed_is_not_sent_for_ever() -> None:
    history = in_status("stopping")

    assert history.settle(STREAM, failing(("do", "signal"))) == ["do signal"]


@pytest.mark.parametrize("kind", ["directory", "cgroup", "init", "root_link", "release"])
def test_a_failed_undo_is_a_leftover_and_keeps_nothing_from_going_on(kind: str) -> None:
    history = in_status("running")
    history.decide(decide.remove, "c1", force=True)

    assert history.settle(STREAM, failing(("undo", kind))) == UNMAKE
    assert (c1(history).status, c1(history).held, history.world.names) == ("removed", [], {})
    assert [row.kind for row in c1(history).leftovers] == [kind]
    assert [f"{step.verb} {step.kind}" for step in leftover_steps(c1(history))] == [f"undo {kind}"]


def test_a_leftover_that_is_made_anew_is_not_undone_any_more() -> None:
    """Trying again to remove the old cgroup would kill the processes of the new one."""
    history = in_status("exited")
    history.settle(STREAM, failing(("undo", "cgroup")))
    assert [row.kind for row in c1(history).leftovers] == ["cgroup"]

    history.decide(decide.start, "c1")
    history.settle(STREAM)

    assert leftover_steps(c1(history)) == []
