"""What is decided on what was observed: exits, deadlines, boots; and what an update or an exec decides."""

from __future__ import annotations

import pytest

from machine import decide, decide_host
from machine import events as ev
from machine.lifecycle import EXIT_REASONS, LIVE
from machine.table import TABLE
from machine.world import World
from tests.histories import (
    BOOT,
    C1,
    IN_LIFE,
    MACHINE,
    SECOND,
    STREAM,
    events,
    here,
    in_status,
    tags,
)

RM = "container.remove_requested"


# --- stop, kill, exit --------------------------------------------------------------------------------


def test_stop_takes_signal_and_timeout_from_the_settings_unless_told() -> None:
    world = in_status("running", stop_signal=3, stop_timeout=7).world

    (own,) = events(decide.stop(world, "c1"))
    (told,) = events(decide.stop(world, "c1", signal=2, timeout=-1))

    assert (own.payload(), told.payload()) == ({"signal": 3, "timeout": 7}, {"signal": 2, "timeout": -1})


def test_zero_seconds_and_signal_are_not_taken_for_not_told() -> None:
    (told,) = events(decide.stop(in_status("running").world, "c1", timeout=0))

    assert told.payload()["timeout"] == 0


@pytest.mark.parametrize(("after", "signals"), [(9 * SECOND, []), (10 * SECOND, [9])])
def test_a_stop_is_overdue_at_its_deadline_and_not_before(after: int, signals: list[int]) -> None:
    history = in_status("stopping")
    asked = history.events[-1].up

    decided = events(decide.overdue(history.world, C1, asked + after))

    assert [event.payload()["signal"] for event in decided] == signals


@pytest.mark.parametrize("status", [s for s in IN_LIFE if s != "stopping"])
def test_nothing_but_a_stop_is_overdue(status: str) -> None:
    assert decide.overdue(in_status(status).world, C1, 1 << 60) == []


def test_a_stop_without_timeout_is_never_overdue() -> None:
    history = in_status("running")
    history.decide(decide.stop, "c1", timeout=-1)

    assert decide.overdue(history.world, C1, 1 << 60) == []


def test_an_overdue_stop_is_killed_once() -> None:
    history = in_status("stopping")
    history.decide(decide.overdue, C1, 1 << 60)

    assert decide.overdue(history.world, C1, 1 << 60) == []


@pytest.mark.parametrize("status", IN_LIFE)
def test_an_exit_is_noted_once_and_only_where_a_process_may_be(status: str) -> None:
    history = in_status(status)
    noted = history.decide(decide.note_exit, C1, code=3)

    assert tags(noted) == (["container.exited"] if status in TABLE["exit"] else [])
    if status in LIVE:
        assert decide.note_exit(history.world, C1, code=4) == []


def test_an_exit_of_a_container_to_be_removed_decides_its_removal_in_the_same_append() -> None:
    history = in_status("running", auto_remove=True)

    assert tags(decide.note_exit(history.world, C1, code=0)) == [
        "container.exited",
        "container.remove_requested",
    ]


@pytest.mark.parametrize(
    "decision",
    [
        decide.note_exit(World(), C1, code=0),
        decide.overdue(World(), C1, 1 << 60),
        decide.end_exec(World(), C1, "e1", 0),
        decide.give_up(World(), C1),
    ],
    ids=["exit", "overdue", "exec", "give_up"],
)
def test_what_is_observed_of_a_container_that_is_gone_decides_nothing(decision: decide.Decision) -> None:
    assert decision == []


@pytest.mark.parametrize(("auto_remove", "decided"), [(True, [RM]), (False, [])])
def test_giving_up_removes_only_what_was_to_be_removed(auto_remove: bool, decided: list[str]) -> None:
    assert tags(decide.give_up(in_status("failed", auto_remove=auto_remove).world, C1)) == decided


