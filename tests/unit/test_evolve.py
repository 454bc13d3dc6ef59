"""How each event changes the world, and that what cannot have happened changes nothing."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from eventstore.event import Event
from machine import decide
from machine import events as ev
from machine.evolve_container import CONTAINER
from machine.evolve_effects import EFFECTS
from machine.subjects import Container
from machine.table import TABLE
from tests.histories import (
    C1,
    IN_LIFE,
    SECOND,
    STREAM,
    History,
    c1,
    container_id,
    created,
    failing,
    in_status,
)


def of_containers() -> list[type[Event]]:
    return [event for event in ev.EVENTS if event.tag.startswith(("container.", "exec.", "effect."))]


def test_every_event_of_a_container_has_its_way_into_the_world() -> None:
    assert set(CONTAINER) == {event.tag for event in of_containers()}
    assert set(EFFECTS) == {tag for tag in CONTAINER if tag.startswith("effect.")}


# --- what is legal -----------------------------------------------------------------------------------

# Event -> the step of the table that it takes.
STEPS: list[tuple[Event, str]] = [
    (ev.ContainerStartRequested(), "start"),
    (ev.ContainerStopRequested(signal=15, timeout=1), "stop"),
    (ev.ContainerKillRequested(signal=15), "kill"),
    (ev.ContainerPauseRequested(), "pause"),
    (ev.ContainerUnpauseRequested(), "unpause"),
    (ev.ContainerExited(code=0), "exit"),
    (ev.ContainerRestartRequested(), "restart"),
    (ev.ContainerRenamed(name="other"), "rename"),
    (ev.ContainerUpdated(settings={"hostname": "h"}), "update"),
    (ev.ExecStarted(exec="e1", command=["true"]), "exec"),
]


@pytest.mark.parametrize("status", IN_LIFE)
@pytest.mark.parametrize(("event", "trigger"), STEPS, ids=[trigger for _, trigger in STEPS])
def test_an_event_takes_the_tables_step_or_is_an_anomaly(event: Event, trigger: str, status: str) -> None:
    history = in_status(status)
    before = copy.deepcopy(c1(history).dump())

    noted = history.note(STREAM, copy.deepcopy(event))

    if status in TABLE[trigger]:
        assert (c1(history).status, c1(history).anomalies) == (TABLE[trigger][status], [])
        return
    assert c1(history).anomalies == [noted.n]
    assert {**c1(history).dump(), "anomalies": [], "version": 0} == {**before, "version": 0}


def test_the_exit_is_kept_with_its_reason() -> None:
    history = in_status("running")
    noted = history.note(STREAM, ev.ContainerExited(code=137, signal=9, reason="oom"))

    assert c1(history).exit == {"code": 137, "signal": 9, "reason": "oom", "ts": noted.ts}
    assert c1(history).finished == noted.ts


def test_a_second_exit_does_not_overwrite_the_first() -> None:
    history = in_status("running")
    history.note(STREAM, ev.ContainerExited(code=0))
    second = history.note(STREAM, ev.ContainerExited(code=None, reason="lost: monitor"))

    last = c1(history).exit
    assert last is not None
    assert last["code"] == 0
    assert c1(history).anomalies == [second.n]


def test_an_exit_ends_the_exec_sessions_and_takes_back_unsent_signals() -> None:
    history = in_status("running")
    history.decide(decide.begin_exec, "c1", ev.ExecStarted(exec="e1", command=["true"]))
    history.decide(decide.stop, "c1")
    history.note(STREAM, ev.ContainerExited(code=0))

    assert (c1(history).execs, c1(history).signals, c1(history).stop_deadline) == ({}, [], 0)


def test_a_start_forgets_how_the_last_run_ended() -> None:
    history = in_status("running")
    history.decide(decide.stop, "c1")
    history.decide(decide.note_exit, C1, code=3)
    assert c1(history).stopped_by_user

    history.decide(decide.start, "c1")

    assert (c1(history).exit, c1(history).error, c1(history).stopped_by_user) == (None, None, False)
    assert c1(history).finished == 0


def test_a_stop_is_remembered_as_the_users_and_has_its_deadline_on_the_boot_clock() -> None:
    history = in_status("running")
    (asked,) = [event for _, event in history.decide(decide.stop, "c1", timeout=3 * SECOND)]

    assert c1(history).stopped_by_user
    assert c1(history).stop_deadline == asked.up + 3 * SECOND


def test_a_stop_of_a_restarting_container_sends_nothing() -> None:
    history = in_status("restarting")
    history.decide(decide.stop, "c1")

    assert (c1(history).status, c1(history).signals) == ("exited", [])
    assert c1(history).stopped_by_user


def test_restarts_are_counted() -> None:
    assert c1(in_status("restarting")).restarts == 1


def test_updated_settings_do_not_reach_into_the_event_that_created_them() -> None:
    asked = created("c1", limits={"pids": 1})
    history = History([(STREAM, asked)])
    history.settle(STREAM)
    history.decide(decide.update, "c1", limits={"pids": 2}, restart=None)

    assert asked.settings == {"limits": {"pids": 1}}


# --- effects -----------------------------------------------------------------------------------------


def test_a_resource_is_held_from_its_intent_on() -> None:
    history = in_status("created")
    history.decide(decide.start, "c1")
    noted = history.note(STREAM, ev.EffectDo(kind="cgroup", key=C1, spec={"name": C1}))
    held = c1(history).holding("cgroup")

    assert held is not None
    assert (held.n, held.spec, held.done, held.facts) == (noted.n, {"name": C1}, False, {})
    assert c1(history).pending == ["do", "cgroup", C1]


def test_facts_of_a_change_are_merged_and_those_of_a_making_replace() -> None:
    history = in_status("running")
    held = c1(history).holding("cgroup")
    assert held is not None
    history.note(STREAM, ev.EffectChange(kind="cgroup", key=C1, spec={"new": 1}))
    history.note(STREAM, ev.EffectDone(verb="change", kind="cgroup", key=C1, facts={"more": 1}))

    assert (held.spec, held.facts) == ({"new": 1}, {"joins": ["/cg/tasks"], "cgroup2": "", "more": 1})


@pytest.mark.parametrize(
    "event",
    [
        ev.EffectUndo(kind="endpoint", key="x"),
        ev.EffectChange(kind="endpoint", key="x", spec={}),
        ev.EffectDone(verb="do", kind="endpoint", key="x"),
    ],
    ids=lambda event: str(event.tag),
)
def test_effects_on_what_is_not_held_are_anomalies(event: Event) -> None:
    history = in_status("running")
    noted = history.note(STREAM, copy.deepcopy(event))

    assert c1(history).anomalies == [noted.n]
    assert c1(history).holding("endpoint") is None


def test_what_is_lost_is_held_no_more_and_nothing_is_pending_on_it() -> None:
    history = in_status("paused")
    history.note(STREAM, ev.EffectDo(kind="frozen", key=C1, spec={}))
    history.note(STREAM, ev.EffectLost(kind="frozen", key=C1))

    assert c1(history).holding("frozen") is None
    assert c1(history).pending is None


def test_a_pause_that_fails_after_a_stop_was_asked_for_does_not_undo_the_stop() -> None:
    history = in_status("paused")
    history.note(STREAM, ev.EffectDo(kind="frozen", key=C1, spec={}))
    history.decide(decide.stop, "c1")
    history.note(
        STREAM, ev.EffectFailed(verb="do", kind="frozen", key=C1, errno=5, step="freeze", message="no")
    )

    assert (c1(history).status, c1(history).anomalies) == ("stopping", [])


# --- names and the end -------------------------------------------------------------------------------


def test_a_name_belongs_to_one_container_and_is_free_from_its_removal_on() -> None:
    history = in_status("running")
    assert history.world.names == {"c1": C1}

    history.decide(decide.remove, "c1", force=True)

    assert history.world.names == {}


def test_late_events_of_a_removed_container_take_no_name_from_its_successor() -> None:
    history = in_status("running")
    history.decide(decide.remove, "c1", force=True)
    history.decide(decide.create, created("c1", "b"))
    for event in (ev.ContainerRenamed(name="c1"), created("c1"), ev.ContainerStartRequested()):
        history.note(STREAM, event)

    assert history.world.names == {"c1": container_id("b")}


def test_a_removed_container_is_forgotten_once_it_leaves_nothing() -> None:
    history = in_status("running")
    history.decide(decide.remove, "c1", force=True)
    history.settle(STREAM, failing(("undo", "cgroup")))
    assert c1(history).status == "removed"

    history.note(STREAM, ev.EffectUndo(kind="cgroup", key=C1))
    history.note(STREAM, ev.EffectDone(verb="undo", kind="cgroup", key=C1))

    assert history.world.containers == {}


@pytest.mark.parametrize("event", of_containers()[1:], ids=lambda e: str(e.tag))
def test_an_event_of_a_container_that_was_never_created_is_only_an_anomaly(event: type[Event]) -> None:
    samples: dict[str, Any] = {
        name: {"str": "x", "int": 1, "bool": True, "int | None": None}.get(event.__annotations__[name], {})
        for name in event.fields
    }
    history = History()
    noted = history.note(STREAM, event(**samples))

    ghost = Container(C1)
    ghost.anomalies, ghost.version = [noted.n], 1
    assert c1(history).dump() == ghost.dump()
    assert history.world.names == {}
