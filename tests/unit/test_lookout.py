"""A command asks its waiting monitor what the kernel has, and is given a container's request afterwards all the same."""

from __future__ import annotations

import contextlib
import os
import threading
from typing import TYPE_CHECKING, Any

import pytest

from cli import handover, lookout
from cli.lookout import Lookout
from effects.control import Connection
from effects.handler import Effects
from tests.fakes import FakeHost

if TYPE_CHECKING:
    from collections.abc import Iterator

ROWS: list[list[Any]] = [["thing", {"is": "there"}, {}], ["thing", {"is": "there"}, {"fact": 1}]]


class Thing:
    """Is there if its specification says so, and cannot be looked at if that says so."""

    def probe(self, spec: dict[str, Any], _host: object) -> dict[str, Any] | None:
        if spec["is"] == "unknown":
            raise OSError(5, "Input/output error")
        return {} if spec["is"] == "there" else None

    def do(self, spec: dict[str, Any], host: object) -> dict[str, Any]:
        raise AssertionError

    def undo(self, spec: dict[str, Any], facts: dict[str, Any], host: object) -> None:
        raise AssertionError


class Companion:
    """As `cli.early` has it: our end, and the monitor's."""

    def __init__(self) -> None:
        ours, self.theirs = handover.pair()
        self.connection = Connection(ours)

    def monitor(self) -> threading.Thread:
        """Waits for its container in another thread, looking where it is asked to."""
        effects = Effects({"thing": Thing()}, FakeHost())
        self.request: dict[str, Any] = {}

        def wait() -> None:
            try:
                self.request, _ = handover.receive(
                    self.theirs, lambda rows, answer: lookout.look(effects, rows, answer)
                )
            except handover.NeverMind:
                return

        thread = threading.Thread(target=wait)
        thread.start()
        return thread

    def ask(self, rows: list[list[Any]]) -> Lookout:
        asking: Any = self
        return Lookout(asking, rows)


def pipes() -> set[str]:
    """Those that this process has open."""
    found = set()
    for descriptor in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):  # the listing's own
            found.add(os.readlink(f"/proc/self/fd/{descriptor}"))
    return {name for name in found if name.startswith("pipe:")}


@pytest.fixture
def companion() -> Iterator[Companion]:
    made, before = Companion(), pipes()
    yield made
    assert pipes() == before
    made.connection.close()
    made.theirs.close()


def served(companion: Companion, asked: list[list[Any]], then: list[list[Any]]) -> bool:
    """What it sees, and that the hand-over follows."""
    thread = companion.monitor()
    seen = companion.ask(asked).sees(then)
    handover.give(companion.connection, {"container": "c"}, [])
    thread.join()
    assert companion.request == {"container": "c"}
    return seen


def test_what_is_there_is_seen(companion: Companion) -> None:
    assert served(companion, ROWS, ROWS)


@pytest.mark.parametrize("state", ["gone", "unknown"])
def test_what_is_gone_or_cannot_be_told_is_not_seen(companion: Companion, state: str) -> None:
    rows = [*ROWS, ["thing", {"is": state}, {}]]

    assert not served(companion, rows, rows)


def test_an_answer_to_another_question_is_none(companion: Companion) -> None:
    assert not served(companion, ROWS, ROWS[:1])


def test_a_monitor_that_has_died_sees_nothing(companion: Companion) -> None:
    companion.theirs.close()

    assert not companion.ask(ROWS).sees(ROWS)


def test_a_monitor_that_hangs_is_not_waited_for(
    companion: Companion, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lookout, "_PATIENCE", 10)

    assert not companion.ask(ROWS).sees(ROWS)


def test_a_command_that_has_gone_does_not_hurt_the_monitor() -> None:
    reading, writing = os.pipe()
    os.close(reading)

    lookout.look(Effects({"thing": Thing()}, FakeHost()), ROWS, writing)