# --- update, exec, monitor ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("auto_remove", "cmd", "decided"),
    [
        (True, "run --rm busybox true", [RM]),
        (True, "create --rm busybox true", []),
        (False, "run busybox true", []),
    ],
)
def test_what_run_made_for_one_run_and_never_started_is_given_up(
    auto_remove: bool, cmd: str, decided: list[str]
) -> None:
    world = in_status("created", auto_remove=auto_remove).world
    world.containers[C1].asked = {"op": "", "by": {"cmd": cmd}, "why": "user"}

    assert tags(decide.give_up(world, C1)) == decided


def test_a_sweep_names_some_and_counts_all() -> None:
    assert decide_host.sweep(World(), []) == []
    ((stream, event),) = decide_host.sweep(World(), [f"layers/{number}" for number in range(1000)])

    assert stream == "host"
    assert (len(event.payload()["paths"]), event.payload()["count"]) == (decide_host.SWEPT_NAMED, 1000)


def test_update_merges_limits_and_leaves_other_settings() -> None:
    history = in_status("running", limits={"memory": 1, "pids": 2}, hostname="h")
    history.decide(decide.update, "c1", limits={"pids": 3}, restart={"policy": "always", "max": 0})

    assert history.world.containers[C1].settings == {
        "limits": {"memory": 1, "pids": 3},
        "hostname": "h",
        "restart": {"policy": "always", "max": 0},
    }


def test_an_update_of_nothing_decides_nothing() -> None:
    assert decide.update(in_status("running").world, "c1", limits={}, restart=None) == []


def test_an_exec_is_ended_once_and_not_after_its_container() -> None:
    history = in_status("running")
    for exec_id in ("e1", "e2"):
        history.decide(decide.begin_exec, "c1", ev.ExecStarted(exec=exec_id, command=["true"]))
    history.decide(decide.end_exec, C1, "e1", 0)
    assert decide.end_exec(history.world, C1, "e1", 0) == []

    history.decide(decide.note_exit, C1, code=0)

    assert decide.end_exec(history.world, C1, "e2", 0) == []


def test_the_monitor_is_known_by_pid_start_and_boot() -> None:
    history = in_status("running")
    history.note(f"container/{C1}", ev.ContainerMonitored(pid=5, start=6, boot=BOOT))

    assert history.world.containers[C1].monitor == {"pid": 5, "start": 6, "boot": BOOT}


# --- boots -------------------------------------------------------------------------------------------


def test_the_first_boot_ever_is_noted_alone() -> None:
    assert tags(decide_host.note_boot(World(), here(BOOT, MACHINE))) == ["host.booted"]


def test_the_same_boot_is_noted_once() -> None:
    assert decide_host.note_boot(in_status("running").world, here(BOOT, MACHINE)) == []


@pytest.mark.parametrize("status", IN_LIFE)
def test_a_reboot_ends_what_lived_with_an_unknown_code(status: str) -> None:
    history = in_status(status)
    held_process = history.world.containers[C1].holding("init") is not None

    noted = history.decide(decide_host.note_boot, here("boot-2", MACHINE))

    expected = ["container.exited"] if status in LIVE or (status == "removing" and held_process) else []
    assert tags(noted) == [*expected, "host.booted"]
    for event in events(noted)[:-1]:
        assert (event.payload()["code"], event.payload()["reason"]) == (None, "lost: reboot")


@pytest.mark.parametrize("status", ["creating", "created", *LIVE, "failed", "removing"])
def test_a_reboot_frees_the_name_of_every_container_that_was_to_be_removed(status: str) -> None:
    """S04: also of those whose command died before they were started or after they failed."""
    history = in_status(status, auto_remove=True)
    history.decide(decide_host.note_boot, here("boot-2", MACHINE))

    assert history.world.names == {}


def test_a_removal_cut_short_by_a_reboot_keeps_the_exit_it_had() -> None:
    history = in_status("exited")
    history.settle(STREAM)
    history.decide(decide.remove, "c1")
    history.decide(decide_host.note_boot, here("boot-2", MACHINE))

    last = history.world.containers[C1].exit
    assert last is not None
    assert last["code"] == 0


def test_every_reason_of_an_exit_is_documented() -> None:
    assert {"lost: reboot", "lost: monitor", ev.ContainerExited.defaults["reason"]} <= set(EXIT_REASONS)
