"""A process can be killed, stopped or watched at a step by its name; unarmed, everything is as if there were none."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import pytest

from effects import failpoints


class Thing:
    """Stands for the host, the effects and the journal's transactions."""

    def __init__(self) -> None:
        self.done: list[str] = []

    def make_dir(self, path: str) -> None:
        self.done.append(path)

    def exists(self, path: str) -> bool:
        return path in self.done

    def do(self, kind: str, host: Any) -> str:
        host.make_dir(kind)
        return kind

    def transaction(self) -> Thing:
        return self

    def append(self, stream: str, event: Any) -> Any:
        return event

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.done.append("written")


class Said:
    def __init__(self, tag: str, **fields: str) -> None:
        self.tag = tag
        self.__dict__.update(fields)


@pytest.fixture(autouse=True)
def disarmed() -> Iterator[None]:
    yield
    failpoints.arm("nobody", "nobody|trace|0||")
    failpoints._plans.clear()


def live(thing: Thing) -> None:
    """What a command does: an append, an effect, another append."""
    host = failpoints.changing(thing, frozenset({"make_dir"}))
    effects, journal = failpoints.naming(thing), failpoints.appending(thing)
    with journal.transaction() as tx:
        tx.append("s", Said("container.created"))
        tx.append("s", Said("effect.do", kind="directory"))
    effects.do("directory", host)
    effects.do("cgroup", host)
    with journal.transaction() as tx:
        tx.append("s", Said("effect.done", kind="directory", verb="undo"))
    with journal.transaction():
        pass  # nothing was decided: no step
    failpoints.step("publish")


def child(work: Callable[[], None]) -> int:
    """How a fork that does it ends, as os.waitstatus_to_exitcode tells it; stopped: 1000 and the signal."""
    pid = os.fork()
    if not pid:
        try:
            work()
            os._exit(0)
        finally:
            os._exit(1)
    _, status = os.waitpid(pid, os.WUNTRACED)
    if os.WIFSTOPPED(status):
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        return 1000 + os.WSTOPSIG(status)
    return os.waitstatus_to_exitcode(status)


STEPS = [
    "append container.created, do directory",
    "do directory: make_dir",
    "do cgroup: make_dir",
    "append undone directory",
    "publish",
]


def test_unarmed_nothing_is_wrapped() -> None:
    thing = Thing()
    failpoints.arm("command", None)
    failpoints.arm("command", "monitor|kill|1|publish|/dev/null")

    assert failpoints.changing(thing, frozenset({"make_dir"})) is thing
    assert failpoints.naming(thing) is thing
    assert failpoints.appending(thing) is thing
    live(thing)


def test_a_trace_names_every_step_and_disturbs_none(tmp_path: Path) -> None:
    failpoints.arm("command", f"command|trace|0||{tmp_path / 'steps'}")
    thing = Thing()
    live(thing)

    assert (tmp_path / "steps").read_text().splitlines() == [f"{os.getpid()} {step}" for step in STEPS]
    assert thing.done == ["written", "directory", "cgroup", "written", "written"]


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize(("action", "end"), [("kill", -signal.SIGKILL), ("stop", 1000 + signal.SIGSTOP)])
def test_at_each_step_it_can_be_killed_or_stopped_and_says_that_it_came_there(
    tmp_path: Path, step: str, action: str, end: int
) -> None:
    def work() -> None:
        failpoints.arm("monitor", f"monitor|{action}|1|{step}|{tmp_path / 'steps'}")
        live(Thing())

    assert child(work) == end
    assert (tmp_path / "steps").read_text().partition(" ")[2] == f"{step}\n"


def test_the_second_time_is_another_point(tmp_path: Path) -> None:
    def once() -> None:
        failpoints.arm("command", f"command|kill|2|publish|{tmp_path / 'steps'}")
        live(Thing())

    def twice() -> None:
        once()
        live(Thing())

    assert child(once) == 0
    assert child(twice) == -signal.SIGKILL
