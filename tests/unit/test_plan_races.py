"""What is planned when decisions, crashes and reboots come in the midst of settling."""

from __future__ import annotations

from typing import Any

import pytest

from machine import decide, decide_host, decide_store
from machine import events as ev
from machine.plan import Step, leftover_steps, plan
from tests.histories import (
    C1,
    IN_LIFE,
    LAYER,
    MACHINE,
    PLACES,
    STREAM,
    History,
    alive,
    c1,
    failing,
    here,
    in_status,
    intent,
    outcome,
    well,
)
from tests.planned import MAKE, UNMAKE, kinds, next_step

# --- races and crashes -------------------------------------------------------------------------------


def test_a_start_before_the_last_run_is_undone_makes_everything_anew() -> None:
    """Nothing of the dead process may pass for the new one: it would be starting for ever."""
    history = in_status("running")
    history.decide(decide.note_exit, C1, code=0)
    history.decide(decide.start, "c1")

    assert history.settle(STREAM) == UNMAKE[:-1] + MAKE[1:]
    assert c1(history).status == "running"


def test_a_start_amid_the_undoing_of_the_last_run_undoes_the_rest_first() -> None:
    history = in_status("exited")
    history.step(STREAM)
    history.begin(STREAM, next_step(history))
    history.decide(decide.start, "c1")

    assert history.settle(STREAM) == UNMAKE[1:-1] + MAKE[1:]
    assert c1(history).status == "running"


def test_the_process_of_the_last_run_is_not_shown_for_the_new_one() -> None:
    history = in_status("exited")
    history.decide(decide.start, "c1")

    assert c1(history).process_identity is None


@pytest.mark.parametrize("kind", ["cgroup", "init", "root_link", "release"])
def test_a_pending_intent_is_carried_out_again_and_not_recorded_twice(kind: str) -> None:
    history = in_status("starting")
    while (step := next_step(history)).kind != kind:
        history.step(STREAM)
    history.begin(STREAM, step)

    again = next_step(history)

    assert (again.verb, again.kind, again.key, again.spec) == ("do", kind, step.key, step.spec)
    assert again.recorded
    history.settle(STREAM)
    assert c1(history).status == "running"


@pytest.mark.parametrize("kind", ["cgroup", "init", "root_link", "release"])
def test_what_was_being_made_when_its_removal_was_decided_is_only_undone(kind: str) -> None:
    """Making it again could open the gate of a container that nobody wants any more."""
    history = in_status("starting")
    while (step := next_step(history)).kind != kind:
        history.step(STREAM)
    history.begin(STREAM, step)
    history.decide(decide.remove, "c1", force=True)

    assert history.settle(STREAM) == UNMAKE[UNMAKE.index(f"undo {kind}") :]


@pytest.mark.parametrize("kind", ["root_link", "cgroup"])
def test_what_fails_to_be_made_anew_under_a_stopping_container_does_not_fail_its_start(kind: str) -> None:
    """It would end by the undoing of all it holds, instead of by the signal and the time it was given."""
    history = in_status("stopping")
    history.note(STREAM, ev.EffectLost(kind=kind, key="c1" if kind == "root_link" else C1))

    undone = ["undo root_link"] * (kind == "root_link")
    assert history.settle(STREAM, failing(("do", kind))) == [*undone, f"do {kind}", "do signal"]
    assert c1(history).status == "stopping"


def test_a_creation_whose_secrets_are_lost_is_undone() -> None:
    history = in_status("creating")
    history.begin(STREAM, next_step(history))

    assert history.settle(STREAM, failing(("do", "directory"))) == ["do directory", "undo directory"]
    assert history.world.containers == {}


def test_an_undoing_that_was_cut_short_is_finished_first() -> None:
    history = in_status("exited")
    history.begin(STREAM, next_step(history))
    history.decide(decide.start, "c1")
    step = next_step(history)

    assert (step.verb, step.kind, step.recorded) == ("undo", "release", True)


def test_a_signal_that_was_cut_short_is_sent_again() -> None:
    history = in_status("stopping")
    step = next_step(history)
    history.begin(STREAM, step)

    again = next_step(history)

    assert (again.kind, again.key, again.spec, again.recorded) == ("signal", step.key, step.spec, True)


def test_no_signal_is_sent_to_a_container_that_has_ended() -> None:
    history = in_status("stopping")
    history.begin(STREAM, next_step(history))
    history.decide(decide.note_exit, C1, code=0)

    assert history.settle(STREAM) == UNMAKE[:-1]


