"""What the journal of real containers tells: events, audit, why, time travel, and that it proves itself."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.system.conftest import Docker
else:
    Docker = Any

pytestmark = pytest.mark.root


def kill(*pids: int) -> None:
    """SIGKILL, and wait until the kernel has none of them."""
    handles = [os.pidfd_open(pid) for pid in pids]
    for pid, handle in zip(pids, handles, strict=True):
        os.kill(pid, signal.SIGKILL)
        assert select.select([handle], [], [], 20)[0], f"{pid} does not die"
        os.close(handle)


def test_a_stop_that_needed_sigkill_is_explained_with_who_asked_and_what_went_by_itself(
    series: Docker,
) -> None:
    series.ok("run", "-d", "-name", "web", "-net", "none", "busybox", "sleep", "1000")
    series.ok("stop", "-t", "1", "web")

    lines = series.ok("why", "web").splitlines()

    assert lines[0].endswith(") is stopped.")
    assert lines[1].startswith("SIGKILL ended it at ")
    assert "(`mydocker stop --time=1 web`) asked it to stop at " in lines[2]
    assert lines[3].startswith("It had not ended when that time was over at ")
    series.ok("rm", "web")
    assert series.ok("why", "web").splitlines()[0].endswith(") is removed.")


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["busybox", "sh", "-c", "exit 3"], "It ended by itself with code 3 at "),
        (["busybox", "/nosuch"], " it could not run its program: exec: ENOENT No such file or directory: /nosuch."),
        (["-m", "16m", "busybox", "sh", "-c", "x=a; while :; do x=$x$x; done"], ": it had reached its memory limit of 16 MiB (code 137)."),
        (["--restart", "on-failure:1", "busybox", "false"], "It leaves it ended: once is its limit."),
    ],
)  # fmt: skip
def test_each_end_is_explained(args: list[str], said: str, series: Docker) -> None:
    series("run", "-d", "-name", "c1", "-net", "none", *args)
    series("wait", "c1")
    assert said in series.ok("why", "c1")


def test_an_end_that_nobody_watched_is_explained_before_and_after_replay(series: Docker) -> None:
    series.ok("run", "-d", "-name", "c1", "-net", "none", "busybox", "sleep", "1000")
    state = series.inspect("c1")["State"]
    kill(state["MonitorPid"], state["Pid"])
    assert "the kernel has no process" in series.ok("why", "c1")

    series.ok("replay")

    told = series.ok("why", "c1")
    assert "the kernel has no process" not in told
    assert "(`mydocker replay`)" in told


def test_a_monitor_that_is_gone_is_told_until_there_is_another(series: Docker) -> None:
    series.ok("run", "-d", "-name", "c1", "-net", "none", "busybox", "sleep", "1000")
    monitor = series.inspect("c1")["State"]["MonitorPid"]
    kill(monitor)
    told = series.ok("why", "c1").splitlines()
    assert told[1] == (
        f"But its monitor, process {monitor}, is gone, so nobody watches it: `mydocker replay` gives it a new one."
    )

    series.ok("replay")

    assert "nobody watches it" not in series.ok("why", "c1")
    series.ok("rm", "-f", "c1")


def test_the_past_is_seen_as_it_was(series: Docker) -> None:
    series.ok("run", "-d", "-name", "c1", "-net", "none", "busybox", "sleep", "1000")
    pid = series.inspect("c1")["State"]["Pid"]
    running = series.events()[-1]["n"]
    series.ok("stop", "-t", "0", "c1")
    stopped = series.events()[-1]["n"]
    series.ok("rm", "c1")
    form = "{{.Names}} {{.Status}} {{.Pid}}"

    assert series.ok("ps", "-a", "--format", form) == ""
    assert series.ok("ps", "-a", "--at", str(running), "--format", form) == f"c1 running {pid}\n"
    assert series.ok("ps", "-a", "--at", str(stopped), "--format", form) == "c1 stopped \n"
    assert series.ok("inspect", "--at", str(running), "-f", "{{.State.Running}}", "c1") == "true\n"
    changed = series.ok("journal", "between", str(running), str(stopped)).splitlines()
    assert changed[1].startswith("~ container c1 [root")
    assert "    status: running -> stopped" in changed
    assert series.ok("journal", "between", str(running), "now").splitlines()[1].startswith("- container c1: ")
    assert "yet to come" in series.fails("ps", "--at", "2200-01-01", code=2)


def test_each_event_is_followed_once_and_in_order_while_eight_commands_write(series: Docker) -> None:
    series.ok("run", "--rm", "-net", "none", "busybox", "true")
    before = series.events()[-1]["n"]
    follow = ["events", "-f", "--since", "1h", "--format", "{{.N}}"]
    with series.popen(*follow, stdout=subprocess.PIPE) as follower, ThreadPoolExecutor(8) as pool:
        assert follower.stdout is not None
        run = ["run", "--rm", "-net", "none", "busybox", "true"]
        assert {done.returncode for done in pool.map(lambda _: series(*run), range(16))} == {0}
        last = series.events()[-1]["n"]
        found = [int(follower.stdout.readline()) for _ in range(last)]
        follower.send_signal(signal.SIGINT)

    assert found == list(range(1, last + 1))
    assert last > before + 16 * 20
    assert follower.returncode == 130


def test_who_did_what_is_told_and_that_nothing_of_it_was_altered(series: Docker) -> None:
    series.ok("run", "-d", "-name", "c1", "-net", "none", "-e", "PASSWORD=canary", "busybox", "sleep", "1000")
    head = series.root.parent / "head"
    assert series.ok("audit", "seal", head).startswith("sealed ")
    series.ok("rm", "-f", "c1")

    told = series.ok("audit", "--container", "c1", "--format", "{{.What}} {{.Command}}")
    assert "asked to be removed, alive or not rm --force c1" in told
    assert "canary" not in series.ok("events", "--format", "json") + series.ok("audit", "--all", "--no-trunc")
    assert "as it was written" in series.ok("audit", "verify", "--against", head, "--state")

    segment = next((series.root / "journal").glob("0*.jsonl"))
    data = segment.read_bytes()
    line = data[: data.index(b'"name":"c1"')].count(b"\n") + 1
    segment.write_bytes(data.replace(b'"name":"c1"', b'"name":"x1"', 1))
    altered = series("audit", "verify", "--against", head)
    segment.write_bytes(data)

    assert altered.returncode == 1
    assert f"damaged: {segment.name} line {line}: the chain breaks here" in altered.stdout
    assert "Traceback" not in altered.stderr


def test_what_cannot_be_is_one_clear_line(series: Docker) -> None:
    assert "no journal in" in series.fails("audit", "verify", code=125)
    series.ok("run", "--rm", "-net", "none", "busybox", "true")
    assert "invalid --since 'soon'" in series.fails("events", "--since", "soon", code=2)
    assert "the journal ends with event" in series.fails("ps", "--at", "99999", code=2)
    assert "the journal begins later" in series.fails("inspect", "--at", "1999-12-31", "x", code=2)
    assert "no such container: nobody" in series.fails("why", "nobody", code=125)
    assert "no such command: burn" in series.fails("journal", "burn", code=2)


def test_the_upkeep_of_the_journal_leaves_what_it_tells(series: Docker) -> None:
    series.ok("run", "--rm", "-name", "c1", "-net", "none", "busybox", "true")
    history = series.ok("history", "c1")

    assert series.ok("journal", "snapshot").startswith("kept the state at event ")
    assert series.ok("journal", "archive") == "nothing to archive: no whole sealed segment is that old\n"
    assert "container.created:" in series.ok("journal", "stats")
    assert series.ok("history", "c1") == history
    assert "is what a replay from zero gives" in series.ok("audit", "verify", "--state")


def parent_of(series: Docker, command: str) -> int:
    """The process on the host, an exec's joiner, whose child runs that command in c1."""
    top = [line.split() for line in series.ok("top", "c1", "-o", "pid,ppid,args").splitlines()[1:]]
    first = str(series.inspect("c1")["State"]["Pid"])
    return next(int(ppid) for pid, ppid, *args in top if pid != first and " ".join(args) == command)


