"""Kill -9 before every append and every change of every command, and of the monitor: nothing is left, nothing lost.

The six claims at the end of the scenario list, for each point: the engine starts; `ps` is the kernel's truth; no
mount, cgroup, process or file is left that no container owns; the history has no gap and no impossible event; and
the command, asked again, succeeds. Sampled here, whole with `sh tools/test --all`, which also writes the table.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.system.conftest import HERE, PROGRAM, Docker, our_processes

pytestmark = [pytest.mark.root, pytest.mark.timeout(1800)]
ALL = bool(os.environ.get("MYDOCKER_TEST_ALL"))
MOST = 120  # steps; the longest command has about sixty
EVERY = 1 if ALL else 7  # with a prime stride, and a start that differs by scenario, samples spread well
TABLE = HERE / "docs" / "crash-table.md"

RUN = ("run", "-d", "--name", "k", "busybox", "top")


class Scenario:
    """What is there before, the command that is killed, whose steps are counted, and the end that is right."""

    def __init__(
        self,
        name: str,
        before: tuple[tuple[str, ...], ...],
        command: tuple[str, ...],
        *,
        who: str = "command",
        again: tuple[int, ...] = (0,),
        after: tuple[tuple[str, ...], ...] = (),
    ) -> None:
        self.name, self.before, self.command, self.who = name, before, command, who
        self.again = again  # exit codes of the command asked again: 125 where it had been done already
        self.after = after  # commands that go on with what was begun

    def __repr__(self) -> str:
        return self.name


SCENARIOS = [
    Scenario("run -d", (), RUN, again=(0, 125)),
    Scenario("run -d (monitor)", (), RUN, who="monitor", again=(0, 125), after=(("stop", "-t", "0", "k"),)),
    Scenario("run --rm", (), ("run", "--rm", "--name", "k", "busybox", "true"), again=(0, 125)),
    Scenario(
        "run --rm (monitor)",
        (),
        ("run", "--rm", "--name", "k", "busybox", "true"),
        who="monitor",
        again=(0, 125),
    ),
    Scenario("create", (), ("create", "--name", "k", "busybox", "top"), again=(0, 125)),
    Scenario("start", (("create", "--name", "k", "busybox", "top"),), ("start", "k")),
    Scenario("stop", (RUN,), ("stop", "-t", "0", "k")),
    Scenario("kill", (RUN,), ("kill", "k"), again=(0, 125)),
    Scenario("pause", (RUN,), ("pause", "k"), again=(0, 125)),
    Scenario("unpause", (RUN, ("pause", "k")), ("unpause", "k"), again=(0, 125)),
    Scenario("exec", (RUN,), ("exec", "k", "true")),
    Scenario("rename", (RUN,), ("rename", "k", "k2"), again=(0, 125)),
    Scenario("update", (RUN,), ("update", "-m", "50m", "k")),
    Scenario("rm", (("create", "--name", "k", "busybox", "top"),), ("rm", "k"), again=(0, 125)),
    Scenario("rm -f", (RUN,), ("rm", "-f", "k")),
    Scenario("commit", (RUN,), ("commit", "k", "copy")),
    Scenario("cp in", (RUN,), ("cp", "/etc/hostname", "k:/")),
    Scenario("cp out", (RUN,), ("cp", "k:/etc/passwd", "passwd")),
    Scenario("import", (), ("import", "busybox.tar", "copy")),
    Scenario("rmi", (("import", "busybox.tar", "copy"),), ("rmi", "copy"), again=(0, 125)),
    Scenario("replay", (RUN,), ("replay",)),
]


@pytest.fixture
def outcomes(request: pytest.FixtureRequest) -> Iterator[list[str]]:
    """What became of each point; with --all they go into docs/crash-table.md."""
    found: list[str] = []
    yield found
    if ALL and found:
        _write_rows(str(request.node.callspec.params["scenario"]), found)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
def test_080_killed_at_any_step_it_is_put_right(
    series: Docker, scenario: Scenario, outcomes: list[str]
) -> None:
    series.ok("run", "--rm", "busybox", "true")
    first = 1 + sum(scenario.name.encode()) % EVERY
    for point in range(first, MOST, EVERY):
        for command in scenario.before:
            series.ok(*command)
        killed = _kill_at(series, scenario, point)
        for command in scenario.after:
            series(*command)
        _replayed(series)
        _check(series, f"{scenario} killed at step {point}")
        outcomes.append(_outcome(series))
        again = _ask(series, scenario)
        assert again in scenario.again, f"{scenario} at {point}, asked again: {again}"
        _clear(series)
        if not killed:
            return
    pytest.fail(f"{scenario} does not end within {MOST} steps")


def _ask(docker: Docker, scenario: Scenario, **env: str) -> int:
    done = subprocess.run(
        [PROGRAM, *scenario.command],
        env={**docker.env, **env},
        cwd=docker.root,
        capture_output=True,
        timeout=90,
        check=False,
    )
    assert b"Traceback" not in done.stderr, done.stderr.decode()
    return done.returncode


def _kill_at(docker: Docker, scenario: Scenario, point: int) -> bool:
    """Whether the point was reached: the command died of it, or another monitor had to take over."""
    before = len(docker.events())
    code = _ask(docker, scenario, MYDOCKER_FAILPOINT=f"{scenario.who}:{point}")
    if scenario.who == "command":
        return code in (-9, 137)
    for command in scenario.after:
        docker(*command)
    _replayed(docker)
    monitors = [event for event in docker.events()[before:] if event["t"] == "container.monitored"]
    return len(monitors) != 1


def _replayed(docker: Docker) -> None:
    docker.ok("replay", timeout=90)


def _check(docker: Docker, where: str) -> None:
    """Claims two to four."""
    live: dict[int, str] = {}
    for row in docker.ok("ps", "--no-trunc", "--format", "{{.ID}} {{.Pid}} {{.State}}").splitlines():
        container_id, *pid, state = row.split()
        document = docker.inspect(container_id)
        assert document["Journal"]["Anomalies"] == [], f"{where}: impossible events"
        assert document["Leftovers"] == [], f"{where}: leftovers"
        assert state not in ("creating", "starting", "stopping", "removing", "restarting"), (
            f"{where}: hangs in {state}"
        )
        if pid:
            live[int(pid[0])] = container_id
            assert Path(f"/proc/{pid[0]}").exists(), f"{where}: {container_id} is said to run"
    ids = set(docker.ok("ps", "-q", "--no-trunc").split())
    parent = f"mydocker-{docker.root_id}"
    cgroups = {path.name for path in Path("/sys/fs/cgroup").glob(f"*/{parent}/*") if path.is_dir()}
    assert cgroups <= {*live.values(), *(["monitors"] if live else [])}, f"{where}: cgroups"
    assert {path.name for path in (docker.root / "containers").iterdir()} <= ids, f"{where}: directories"
    assert list((docker.root / "staging").iterdir()) == [], f"{where}: staging"
    assert len(list((docker.root / "mnt").iterdir())) == len(live), f"{where}: links"
    assert str(docker.root) not in Path("/proc/self/mountinfo").read_text(), f"{where}: mounts"
    expected = set(live) | {int(docker.inspect(i)["State"]["MonitorPid"]) for i in live.values()}
    assert {pid for pid, _ in our_processes(docker)} <= expected, f"{where}: processes"
    numbers = [event["n"] for event in docker.events()]
    assert numbers == list(range(1, len(numbers) + 1)), f"{where}: the journal has a gap"


def _outcome(docker: Docker) -> str:
    """What a user then finds."""
    found = docker.ok("ps", "--format", "{{.Names}} {{.State}}").splitlines()
    return ", ".join(found) or "no container"


def _clear(docker: Docker) -> None:
    ids = docker.ok("ps", "-q").split()
    if ids:
        docker.ok("rm", "-f", *ids)
    docker("rmi", "-f", "copy")


def _write_rows(name: str, found: list[str]) -> None:
    """Replace the scenario's rows in the table: runs of points with the same outcome share a row."""
    head = "# What a kill leaves, after `replay`\n\nWritten by tests/system/test_080_kill_matrix.py under `sh tools/test --all`. A point is a step: an append to the journal, or a change of\nthe kernel or the disk, before which the process is killed. The last point of a row group was not reached: the command was whole.\n\n| command | killed before step | then there is |\n|---|---|---|\n"
    text = TABLE.read_text() if TABLE.exists() else head
    kept = [
        line for line in text.removeprefix(head).splitlines() if line and not line.startswith(f"| {name} |")
    ]
    rows, start = [], 0
    for index in range(1, len(found) + 1):
        if index == len(found) or found[index] != found[start]:
            span = str(start + 1) if index == start + 1 else f"{start + 1}-{index}"
            rows.append(f"| {name} | {span} | {found[start]} |")
            start = index
    order: Callable[[str], int] = [str(s) for s in SCENARIOS].index
    TABLE.write_text(
        head + "\n".join(sorted(kept + rows, key=lambda line: order(line.split(" | ")[0][2:]))) + "\n"
    )
