"""Health checks on the real kernel: what they find, what follows, and that nothing of them outlives anything."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.system.conftest import Docker, nobody_left
from tests.waiting import ended, until

pytestmark = pytest.mark.root

FAST = ("--health-interval", "100ms", "--health-timeout", "20s", "--health-retries", "2")
IDLE = ("busybox", "sleep", "1000")


def health(docker: Docker, name: str) -> dict[str, Any]:
    found: dict[str, Any] = docker.inspect(name)["State"]["Health"]
    return found


def comes_to(docker: Docker, name: str, status: str) -> dict[str, Any]:
    found: dict[str, Any] = {}

    def has_come() -> bool:
        found.update(health(docker, name))
        return bool(found["Status"] == status)

    until(has_come, f"{name} does not become {status}", beside=docker.root / "journal")
    return found


def next_probes(docker: Docker, name: str, enough: Callable[[list[dict[str, Any]]], bool]) -> None:
    """Until the log of its last probes is so."""
    beside = docker.root / "containers" / docker.inspect(name)["Id"]
    until(lambda: enough(health(docker, name)["Log"]), f"{name} is not probed like that", beside=beside)


def runs(pid: int, command: str) -> None:
    """Until that command runs in the container of that first process."""
    until(lambda: command in commands(pid), f"{command} does not run there")


def runs_alone(pid: int, command: str) -> None:
    until(lambda: commands(pid) == [command], f"{command} is not left alone there")


def of(docker: Docker, name: str, tag: str) -> list[dict[str, Any]]:
    """The container's events of one kind."""
    container_id = docker.inspect(name)["Id"]
    return [event for event in docker.events() if event["t"] == tag and event["s"].endswith(container_id)]


def commands(pid: int) -> list[str]:
    """What runs in the container of that first process."""
    here = os.readlink(f"/proc/{pid}/ns/pid")
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and os.readlink(entry / "ns/pid") == here:
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
                found += [line] if line else []  # a zombie has none
        except OSError:
            continue
    return sorted(found)


def test_050_a_check_goes_from_starting_to_unhealthy_to_healthy(series: Docker) -> None:
    series.ok(
        *("run", "-d", "--name", "t050a", "--health-cmd", "echo looking; test -f /ok"),
        *("--health-interval", "500ms", "--health-retries", "2", *IDLE),
    )
    assert "running (health: starting)" in series.ok("ps")

    found = comes_to(series, "t050a", "unhealthy")
    assert found["FailingStreak"] >= 2
    assert {(probe["ExitCode"], probe["Output"]) for probe in found["Log"]} == {(1, "looking\n")}
    assert all(probe["Start"] <= probe["End"] for probe in found["Log"])
    series.ok("exec", "t050a", "touch", "/ok")
    assert comes_to(series, "t050a", "healthy")["FailingStreak"] == 0
    assert "running (healthy)" in series.ok("ps", "--filter", "health=healthy")
    assert series.ok("ps", "-q", "--filter", "health=none") == ""
    changes = of(series, "t050a", "container.health_changed")
    assert [(e["health"], e["why"]) for e in changes] == [
        ("unhealthy", "health check"),
        ("healthy", "health check"),
    ]
    assert "Its health check passes" in series.ok("why", "t050a")
    told = series.ok("events", "--filter", "event=health_status", "--format", "{{.Name}} {{.Action}}")
    assert told.split() == ["t050a", "health_status"] * 2


def test_050_probes_that_tell_nothing_new_leave_nothing_in_the_journal(series: Docker) -> None:
    series.ok("run", "-d", "--name", "t050b", "--health-cmd", "true", *FAST, *IDLE)
    first = comes_to(series, "t050b", "healthy")["Log"][-1]["Start"]
    before = len(series.events())
    next_probes(series, "t050b", lambda log: all(probe["Start"] > first for probe in log))

    assert len(health(series, "t050b")["Log"]) == 5
    assert len(series.events()) == before


