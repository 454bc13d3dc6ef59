"""Observe what the kernel lost, try leftovers again, and go on where the disk is full."""

from __future__ import annotations

from typing import Any

import pytest

from eventstore.errors import WriteFailed
from machine import decide, decide_host
from machine.events import SCHEMA
from machine.resources import MAKES_ROOM
from tests.engine_bench import Bench, Refusal
from tests.histories import BOOT, C1, MACHINE, STREAM, created, here

# --- observe -----------------------------------------------------------------------------------------


def test_what_the_kernel_still_has_is_not_noted() -> None:
    bench = Bench().running()
    before = len(bench.lines.lines)
    bench.engine.observe(STREAM, why="replay")

    assert len(bench.lines.lines) == before


def test_what_the_kernel_lost_is_noted_and_made_again() -> None:
    bench = Bench().running()
    bench.effects.there.discard("root_link")
    before = len(bench.lines.lines)
    bench.engine.observe(STREAM, why="replay")
    bench.engine.settle(STREAM, why="replay")

    assert bench.since(before) == [
        "effect.lost root_link",
        "effect.undo root_link",  # half of it may still lie on disk
        "effect.done undo root_link",
        "effect.do root_link",
        "effect.done do root_link",
    ]
    assert {event.why for event in bench.events[before:]} == {"replay"}


@pytest.mark.parametrize(
    ("status", "ooms", "code", "reason"),
    [
        (None, 0, None, "lost: monitor"),
        (3, 0, 3, "exit"),
        (-9, 0, 137, "signal"),
        (-9, 1, 137, "oom"),
        (None, 2, None, "oom"),
        (0, 1, 0, "exit"),  # a child of its was killed, and it went on
    ],
)
def test_a_process_that_is_gone_has_exited_with_what_can_still_be_told(
    status: int | None, ooms: int, code: int | None, reason: str
) -> None:
    bench = Bench().running()
    bench.effects.there -= {"init", "release", "root_link"}
    bench.effects.status, bench.effects.ooms = status, ooms
    before = len(bench.lines.lines)
    bench.engine.observe(STREAM, why="replay")

    assert bench.since(before) == ["container.exited", "effect.lost init"]
    last = bench.engine.world.containers[C1].exit
    assert last is not None
    assert (last["code"], last["reason"]) == (code, reason)


def test_what_is_to_be_undone_anyway_is_undone_and_not_noted_as_lost() -> None:
    """A link whose other half went with the run directory is still to be removed."""
    bench = Bench().running()
    bench.engine.decide(decide.note_exit, C1, code=0)
    bench.effects.there.clear()
    before = len(bench.lines.lines)
    bench.engine.observe(STREAM, why="replay")

    assert len(bench.lines.lines) == before
    bench.engine.settle(STREAM)
    assert "effect.undo root_link" in bench.since(before)


def test_not_knowing_is_not_taken_for_a_loss() -> None:
    bench = Bench().running()
    bench.effects.broken["probe", "cgroup"] = Refusal()
    before = len(bench.lines.lines)
    with pytest.raises(OSError, match="input/output"):
        bench.engine.observe(STREAM, why="replay")

    assert len(bench.lines.lines) == before


def test_what_lives_on_disk_is_never_taken_for_lost() -> None:
    bench = Bench().running()
    bench.effects.there.discard("directory")
    before = len(bench.lines.lines)
    bench.engine.observe(STREAM, why="replay")

    assert len(bench.lines.lines) == before


def test_what_an_earlier_settler_has_undone_meanwhile_is_not_looked_for() -> None:
    stale = Bench()
    settler = Bench(stale.lines).running()
    stale.engine.refresh()
    settler.engine.decide(decide.note_exit, C1, code=0)
    settler.engine.settle(STREAM)
    stale.effects.there = settler.effects.there
    before = len(stale.lines.lines)
    stale.engine.observe(STREAM, why="replay")

    assert stale.lines.lines[before:] == []
    assert stale.status == "exited"


def test_nobody_is_observed_where_nobody_is() -> None:
    bench = Bench()
    bench.engine.observe("container/none", why="replay")
    bench.engine.retry_leftovers("container/none")

    assert bench.lines.lines == []


# --- leftovers ---------------------------------------------------------------------------------------


def with_leftover() -> Bench:
    bench = Bench().running()
    bench.effects.broken["undo", "cgroup"] = Refusal()
    bench.engine.decide(decide.remove, "c1", force=True)
    bench.engine.settle(STREAM)
    assert bench.engine.world.names == {}
    return bench


def test_a_leftover_is_tried_once_and_kept_while_it_fails() -> None:
    bench = with_leftover()
    before = len(bench.lines.lines)
    bench.engine.retry_leftovers(STREAM)

    assert bench.since(before) == ["effect.undo cgroup", "effect.failed undo cgroup"]
    assert [row.kind for row in bench.engine.world.containers[C1].leftovers] == ["cgroup"]


def test_a_leftover_that_goes_at_last_takes_its_container_along() -> None:
    bench = with_leftover()
    bench.effects.broken.clear()
    bench.engine.retry_leftovers(STREAM)

    assert bench.effects.there == set()
    assert bench.engine.world.containers == {}


def test_leftovers_wait_while_an_intent_is_pending() -> None:
    bench = with_leftover()
    container = bench.engine.world.containers[C1]
    container.pending = ["undo", "cgroup", C1]
    before = len(bench.lines.lines)
    bench.engine.retry_leftovers(STREAM)

    assert len(bench.lines.lines) == before


# --- a full disk -------------------------------------------------------------------------------------


def test_on_a_full_disk_nothing_new_begins_and_nothing_is_half_appended() -> None:
    bench = Bench()
    bench.lines.full = True
    with pytest.raises(WriteFailed):
        bench.engine.decide(decide.create, created("c1"))

    assert bench.lines.lines == []


@pytest.mark.parametrize(
    "end",
    [
        lambda engine: engine.decide(decide.remove, "c1", force=True),
        lambda engine: (
            engine.decide(decide.note_exit, C1, code=0),
            engine.settle(STREAM),
            engine.decide(decide.remove, "c1"),
        ),
        lambda engine: (
            engine.decide(decide_host.note_boot, here("boot-2", MACHINE)),
            engine.decide(decide.remove, "c1"),
        ),
    ],
    ids=["rm -f", "exit, rm", "reboot, rm"],
)
def test_on_a_full_disk_what_runs_can_end_and_be_removed(end: Any) -> None:
    """S35: the space that it takes is what is to be freed."""
    bench = Bench()
    bench.engine.decide(decide_host.note_boot, here(BOOT, MACHINE))
    bench.running()
    bench.lines.full = True
    end(bench.engine)

    assert bench.engine.settle(STREAM) is None
    assert bench.engine.world.containers == {}


def test_what_may_use_the_reserve_are_events_that_exist() -> None:
    assert {*SCHEMA.by_tag} >= MAKES_ROOM
