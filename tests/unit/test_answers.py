"""No command waits for ever for a monitor or joiner that is stopped, or hangs."""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from cli import answers, attachment, handover
from cli.answers import NoAnswer, await_packet
from cli.commands.exec import _await_started
from cli.early import Companion
from cli.settler import await_start
from effects.control import CLOSED, Connection


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "ANSWER", 0.05)


@pytest.fixture
def silent() -> Iterator[Connection]:
    """One whose other side lives and says nothing."""
    ours, theirs = handover.pair()
    yield Connection(ours)
    ours.close()
    theirs.close()


def test_attaching_gives_up_and_names_the_process(hurried: None, silent: Connection) -> None:
    with pytest.raises(NoAnswer, match=r"process 4711 has not answered.*kill -CONT 4711"):
        attachment.attach(silent, stdin=False, pid=4711)


def test_a_process_that_nobody_knows_is_not_called_process_0(hurried: None, silent: Connection) -> None:
    with pytest.raises(NoAnswer, match=r"its monitor has not answered in 0 s$"):
        await_packet(silent, "cannot attach", 0)


def test_one_that_has_gone_is_no_reason_to_wait() -> None:
    ours, theirs = handover.pair()
    theirs.close()

    assert await_packet(Connection(ours), "cannot attach", 1)[0] == CLOSED
    ours.close()


def test_a_joiner_that_says_that_it_waits_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A `commit` may hold the container still for longer than anybody would wait for an answer: each has all the time."""
    granted: list[int] = []

    class Poll:
        def __init__(self) -> None:
            self._real = select.poll()
            self.register = self._real.register

        def poll(self, milliseconds: int) -> list[tuple[int, int]]:
            granted.append(milliseconds)
            return self._real.poll(milliseconds)

    monkeypatch.setattr(answers, "select", SimpleNamespace(poll=Poll, POLLIN=select.POLLIN))
    ours, theirs = handover.pair()
    companion = SimpleNamespace(connection=Connection(ours), pid=4711)
    for _ in range(4):
        Connection(theirs).send({"waiting": True})
    Connection(theirs).send({"started": {}})
    assert _await_started(companion, "c1") == -1  # type: ignore[arg-type]  # a Companion's two fields
    assert granted == [answers.ANSWER * 1000] * 5
    ours.close()
    theirs.close()


@pytest.mark.root
def test_a_joiner_that_is_stopped_is_named(hurried: None) -> None:
    companion = Companion("effects.joiner")
    try:
        os.kill(companion.pid, signal.SIGSTOP)
        with pytest.raises(NoAnswer, match=f"cannot exec in c1: process {companion.pid} has not answered"):
            _await_started(companion, "c1")
    finally:
        os.kill(companion.pid, signal.SIGKILL)
        os.waitpid(companion.pid, 0)
        companion.close()


def test_a_monitor_that_died_before_it_was_given_anything_is_told_as_dead() -> None:
    ours, theirs = handover.pair()
    theirs.close()

    handover.give(Connection(ours), {"container": {}}, [])

    assert await_start(Connection(ours), 4711) == {"event": "lost", "message": "monitor 4711 died"}
    ours.close()