def test_050_a_probe_is_killed_at_its_timeout_with_all_that_it_forked(series: Docker) -> None:
    probe = "echo hangs; setsid sleep 4711 & (sleep 4712 &); trap '' TERM; sleep 4713"
    series.ok(
        *("run", "-d", "--name", "t050c", "--health-cmd", probe, "--health-timeout", "1s"),
        *("--health-interval", "100ms", "--health-retries", "1", *IDLE),
    )
    pid = series.inspect("t050c")["State"]["Pid"]
    runs(pid, "sleep 4711")
    runs(pid, "sleep 4712")

    found = comes_to(series, "t050c", "unhealthy")
    assert (found["Log"][0]["ExitCode"], found["Log"][0]["Output"]) == (
        -1,
        "not ended within 1 s: hangs\n",
    )
    series.ok("pause", "t050c")  # no further probe
    series.ok("unpause", "t050c")
    runs_alone(pid, "sleep 1000")


def test_050_what_a_probe_leaves_behind_on_purpose_stays(series: Docker) -> None:
    """`pgrep server || server &` is a known way to keep a second program alive."""
    probe = "pgrep -f 'sleep [4]714' || { sleep 4714 >/dev/null 2>&1 & }"
    series.ok("run", "-d", "--name", "t050d", "--health-cmd", probe, *FAST, *IDLE)
    comes_to(series, "t050d", "healthy")
    next_probes(series, "t050d", lambda log: len(log) > 2)

    assert "sleep 4714" in commands(series.inspect("t050d")["State"]["Pid"])
    series.ok("stop", "-t", "0", "t050d")


def test_050_a_check_whose_program_is_missing_is_a_failure_that_says_so(series: Docker) -> None:
    series.ok("run", "-d", "--name", "t050e", "--health-cmd", "nosuchprogram", *FAST, *IDLE)

    found = comes_to(series, "t050e", "unhealthy")
    assert found["Log"][-1]["ExitCode"] == 127
    assert "nosuchprogram" in found["Log"][-1]["Output"]


def test_050_s43_nothing_of_a_check_outlives_its_container(series: Docker) -> None:
    series.ok("run", "-d", "--name", "t050f", "--health-cmd", "sleep 4715", *FAST, *IDLE)
    state = series.inspect("t050f")["State"]
    runs(state["Pid"], "sleep 4715")

    series.ok("stop", "-t", "0", "t050f")
    ended(state["MonitorPid"])  # it has told of the end, and goes

    nobody_left(series)
    assert commands(os.getpid()).count("sleep 4715") == 0
    assert series.inspect("t050f")["State"]["Status"] == "stopped"


def test_050_s43_a_successor_takes_the_check_up_and_ends_a_dead_monitors_probe(series: Docker) -> None:
    probe = "test -f /fail && exit 1; sleep 4716"
    series.ok(
        *("run", "-d", "--name", "t050g", "--health-cmd", probe, *FAST, "--health-start-period", "0", *IDLE)
    )
    state = series.inspect("t050g")["State"]
    runs(state["Pid"], "sleep 4716")
    os.kill(state["MonitorPid"], signal.SIGKILL)
    runs_alone(state["Pid"], "sleep 1000")
    series.ok("replay")
    runs(state["Pid"], "sleep 4716")  # the successor's
    series.ok("exec", "t050g", "touch", "/fail")
    series.ok("exec", "t050g", "killall", "sleep")

    comes_to(series, "t050g", "unhealthy")
    assert series.inspect("t050g")["State"]["MonitorPid"] != state["MonitorPid"]


def test_050_a_paused_container_is_not_probed_and_its_time_does_not_count(series: Docker) -> None:
    probe = "touch /began; until test -e /go; do sleep 0.05; done"
    series.ok(
        *("run", "-d", "--name", "t050h", "--health-cmd", probe, "--health-timeout", "2s"),
        *("--health-interval", "100ms", "--health-retries", "1", *IDLE),
    )
    until((series.root / "mnt" / "t050h" / "began").exists, "no probe begins")
    series.ok("pause", "t050h")
    time.sleep(2.2)  # longer than the probe may take: that nothing happens is the claim
    assert health(series, "t050h") == {"Status": "starting", "FailingStreak": 0, "Log": []}
    series.ok("unpause", "t050h")
    series.ok("exec", "t050h", "touch", "/go")

    assert comes_to(series, "t050h", "healthy")["Log"][0]["ExitCode"] == 0


