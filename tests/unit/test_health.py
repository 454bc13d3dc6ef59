"""Health checks: when they are due, what their probes come to, and what follows from that."""

from __future__ import annotations

from typing import Any

import pytest

from machine import decide, health, restarts
from machine import events as ev
from machine.decide_health import note_health
from machine.health import Pulse
from machine.projections import health as shown
from machine.projections import long_status
from tests.histories import C1, History, alive, c1, in_status

SECOND = 1_000_000_000
CHECK = {"interval": 10 * SECOND, "timeout": SECOND, "retries": 3}


def checked(**more: Any) -> History:
    return alive(health={**CHECK, **more})


def find(history: History, status: str, failures: int = 3, code: int = 1) -> decide.Decision:
    return history.decide_as("health check", note_health, C1, status, failures=failures, code=code)


# --- the pulse -----------------------------------------------------------------------------------------


def test_a_probe_follows_an_interval_after_the_last_one_ended() -> None:
    assert Pulse(CHECK, 0, "starting").next_after(4 * SECOND) == 14 * SECOND


def test_without_a_word_dockers_defaults_hold() -> None:
    pulse = Pulse({}, 0, "starting")

    assert pulse.next_after(0) == 30 * SECOND
    assert [pulse.note(at * SECOND, 1) for at in (30, 60, 90)] == ["starting", "starting", "unhealthy"]


def test_while_it_may_still_start_probes_come_faster_and_their_failures_do_not_count() -> None:
    pulse = Pulse({**CHECK, "start_period": 60 * SECOND, "start_interval": SECOND}, 100 * SECOND, "starting")

    assert pulse.next_after(100 * SECOND) == 101 * SECOND
    assert {pulse.note((101 + at) * SECOND, 1) for at in range(10)} == {"starting"}
    assert pulse.failures == 0
    assert pulse.next_after(160 * SECOND) == 170 * SECOND


def test_its_first_success_ends_the_time_to_start() -> None:
    pulse = Pulse({**CHECK, "start_period": 60 * SECOND, "start_interval": SECOND}, 0, "starting")
    pulse.note(SECOND, 0)

    assert pulse.next_after(2 * SECOND) == 12 * SECOND
    assert [pulse.note(at * SECOND, 1) for at in (12, 24, 36)] == ["healthy", "healthy", "unhealthy"]


def test_one_success_makes_it_healthy_whatever_was_before() -> None:
    pulse = Pulse(CHECK, 0, "unhealthy", 7)

    assert (pulse.note(SECOND, 0), pulse.failures) == ("healthy", 0)


def test_an_unhealthy_one_goes_on_counting() -> None:
    pulse = Pulse(CHECK, 0, "unhealthy", 3)

    assert (pulse.note(SECOND, -1), pulse.failures) == ("unhealthy", 4)


# --- what is journalled --------------------------------------------------------------------------------


def test_a_container_with_a_check_begins_as_starting_and_one_without_has_no_health() -> None:
    assert (c1(checked()).health, c1(alive()).health) == ("starting", "")
    assert (shown(c1(checked())), shown(c1(alive()))) == ("starting", "none")


def test_only_a_change_of_status_is_an_event() -> None:
    history = checked()

    assert [event.tag for _, event in find(history, "healthy", 0, 0)] == ["container.health_changed"]
    assert find(history, "healthy", 0, 0) == []
    assert (c1(history).health, long_status(c1(history))) == ("healthy", "running (healthy)")


@pytest.mark.parametrize("status", ["created", "starting", "paused", "stopping", "exited", "removing"])
def test_what_does_not_run_has_no_health_to_note(status: str) -> None:
    assert find(in_status(status, health=CHECK), "healthy", 0, 0) == []


def test_a_container_without_a_check_is_never_unhealthy() -> None:
    assert find(alive(), "unhealthy") == []


def test_a_new_run_begins_as_starting_again() -> None:
    history = checked()
    find(history, "unhealthy")
    history.decide(decide.note_exit, C1, code=0)
    assert shown(c1(history)) == "none"
    history.settle(f"container/{C1}")
    history.decide(decide.start, "c1")

    assert c1(history).health == "starting"


def test_a_change_of_health_after_the_end_is_an_anomaly() -> None:
    history = in_status("exited", health=CHECK)
    noted = history.note(f"container/{C1}", ev.ContainerHealthChanged(health="healthy", failures=0, code=0))

    assert c1(history).anomalies == [noted.n]


# --- what follows --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("action", "follows"),
    [
        ("none", []),
        ("kill", ["container.kill_requested"]),
        ("stop", ["container.stop_requested"]),
        ("restart", ["container.stop_requested"]),
    ],
)
def test_becoming_unhealthy_and_what_is_done_about_it_are_one_decision(
    action: str, follows: list[str]
) -> None:
    decision = find(checked(on_failure=action), "unhealthy")

    assert [event.tag for _, event in decision] == ["container.health_changed", *follows]


def ended(history: History, **how: Any) -> list[str]:
    """The end that was asked for; tags of what the machine decides to it."""
    return [event.tag for _, event in history.decide(decide.note_exit, C1, code=137, **how)]


def unhealthy(action: str, policy: str) -> History:
    history = alive(
        health={**CHECK, "on_failure": action}, restart={"policy": policy, "max": 0}, stop_timeout=SECOND
    )
    find(history, "unhealthy")
    return history


@pytest.mark.parametrize(
    ("action", "policy", "again"),
    [
        ("kill", "no", False),
        ("kill", "on-failure", True),  # a failure like any other
        ("kill", "always", True),
        ("stop", "always", False),  # as a user's stop
        ("restart", "no", True),  # the check's own doing
        ("restart", "unless-stopped", True),
    ],
)
def test_what_the_check_ended_starts_again_where_the_check_or_the_policy_says(
    action: str, policy: str, again: bool
) -> None:
    assert ("container.restart_requested" in ended(unhealthy(action, policy))) == again


def test_no_user_stopped_what_the_check_stopped() -> None:
    history = unhealthy("stop", "no")
    ended(history)

    assert (c1(history).stopped_by_user, long_status(c1(history))) == (False, "exited (137)")


def test_the_check_itself_is_the_cause_of_its_restart() -> None:
    causes = {}
    for action in ("restart", "kill"):
        history = unhealthy(action, "always" if action == "kill" else "no")
        ended(history)
        causes[action] = history.events[-1].payload()["cause"]

    assert causes == {"restart": health.CAUSE, "kill": restarts.POLICY}


def test_a_sigkill_at_the_deadline_of_the_checks_stop_does_not_keep_it_from_starting_again() -> None:
    history = unhealthy("restart", "no")
    history.decide_as("stop deadline", decide.overdue, C1, 1 << 60)

    assert "container.restart_requested" in ended(history)


def test_a_user_who_stops_it_meanwhile_has_the_last_word() -> None:
    history = unhealthy("restart", "always")
    history.decide(decide.stop, "c1")

    assert "container.restart_requested" not in ended(history)
    assert c1(history).stopped_by_user
