"""After a boot (everything dead, the run directory gone, another boot id) `replay` does what restart policies say."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import cgroups
from tests.system.conftest import PROGRAM, Docker, our_processes

pytestmark = pytest.mark.root

SHOW = 'mount --bind "$0" /proc/sys/kernel/random/boot_id && exec "$@"'
IDLE = ("busybox", "sleep", "1000")
IMPATIENT = "from cli import answers, entry; answers.ANSWER = 2.0; entry.main()"


def lose_power(docker: Docker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Monitors first, so that nobody notes an end; then a boot id of its own for every command that follows."""
    states = [docker.inspect(name)["State"] for name in docker.ok("ps", "-q").split()]
    for pid in [state[key] for key in ("MonitorPid", "Pid") for state in states if state[key]]:
        os.kill(pid, signal.SIGKILL)
    shutil.rmtree(docker.run_dir)
    cgroups.remove(docker.root_id)
    boot = docker.root.parent / "boot"
    boot.write_text(f"{uuid.uuid4()}\n")
    run = subprocess.run

    def rebooted(command: list[str], **more: Any) -> Any:
        return run(["unshare", "-m", "sh", "-c", SHOW, str(boot), *command], **more)

    monkeypatch.setattr(subprocess, "run", rebooted)


@pytest.fixture
def boxes(series: Docker, monkeypatch: pytest.MonkeyPatch) -> Iterator[Docker]:
    """One of each policy: alive, stopped by a user, ended by itself."""
    for policy in ("no", "always", "unless-stopped", "on-failure", "on-failure:1"):
        name = policy.replace(":", "-")
        series.ok("run", "-d", "--restart", policy, "--name", f"{name}-live", *IDLE)
        series.ok("run", "-d", "--restart", policy, "--name", f"{name}-stopped", *IDLE)
        series.ok("stop", "-t", "0", f"{name}-stopped")
    series.ok("run", "-d", "--restart", "on-failure", "--name", "well-ended", "busybox", "true")
    series.ok("wait", "well-ended")
    yield series
    series.ok("rm", "-f", *series.ok("ps", "-q").split())  # in the boot that they live in


def test_052_replay_starts_after_a_boot_what_its_policy_says_and_nothing_else(
    boxes: Docker, monkeypatch: pytest.MonkeyPatch
) -> None:
    lose_power(boxes, monkeypatch)
    boxes.ok("replay", "--fast", "--quiet")

    status = dict(
        line.split("\t") for line in boxes.ok("ps", "--format", "{{.Names}}\t{{.State}}").splitlines()
    )
    assert {name for name, state in status.items() if state == "running"} == {
        "always-live",
        "always-stopped",  # docker's: only unless-stopped remembers across a boot that a user stopped it
        "unless-stopped-live",
        "on-failure-live",  # its code is unknown, which is a failure
        "on-failure-1-live",
    }
    assert {
        name: status[name] for name in ("no-live", "no-stopped", "unless-stopped-stopped", "well-ended")
    } == {
        "no-live": "exited",
        "no-stopped": "stopped",
        "unless-stopped-stopped": "stopped",
        "well-ended": "exited",
    }
    assert boxes.inspect("no-live")["State"]["ExitCode"] == 255


def test_052_the_history_tells_what_the_boot_ended_and_who_started_it_again(
    boxes: Docker, monkeypatch: pytest.MonkeyPatch
) -> None:
    lose_power(boxes, monkeypatch)
    boxes.ok("replay", "--quiet")

    one = boxes.inspect("always-live")["Id"]
    events = [(e["t"], e["why"]) for e in boxes.events() if e["s"] == f"container/{one}"]
    ended = [i for i, (tag, why) in enumerate(events) if (tag, why) == ("container.exited", "reboot")]
    assert len(ended) == 1
    after = [event for event in events[ended[0] :] if event[0].startswith("container.")]
    assert after[1] == ("container.restart_requested", "reboot")
    assert ("container.start_requested", "restart policy") in after


def test_052_a_second_replay_has_nothing_to_do_says_nothing_and_writes_nothing(
    boxes: Docker, monkeypatch: pytest.MonkeyPatch
) -> None:
    lose_power(boxes, monkeypatch)
    boxes.ok("replay")
    before = boxes.events()

    assert boxes.ok("replay", "--fast", "--quiet") == ""
    assert boxes.events() == before


def test_052_a_minutely_replay_gives_a_container_whose_monitor_was_killed_a_new_one(series: Docker) -> None:
    series.ok("run", "-d", "--name", "t052", *IDLE)
    old = series.inspect("t052")["State"]
    os.kill(old["MonitorPid"], signal.SIGKILL)

    assert "t052" in series.ok("replay", "--fast", "--quiet")
    new = series.inspect("t052")["State"]
    assert (new["Pid"], new["Running"]) == (old["Pid"], True)
    assert new["MonitorPid"] not in (0, old["MonitorPid"])


def test_052_a_stopped_monitor_is_named_and_does_not_hold_the_others_up(series: Docker) -> None:
    """`replay` waits a minute for it, as every command does: here, two seconds."""
    series.ok("run", "-d", "--name", "t052a", *IDLE)
    series.ok("run", "-d", "--name", "t052b", *IDLE)
    stopped, other = (series.inspect(name)["State"]["MonitorPid"] for name in ("t052a", "t052b"))
    os.kill(other, signal.SIGKILL)
    os.kill(stopped, signal.SIGSTOP)
    replay = [str(Path(PROGRAM).parent / "python"), "-c", IMPATIENT, "replay", "--fast", "--quiet"]
    try:
        done = subprocess.run(replay, env=series.env, capture_output=True, text=True, timeout=60, check=False)
    finally:
        os.kill(stopped, signal.SIGCONT)

    assert done.returncode == 125
    assert f"process {stopped} has not answered in 2 s" in done.stderr
    assert series.inspect("t052b")["State"]["MonitorPid"] not in (0, other)
    assert our_processes(series)
