"""`top`: a container's processes in docker's columns, or as the host's ps shows them."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import pytest

from cli.commands import top as command
from effects.processes import Process
from machine import decide
from tests.histories import container_id
from tests.inmates import Inmate, inmate
from tests.written import Written

S = 1_000_000_000
HOUR = 3600 * S
NOON = 1_700_000_000 * S  # 2023-11-14 22:13:20 UTC


@pytest.fixture
def cat() -> Iterator[Inmate]:
    """A cat in a cgroup, exec'ed."""
    with inmate("cat") as held:
        held.say(b"here\n")
        held.wait_for(b"here\n")
        yield held


def test_the_processes_are_shown_in_dockers_columns_with_the_hosts_pids(
    past: Written, cat: Inmate, capfd: pytest.CaptureFixture[str]
) -> None:
    past.lives("c1", "a", cat)

    code, lines, err = past.mydocker(capfd, "top", "c1")

    assert (code, err) == (0, "")
    assert lines[0].split() == ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]
    (row,) = (line.split() for line in lines[1:])
    assert row[:3] == ["root", str(cat.pid), str(os.getpid())]
    now = time.time()
    assert row[4] in (time.strftime("%H:%M", time.localtime(then)) for then in (now, now - 60))
    assert row[5:] == ["?", "00:00:00", "cat"]


def test_options_are_the_hosts_pss(past: Written, cat: Inmate, capfd: pytest.CaptureFixture[str]) -> None:
    past.lives("c1", "a", cat)

    _, lines, _ = past.mydocker(capfd, "top", "c1", "-o", "pid,comm")
    assert [line.split() for line in lines] == [["PID", "COMMAND"], [str(cat.pid), "cat"]]
    code, lines, err = past.mydocker(capfd, "top", "c1", "-o", "nonsense")
    assert (code, lines) == (125, [])
    assert err.startswith("mydocker: cannot list the processes: ps: ")
    assert err.count("\n") == 1


def test_a_name_that_could_steer_a_terminal_is_escaped(
    past: Written, capfd: pytest.CaptureFixture[str]
) -> None:
    with inmate("sh", "-c", "read line", "\x1b[2J") as held:
        past.lives("c1", "a", held)
        own = past.mydocker(capfd, "top", "c1")[1]
        ps = past.mydocker(capfd, "top", "c1", "-o", "args")[1]

    assert "\x1b" not in "".join([*own, *ps])
    assert own[1].endswith("\\x1b[2J")


def test_one_that_does_not_run_is_refused_with_what_it_allows(
    past: Written, capfd: pytest.CaptureFixture[str]
) -> None:
    past.born("c1", "a")

    code, lines, err = past.mydocker(capfd, "top", "c1")

    assert (code, lines) == (125, [])
    assert err.startswith("mydocker: cannot top c1: it is created (which allows: start")
    assert past.mydocker(capfd, "top", "none")[0] == 125


def test_one_whose_end_nobody_has_noted_yet_does_not_run(
    past: Written, capfd: pytest.CaptureFixture[str]
) -> None:
    with inmate("cat") as held:
        past.lives("c1", "a", held)

    code, _, err = past.mydocker(capfd, "top", "c1")

    assert code == 125
    assert "it is exited" in err


def test_a_paused_one_is_shown(past: Written, cat: Inmate, capfd: pytest.CaptureFixture[str]) -> None:
    past.lives("c1", "a", cat)
    past.decide(decide.pause, "c1")
    past.settle(f"container/{container_id('a')}")

    assert len(past.mydocker(capfd, "top", "c1")[1]) == 2


def process(**changes: object) -> Process:
    values = {"pid": 7, "ppid": 1, "uid": 0, "age": HOUR, "cpu": 0, "tty": "", "command": "sh"}
    return Process(**(values | changes))  # type: ignore[arg-type]  # each of its own kind


@pytest.mark.parametrize(
    ("cpu", "age", "share"),
    [(0, HOUR, "0"), (HOUR // 2, HOUR, "50"), (5 * HOUR, HOUR, "99"), (1, 0, "0")],
)
def test_column_c_is_the_share_of_its_life_that_it_ran(cpu: int, age: int, share: str) -> None:
    assert command.row(process(cpu=cpu, age=age), NOON)[3] == share


@pytest.mark.parametrize(
    ("age", "shown"),
    [(HOUR, "21:13"), (23 * HOUR, "Nov13"), (24 * HOUR, "Nov13"), (365 * 24 * HOUR, "2022")],
)
def test_the_start_is_a_clock_a_day_or_a_year(age: int, shown: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    try:
        assert command.start_time(NOON - age, NOON) == shown
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize(
    ("used", "shown"),
    [(S - 1, "00:00:00"), (61 * S, "00:01:01"), (25 * HOUR, "1-01:00:00"), (23 * HOUR, "23:00:00")],
)
def test_processor_time_is_shown_as_ps_shows_it(used: int, shown: str) -> None:
    assert command.clock(used) == shown