def test_the_end_of_a_detached_exec_is_noted_by_the_monitor(series: Docker) -> None:
    series.ok("run", "-d", "-name", "c1", "-net", "none", "busybox", "sleep", "1000")
    follow = ["events", "-f", "--since", "1h", "--filter", "event=exec.exited", "--format", "json"]
    with series.popen(*follow, stdout=subprocess.PIPE) as follower:
        assert follower.stdout is not None
        series.ok("exec", "-d", "c1", "sh", "-c", "exit 7")
        first = json.loads(follower.stdout.readline())
        series.ok("exec", "-d", "c1", "sleep", "2000")
        os.kill(parent_of(series, "sleep 2000"), signal.SIGKILL)
        second = json.loads(follower.stdout.readline())
        follower.send_signal(signal.SIGINT)

    started = [event["exec"] for event in series.events() if event["t"] == "exec.started"]
    assert [first["exec"], second["exec"]] == started
    assert (first["code"], first["by"]["cmd"], first["why"]) == (7, "monitor", "exit")
    assert second["code"] is None
    assert series.inspect("c1")["State"]["Running"]
    assert "exec_" not in series.ok("history", "c1")
    series.ok("rm", "-f", "c1")


@pytest.mark.parametrize(
    ("step", "state"),
    [
        ("append job.publishing", "abandoned"),
        ("publish ROOT/IMAGE.tar", "abandoned"),
        ("append image.published, job.finished", "done"),
    ],
)
def test_a_commit_killed_around_its_publication_is_finished_or_leaves_no_image(
    series: Docker, step: str, state: str
) -> None:
    series.ok("create", "-name", "c1", "-net", "none", "busybox", "true")
    series.env["MYDOCKER_FAILPOINT"] = f"command|kill|1|{step}|{os.devnull}"
    assert series("commit", "c1", "copy").returncode == -signal.SIGKILL
    del series.env["MYDOCKER_FAILPOINT"]

    series.ok("replay")

    there = (series.root / "copy.tar").exists()
    assert there == (state == "done")
    assert ("copy" in series.ok("images")) == there
    jobs = series.ok(
        "history", "--jobs", "--no-trunc", "--format", "{{.Kind}} {{.State}} {{.Result}}"
    ).splitlines()
    wanted = f"commit done {series.root}/copy.tar" if there else "commit abandoned its command died"
    assert jobs[-1] == wanted
    assert list((series.root / "staging").iterdir()) == []
    again = series("run", "--rm", "-net", "none", "copy", "true")
    assert again.returncode == (0 if there else 125)
    series.ok("rm", "c1")
