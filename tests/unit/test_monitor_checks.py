"""The health check in its monitor's loop: when it probes, what it waits for, and what it takes over."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from cli import early, health
from cli.health import Checks
from effects import probelog, process_file
from eventstore.errors import JournalError
from machine import decide
from machine.subjects import Container
from tests.histories import History, alive, container_id

SECOND = 1_000_000_000
ID = container_id("a")
CHECK = {"interval": 10 * SECOND, "timeout": 2 * SECOND, "retries": 2}


class FakeProbe:
    """Ends when the test says so."""

    made: ClassVar[list[FakeProbe]] = []
    refusal: ClassVar[OSError | None] = None

    def __init__(self, *_: object) -> None:
        if FakeProbe.refusal is not None:
            raise FakeProbe.refusal
        self.code, self.output = 0, "said"
        self.over = self.killed = self.closed = False
        FakeProbe.made.append(self)

    def end(self, code: int) -> None:
        self.code, self.over = code, True

    def fds(self) -> list[int]:
        return [99]

    def kill(self) -> None:
        self.killed = True

    def close(self) -> None:
        self.closed = True


class Bench:
    """A monitor's half of a running container; `now` in seconds after its start."""

    def __init__(self, base: Path, **check: Any) -> None:
        self.directory = base
        self.history: History = alive(health={**CHECK, **check})
        self.full = False
        (base / "process-0.json").write_bytes(process_file.encode(["sh"], {"A": "b"}, ["true"]))
        self.checks = self.monitor()

    @property
    def c(self) -> Container:
        return self.history.world.containers[ID]

    def monitor(self) -> Checks:
        """A new one, for the same container."""
        places = SimpleNamespace(container=lambda _id: str(self.directory))
        engine: Any = SimpleNamespace(places=places, decide=self.decide, settle=lambda *_, **__: None)
        host: Any = None  # asked by probes only
        return Checks(engine, self.c, host, lambda: None)

    def decide(self, verb: Callable[..., decide.Decision], *args: Any, why: str, **more: Any) -> object:
        if self.full:
            raise JournalError
        return self.history.decide_as(why, verb, *args, **more)

    def at(self, now: float, *, still: bool = False) -> None:
        self.checks.tick(self.c.started_up + int(now * SECOND), still=still)

    def due(self, *, still: bool = False) -> float:
        return (self.checks.due(still=still) - self.c.started_up) / SECOND

    @property
    def log(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = probelog.read(str(self.directory), self.c.started_up).get("log", [])
        return found


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    FakeProbe.made.clear()
    FakeProbe.refusal = None
    monkeypatch.setattr(health, "Probe", FakeProbe)
    monkeypatch.setattr(health, "sweep", lambda *_: None)
    monkeypatch.setattr(early, "Companion", lambda _: SimpleNamespace(connection=None, pid=0))
    return Bench(tmp_path)


def probe() -> FakeProbe:
    return FakeProbe.made[-1]


def test_the_first_probe_comes_an_interval_after_the_start_and_the_next_one_after_its_end(
    bench: Bench,
) -> None:
    bench.at(0)
    assert (FakeProbe.made, bench.due()) == ([], 10)
    bench.at(10)
    assert (len(FakeProbe.made), bench.due()) == (1, 12)  # its timeout
    probe().end(0)
    bench.at(11)

    assert (bench.c.health, probe().closed, bench.due()) == ("healthy", True, 21)


def test_a_probe_that_is_late_is_killed_and_counted_once_and_the_next_waits_for_its_end(bench: Bench) -> None:
    bench.at(0)
    bench.at(10)
    bench.at(12)
    assert (probe().killed, bench.checks.due(still=False)) == (True, 0)
    bench.at(60)
    assert len(FakeProbe.made) == 1  # there is never more than one
    probe().end(137)
    bench.at(61)

    assert [(entry["code"], entry["output"]) for entry in bench.log] == [(-1, "not ended within 2 s: said")]
    assert (bench.c.health, bench.due()) == ("starting", 71)


def test_one_without_a_cgroup_is_not_probed_and_asked_again_an_interval_later(bench: Bench) -> None:
    bench.at(0)
    row = bench.c.holding("cgroup")
    assert row is not None
    row.facts = {}  # it was lost, and could not be made anew
    bench.at(10)

    assert (FakeProbe.made, bench.due()) == ([], 20)


def test_a_frozen_container_is_not_probed_and_what_a_probe_had_left_it_has_again(bench: Bench) -> None:
    bench.at(0)
    bench.at(10)
    bench.at(11, still=True)
    assert bench.checks.due(still=True) == 0
    bench.at(100)

    assert (probe().killed, bench.due()) == (False, 102)
    probe().end(0)
    bench.at(101, still=True)
    bench.at(200, still=True)
    assert len(FakeProbe.made) == 1


def test_a_probe_that_cannot_be_begun_is_a_failure_that_says_why(bench: Bench) -> None:
    FakeProbe.refusal = OSError(24, "Too many open files")
    bench.at(0)
    bench.at(10)
    bench.at(20)

    assert [entry["output"] for entry in bench.log] == ["cannot be run: Too many open files"] * 2
    assert bench.c.health == "unhealthy"


def test_only_the_last_five_probes_are_kept(bench: Bench) -> None:
    bench.at(0)
    for i in range(1, 9):
        bench.at(i * 10)
        probe().output = str(i)
        probe().end(0)
        bench.at(i * 10)

    assert [entry["output"] for entry in bench.log] == ["4", "5", "6", "7", "8"]
    assert sum(event.tag == "container.health_changed" for event in bench.history.events) == 1


def test_on_a_full_disk_the_status_is_noted_as_soon_as_there_is_room(bench: Bench) -> None:
    bench.full = True
    bench.at(0)
    bench.at(10)
    probe().end(0)
    bench.at(11)
    assert bench.c.health == "starting"
    bench.full = False
    bench.at(21)
    probe().end(0)
    bench.at(22)

    assert bench.c.health == "healthy"


def test_a_successor_goes_on_counting_where_the_last_monitor_was(bench: Bench) -> None:
    bench.at(0)
    bench.at(10)
    probe().end(1)
    bench.at(10)
    bench.checks = bench.monitor()
    bench.at(12)
    assert bench.due() == 20
    bench.at(20)
    probe().end(1)
    bench.at(20)

    assert (bench.c.health, len(bench.log)) == ("unhealthy", 2)


def test_a_new_run_begins_anew(bench: Bench) -> None:
    bench.at(0)
    bench.at(10)
    probe().end(1)
    bench.at(10)
    stream = f"container/{ID}"
    bench.history.decide(decide.note_exit, ID, code=0)
    bench.checks.end()
    bench.history.settle(stream)
    bench.history.decide(decide.start, "c1")
    bench.history.settle(stream)
    bench.at(0)

    assert (bench.due(), bench.log) == (10, [])
    bench.at(10)
    probe().end(1)
    bench.at(10)
    assert (bench.c.health, len(bench.log)) == ("starting", 1)


@pytest.mark.parametrize("status", ["stopping", "exited"])
def test_the_end_of_a_probe_is_heard_in_every_status_and_noted_only_while_it_runs(
    bench: Bench, status: str
) -> None:
    """Else the monitor would wake up for it again and again."""
    bench.at(0)
    bench.at(10)
    bench.history.decide(decide.stop, "c1")
    if status == "exited":
        bench.history.decide(decide.note_exit, ID, code=0)
    probe().end(1)
    bench.at(11)

    assert (bench.checks.fds(), bench.checks.due(still=False), bench.log) == ([], 0, [])
