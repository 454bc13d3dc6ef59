"""A verb for many containers: their monitors carry it out at the same time, and are told of in the order of the names."""

from __future__ import annotations

import subprocess

import pytest

from tests.system.conftest import PROGRAM, Docker

NAMES = ["t053a", "t053b", "t053c"]


@pytest.fixture
def stubborn(series: Docker) -> Docker:
    """Three containers that do not hear SIGTERM."""
    for name in NAMES:
        series.ok("run", "-d", "--name", name, "-net", "none", "busybox", "sleep", "1000")
    return series


def order(docker: Docker, *tags: str) -> list[str]:
    return [event["t"] for event in docker.events() if event["t"] in tags]


def test_053_all_are_asked_to_stop_before_the_first_has_ended(stubborn: Docker) -> None:
    assert stubborn.ok("stop", "-t", "1", *NAMES).split() == NAMES

    asked, ended = "container.stop_requested", "container.exited"
    assert order(stubborn, asked, ended) == [asked] * 3 + [ended] * 3


def test_053_a_wrong_name_among_many_keeps_none_of_the_others(stubborn: Docker) -> None:
    done = stubborn("rm", "-f", NAMES[0], "t053x", NAMES[1], NAMES[2])
    assert (done.returncode, done.stdout.split()) == (0, [NAMES[0], "t053x", *NAMES[1:]])  # as docker's -f
    assert stubborn.ok("ps", "-aq") == ""


def test_053_each_failure_is_told_and_gives_the_code(stubborn: Docker) -> None:
    done = stubborn("kill", NAMES[0], "t053x", NAMES[1])

    assert (done.returncode, done.stdout.split()) == (125, NAMES[:2])
    assert done.stderr.count("no such container: t053x") == 1


def test_053_many_start_again_together(stubborn: Docker) -> None:
    pids = [stubborn.inspect(name)["State"]["Pid"] for name in NAMES]
    assert stubborn.ok("restart", "-t", "1", *NAMES).split() == NAMES

    states = [stubborn.inspect(name)["State"] for name in NAMES]
    assert all(state["Running"] for state in states)
    assert not {state["Pid"] for state in states} & set(pids)


def test_053_a_name_twice_ends_once(stubborn: Docker) -> None:
    assert stubborn.ok("stop", "-t", "1", NAMES[0], NAMES[0]).split() == [NAMES[0]] * 2
    assert order(stubborn, "container.exited") == ["container.exited"]


def test_053_a_caller_who_leaves_a_thousand_files_open_is_served(series: Docker) -> None:
    script = 'ulimit -Sn 2048; for n in $(seq 10 1500); do eval "exec $n</dev/null"; done; "$@"'
    for words in (
        ["run", "-d", "--name", "t053f", "-net", "none", "busybox", "sleep", "1000"],
        ["stop", "-t", "0", "t053f"],
    ):
        done = subprocess.run(
            ["bash", "-c", script, "bash", *series.prefix, PROGRAM, *words],
            env=series.env,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
