"""Many commands at once on the same names (S17, S44): one winner, clear losers, never a traceback, and nothing left."""

from __future__ import annotations

import os
import random
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests import claims
from tests.kills import ALL, SEED, checked
from tests.machines import Machine

pytestmark = [pytest.mark.root, pytest.mark.timeout(900)]
SLOW = 120.0  # seconds for a command in a crowd
REFUSED = ("in use", "no such", "meanwhile")  # what others in a crowd may have done before
RUN = ("run", "-d", "busybox", "top")


def ask(machine: Machine, *words: str, dies_after: float = 0) -> subprocess.CompletedProcess[str]:
    """A command, which is killed after so many seconds if it has not ended by then. It fails in one line or not at all."""
    pipes: Any = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL}
    with machine.popen(*words, cwd=machine.root, **pipes) as process:
        try:
            out, err = process.communicate(timeout=dies_after or SLOW)
        except subprocess.TimeoutExpired:
            assert dies_after, f"{words} hangs"
            process.kill()
            out, err = process.communicate()
    return checked(words, process.returncode, out, err)


def at_once(
    machine: Machine, *lines: tuple[str, ...], dies_after: tuple[float, ...] = ()
) -> list[subprocess.CompletedProcess[str]]:
    """All together."""
    deaths = [*dies_after, *[0.0] * (len(lines) - len(dies_after))]
    with ThreadPoolExecutor(len(lines)) as pool:
        jobs = [
            pool.submit(ask, machine, *words, dies_after=after)
            for words, after in zip(lines, deaths, strict=True)
        ]
        return [job.result() for job in jobs]


def test_082_s17_fifty_runs_and_removals_of_the_same_names_and_random_kills(machine: Machine) -> None:
    chance = random.Random(SEED)
    print(f"MYDOCKER_SEED={SEED}")
    names = [f"n{number}" for number in range(8)]
    lines, deaths = [], []
    for _ in range(200 if ALL else 50):
        name = chance.choice(names)
        lines.append(
            ("run", "-d", "--name", name, "busybox", "top") if chance.random() < 0.6 else ("rm", "-f", name)
        )
        deaths.append(chance.uniform(0.02, 1.5) if chance.random() < 0.25 else 0.0)
    crowd = 10
    for start in range(0, len(lines), crowd):
        chosen = lines[start : start + crowd]
        done = at_once(machine, *chosen, dies_after=tuple(deaths[start : start + crowd]))
        for words, one in zip(chosen, done, strict=True):
            assert one.returncode in (0, -9) or any(why in one.stderr for why in REFUSED), (
                words,
                one,
            )
        live = machine.processes()  # looked at once: some are just ending
        if live and chance.random() < 0.5:
            machine.kill(chance.choice(live))

    machine.ok("replay", timeout=SLOW)
    found = claims.hold(machine, f"a storm [MYDOCKER_SEED={SEED}]")
    owners = [row[2] for row in found.rows]
    assert len(owners) == len(set(owners))
    for name in names:
        machine.ok("rm", "-f", name)
    claims.hold(machine, "after the storm")


def test_082_s17_of_twenty_runs_of_one_name_one_wins(machine: Machine) -> None:
    done = at_once(machine, *[("run", "-d", "--name", "k", "busybox", "top")] * 20)

    assert sorted(one.returncode for one in done) == [0, *[125] * 19]
    assert all("the name k is in use" in one.stderr for one in done if one.returncode)
    claims.hold(machine, "one name")


def test_082_s33_twenty_commits_of_one_container_are_twenty_images_and_it_runs_on(machine: Machine) -> None:
    machine.ok("run", "-d", "--name", "k", "busybox", "top")
    names = [f"copy{number}" for number in range(20)]

    done = at_once(machine, *[("commit", "k", name) for name in names])

    assert [one.returncode for one in done] == [0] * 20
    assert machine.ok("ps", "--format", "{{.State}}") == "running\n"
    assert machine.ok("exec", "k", "echo", "not frozen") == "not frozen\n"
    assert {f"{name}.tar" for name in names} <= {path.name for path in machine.root.iterdir()}
    claims.hold(machine, "twenty commits")


@pytest.mark.parametrize("pause", [0.0, 0.03, 0.1])
def test_082_stop_during_start_ends_it_or_comes_too_early(machine: Machine, pause: float) -> None:
    machine.ok("create", "--name", "k", "busybox", "top")
    with ThreadPoolExecutor(2) as pool:
        started = pool.submit(ask, machine, "start", "k")
        time.sleep(pause)  # the moment at which the stop comes, whatever the load is
        stopped = pool.submit(ask, machine, "stop", "-t", "0", "k")
        codes = (started.result().returncode, stopped.result().returncode)

    assert codes[1] == 0
    assert codes[0] in (0, 125)
    assert machine.ok("ps", "--format", "{{.State}}") in ("running\n", "stopped\n", "exited\n", "created\n")
    machine.ok("stop", "-t", "0", "k")
    machine.ok("start", "k")
    claims.hold(machine, "stop during start")


def test_082_s26_of_many_removals_all_succeed_or_find_nothing(machine: Machine) -> None:
    machine.ok("run", "-d", "--name", "k", "busybox", "top")

    done = at_once(machine, *[("rm", "-f", "k")] * 6, *[("stop", "-t", "0", "k")] * 3)

    assert [one.returncode for one in done[:6]] == [0] * 6
    for one in done[6:]:
        assert one.returncode == 0 or "no such container" in one.stderr or "cannot stop k" in one.stderr, one
    assert machine.ok("ps", "-q") == ""
    claims.hold(machine, "many removals")


def test_082_s42_exec_while_it_ends_never_hangs_and_pins_nothing(machine: Machine) -> None:
    machine.ok("run", "-d", "--name", "k", "busybox", "sleep", "0.4")

    done = at_once(machine, *[("exec", "k", "sleep", "5")] * 8)

    assert all(one.returncode for one in done)  # none of them ended by itself
    # The kernel ends them before its monitor, which may be slow, has noted that it ended.
    assert machine.ok("wait", "k") == "0\n"
    assert machine.inspect("k")["State"]["Status"] == "exited"
    machine.ok("rm", "k")
    claims.hold(machine, "exec at the end")


def test_082_s44_readers_wait_for_nobody(machine: Machine) -> None:
    machine.ok("run", "-d", "--name", "k", "busybox", "top")
    monitor = int(machine.inspect("k")["State"]["MonitorPid"])
    os.kill(monitor, 19)  # SIGSTOP: the settler holds its lock, and will not answer
    try:
        begin = time.monotonic()
        for words in (("ps",), ("inspect", "k"), ("logs", "k"), ("history", "k"), ("images",), ("why", "k")):
            machine.ok(*words)
        assert time.monotonic() - begin < 20
    finally:
        os.kill(monitor, 18)
    machine.ok("rm", "-f", "k")