def test_an_unpause_amid_the_freezing_thaws() -> None:
    history = in_status("paused")
    step = next_step(history)
    history.begin(STREAM, step)
    history.decide(decide.unpause, "c1")
    history.note(STREAM, outcome(step, None))

    assert history.settle(STREAM) == ["undo frozen"]
    assert (c1(history).status, c1(history).anomalies) == ("running", [])


@pytest.mark.parametrize("status", [s for s in IN_LIFE if s not in ("creating", "removing")])
def test_what_is_held_after_a_reboot_is_settled_without_touching_what_died(status: str) -> None:
    history = in_status(status)
    history.settle(STREAM)
    linked = "root_link" in kinds(history)
    history.decide(decide_host.note_boot, here("boot-2", MACHINE))

    assert history.settle(STREAM) == (["undo root_link"] if linked else [])
    assert kinds(history) == ["directory"]


@pytest.mark.parametrize("kind", ["cgroup", "root_link"])
def test_what_the_kernel_lost_is_made_again(kind: str) -> None:
    history = in_status("running")
    history.note(STREAM, ev.EffectLost(kind=kind, key=C1 if kind == "cgroup" else "c1"))

    # Of a link some may still lie on disk: that is unmade first.
    assert history.settle(STREAM) == [*["undo root_link"] * (kind == "root_link"), f"do {kind}"]


@pytest.mark.parametrize("linked", [False, True])
def test_a_process_lost_before_its_gate_was_opened_is_made_anew_with_all_that_stood_on_it(
    linked: bool,
) -> None:
    """The link's specification names the dead process: carried out again it could only fail."""
    history = in_status("starting")
    while (step := next_step(history)).kind != "root_link":
        history.step(STREAM)
    history.begin(STREAM, step)
    if linked:
        history.note(STREAM, outcome(step, {}))

    history.note(STREAM, ev.EffectLost(kind="init", key=C1))

    assert history.settle(STREAM) == ["undo root_link", "do init", "do root_link", "do release"]
    assert c1(history).status == "running"


# --- layers and jobs ---------------------------------------------------------------------------------

JOB = ev.JobStarted(id="1" * 32, kind="import", subject="x", target="x", staging="/root/staging/1")
PUBLISHED: dict[str, Any] = {"digest": LAYER, "size": 1, "entries": 1, "path": f"/root/layers/{LAYER}"}


@pytest.mark.parametrize("end", [decide_store.finish_job, decide_store.abandon_job])
def test_a_job_holds_its_staging_directory_until_its_end(end: Any) -> None:
    history = History(decide_store.begin_job(History().world, JOB))
    stream = f"job/{JOB.id}"

    assert history.settle(stream) == ["do staging"]
    history.decide(end, JOB.id, "because")
    assert history.settle(stream) == ["undo staging"]
    assert history.world.jobs == {}


def test_a_published_layer_is_there_already_and_a_removed_one_is_undone() -> None:
    history = History()
    stream = f"layer/{LAYER}"
    history.note(stream, ev.LayerPublished(**PUBLISHED))
    assert history.settle(stream) == []

    history.note(stream, ev.LayerRemoveRequested())

    assert history.settle(stream) == ["undo layer"]
    assert history.world.layers[LAYER].status == "removed"


@pytest.mark.parametrize("how", [well, failing(("undo", "layer"))], ids=["cut short", "failed"])
def test_a_layer_that_is_published_again_is_not_removed_by_the_earlier_removal(how: Any) -> None:
    history = History()
    stream = f"layer/{LAYER}"
    history.note(stream, ev.LayerPublished(**PUBLISHED))
    history.note(stream, ev.LayerRemoveRequested())
    step = next_step(history, stream)
    history.note(stream, intent(step))
    if how is not well:
        history.note(stream, outcome(step, how(step)))

    history.note(stream, ev.LayerPublished(**PUBLISHED))

    assert plan(history.world.layers[LAYER], PLACES) is None
    assert leftover_steps(history.world.layers[LAYER]) == []


def test_a_step_says_what_it_does() -> None:
    assert repr(Step("do", "cgroup", "c1", {})) == "Step(do cgroup c1)"


def test_nothing_is_planned_for_what_runs_undisturbed() -> None:
    assert plan(c1(alive()), PLACES) is None