@pytest.mark.parametrize(
    ("action", "policy", "ends"),
    [
        ("kill", "no", "exited (137, signal)"),
        ("stop", "always", "exited (143, signal)"),
        ("restart", "no", "running"),
        ("kill", "on-failure", "running"),
    ],
)
def test_050_s59_what_is_done_about_an_unhealthy_one_has_the_check_as_its_cause(
    series: Docker, action: str, policy: str, ends: str
) -> None:
    # In memory, so that it is not sick again from its next start.
    check = ("--health-cmd", "test -f /dev/shm/sick && exit 1 || exit 0", "--health-on-failure", action)
    script = "trap 'exit 143' TERM; while :; do sleep 0.1; done"
    series.ok(
        "run", "-d", "--name", "t050i", "--restart", policy, *check, *FAST, "busybox", "sh", "-c", script
    )
    comes_to(series, "t050i", "healthy")
    series.ok("exec", "t050i", "touch", "/dev/shm/sick")

    def is_done() -> bool:
        line = series.ok("ps", "--format", "{{.Status}}").strip()
        again = series.inspect("t050i")["State"]["RestartCount"] > 0
        return again and line.startswith("running") if ends == "running" else line == ends

    if ends.startswith("exited (143"):
        ends = "exited (143)"
    until(is_done, f"it does not come to {ends!r}", beside=series.root / "journal")
    tag = "container.kill_requested" if action == "kill" else "container.stop_requested"
    asked = of(series, "t050i", tag)[0]
    assert (asked["why"], asked["by"]["cmd"]) == ("health check", "monitor")
    starts = of(series, "t050i", "container.start_requested")
    if ends == "running":
        assert starts[1]["why"] == ("health check" if action == "restart" else "restart policy")
    else:
        assert len(starts) == 1
    assert "Its health check had failed 2 times in a row" in series.ok("why", "t050i") or ends == "running"


def test_050_what_a_check_runs_is_shown_nowhere(series: Docker) -> None:
    series.ok("run", "-d", "--name", "t050j", "--health-cmd", ": canary-4717; true", *FAST, *IDLE)
    comes_to(series, "t050j", "healthy")

    assert "canary" not in (series.ok("inspect", "t050j") + series.ok("history", "--no-trunc", "t050j"))
    assert "--health-cmd=***" in series.ok("history", "--no-trunc", "t050j")
    assert "canary" not in "".join(str(event) for event in series.events())
    holders = [
        path
        for path in series.root.rglob("*")
        if path.is_file() and not path.is_symlink() and b"canary" in path.read_bytes()
    ]
    assert [(path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) for path in holders] == [
        (0o600, 0o700)
    ]


def test_050_an_image_made_of_it_has_the_same_check(series: Docker) -> None:
    series.ok("run", "-d", "--name", "t050k", "--health-cmd", "true", *FAST, *IDLE)
    series.ok("commit", "t050k", "checked")
    series.ok("run", "-d", "--name", "t050l", "--health-retries", "7", "checked")
    series.ok("run", "-d", "--name", "t050m", "--no-healthcheck", "checked")

    assert comes_to(series, "t050l", "healthy")
    check = series.inspect("t050l")["Config"]["Healthcheck"]
    assert (check["Interval"], check["Retries"]) == (100_000_000, 7)
    assert "Health" not in series.inspect("t050m")["State"]


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (("--health-interval", "5s"), "there is no health check"),
        (("--health-cmd", "true", "--health-interval", "1us"), "at least 1ms"),
        (("--health-cmd", " "), "is empty"),
        (("--health-cmd", "true", "--no-healthcheck"), "contradicts"),
        (
            ("--health-cmd", "true", "--health-on-failure", "pray"),
            "expected one of none, kill, restart, stop",
        ),
        (("--rm", "--health-cmd", "true", "--health-on-failure", "restart"), "contradicts --rm"),
    ],
)
def test_050_a_check_that_cannot_be_meant_is_refused(
    series: Docker, args: tuple[str, ...], told: str
) -> None:
    assert told in series.fails("run", "-d", *args, *IDLE, code=2)
