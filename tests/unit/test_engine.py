"""Decide and append; settle: plan, record the intent, do, record the outcome."""

from __future__ import annotations

import pytest

from machine import decide
from machine import events as ev
from machine.errors import IllegalTransition, NoSuchContainer
from machine.resources import DISK
from tests.engine_bench import Bench, Refusal
from tests.fakes import Crash
from tests.histories import BOOT, C1, STREAM, created

# --- decide ------------------------------------------------------------------------------------------


def test_a_decision_is_appended_with_who_and_why_and_synced() -> None:
    bench = Bench()
    (event,) = bench.engine.decide(decide.create, created("c1"), why="monitor")

    assert bench.events == [event]
    assert (event.s, event.op, event.by, event.why) == (STREAM, "op-7", {"uid": 7}, "monitor")
    assert bench.lines.appends == [(1, True)]


def test_a_refused_command_appends_nothing_and_the_engine_goes_on() -> None:
    bench = Bench()
    with pytest.raises(NoSuchContainer):
        bench.engine.decide(decide.start, "c1")
    assert bench.lines.lines == []

    bench.running()
    before = bench.engine.world.dump()
    with pytest.raises(IllegalTransition):
        bench.engine.decide(decide.unpause, "c1")

    assert bench.engine.world.dump() == before
    assert bench.engine.decide(decide.pause, "c1")


def test_what_is_so_already_appends_nothing() -> None:
    bench = Bench().running()
    before = len(bench.lines.appends)

    assert bench.engine.decide(decide.start, "c1") == []
    assert len(bench.lines.appends) == before


def test_a_decision_of_several_events_is_one_append() -> None:
    bench = Bench()
    bench.engine.decide(decide.create, created("c1", auto_remove=True))
    bench.engine.settle(STREAM)
    bench.engine.decide(decide.start, "c1")
    bench.engine.settle(STREAM)
    bench.engine.decide(decide.note_exit, C1, code=0)

    assert bench.lines.appends[-1] == (2, True)


def test_a_decision_is_taken_on_the_newest_state() -> None:
    one = Bench()
    other = Bench(one.lines)
    one.running()

    other.engine.decide(decide.stop, "c1")

    assert other.status == "stopping"
    assert one.engine.refresh().containers[C1].status == "stopping"


# --- settle ------------------------------------------------------------------------------------------


def test_the_intent_is_in_the_journal_before_the_effect_begins() -> None:
    bench = Bench()
    bench.engine.decide(decide.create, created("c1"))
    seen: list[str] = []
    bench.effects.before = lambda: seen.append(bench.since(0)[-1])
    bench.engine.settle(STREAM)

    assert seen == ["effect.do directory"]


def test_an_outcome_and_the_next_intent_are_one_append() -> None:
    bench = Bench().running()

    assert bench.since(0) == [
        "container.created",
        *("effect.do directory", "effect.done do directory"),
        "container.start_requested",
        *("effect.do cgroup", "effect.done do cgroup"),
        *("effect.do init", "effect.done do init"),
        *("effect.do root_link", "effect.done do root_link"),
        *("effect.do release", "effect.done do release"),
    ]
    assert [count for count, _ in bench.lines.appends] == [1, 1, 1, 1, 1, 2, 2, 2, 1]


def test_only_decisions_and_intents_of_what_lives_on_disk_are_synced() -> None:
    bench = Bench().running()
    bench.engine.decide(decide.remove, "c1", force=True)
    bench.engine.settle(STREAM)
    at = 0
    for count, synced in bench.lines.appends:
        events = bench.events[at : at + count]
        at += count
        needs = any(
            event.kind in DISK if event.tag in ("effect.do", "effect.undo", "effect.change") else False
            for event in events
        ) or any(event.tag.startswith("container.") for event in events)
        assert synced == needs, [event.tag for event in events]


def test_settling_what_is_settled_appends_nothing() -> None:
    bench = Bench().running()
    before = len(bench.lines.lines)

    subject = bench.engine.settle(STREAM)

    assert subject is bench.engine.world.containers[C1]
    assert len(bench.lines.lines) == before
    assert bench.engine.settle("container/none") is None


def test_a_note_is_appended_with_the_first_intent() -> None:
    bench = Bench()
    bench.engine.decide(decide.create, created("c1"))
    before = len(bench.lines.lines)
    bench.engine.settle(STREAM, note=ev.ContainerMonitored(pid=1, start=2, boot=BOOT))

    assert bench.since(before)[:2] == ["container.monitored", "effect.do directory"]
    assert bench.lines.appends[1] == (2, True)


@pytest.mark.parametrize(("path", "message"), [("", "input/output error"), ("/x", "input/output error: /x")])
def test_a_failure_is_an_outcome_with_its_errno_step_and_path(path: str, message: str) -> None:
    bench = Bench()
    bench.effects.broken["do", "init"] = Refusal(path)
    bench.running()
    (failed,) = [event for event in bench.events if event.tag == "effect.failed"]

    assert (failed.verb, failed.kind, failed.errno, failed.step) == ("do", "init", 5, "a step")
    assert failed.message == message
    assert bench.status == "failed"
    assert bench.effects.there == {"directory"}


def test_a_defect_of_a_handler_is_not_taken_for_a_failure() -> None:
    bench = Bench()
    bench.effects.broken["do", "directory"] = Refusal()
    del bench.effects.broken["do", "directory"].step
    bench.engine.decide(decide.create, created("c1"))

    with pytest.raises(AttributeError):
        bench.engine.settle(STREAM)


def test_a_pending_intent_is_not_recorded_again() -> None:
    bench = Bench()
    bench.engine.decide(decide.create, created("c1"))

    def die() -> None:
        raise Crash

    bench.effects.before = die
    with pytest.raises(Crash):
        bench.engine.settle(STREAM)

    successor = Bench(bench.lines)
    successor.engine.settle(STREAM)

    assert successor.since(0) == ["container.created", "effect.do directory", "effect.done do directory"]


def test_undoing_is_given_what_was_specified_and_what_came_of_it() -> None:
    bench = Bench().running()
    held = {row.kind: (row.spec, row.facts) for row in bench.engine.world.containers[C1].held}
    assert held["init"][1]["pid"] == 4711
    bench.engine.decide(decide.remove, "c1", force=True)
    bench.engine.settle(STREAM)

    assert bench.effects.undone == held


def test_a_removed_container_is_settled_to_nothing() -> None:
    bench = Bench().running()
    bench.engine.decide(decide.remove, "c1", force=True)

    assert bench.engine.settle(STREAM) is None
    assert bench.effects.there == set()
