"""How a relay ends: signals, closed outputs, dead monitors, refusals."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import pytest

from cli import attachment, relay
from cli.attachment import NotAttached
from tests.monitors import MB, FakeMonitor, Foreground, Start, once_it_runs


@pytest.mark.parametrize("signo", relay.FORWARDED)
def test_signals_go_to_the_container_and_handlers_come_back(
    start: Start, ours: Foreground, signo: signal.Signals
) -> None:
    monitor, before = start(), signal.getsignal(signo)
    got: list[int] = []

    def pass_on(number: int) -> None:
        got.append(number)
        monitor.exit(128 + number)

    attached = attachment.attach(monitor.connection, stdin=False)
    once_it_runs(monitor, ours, lambda: os.kill(os.getpid(), signo))
    outcome = relay.relay(monitor.connection, attached, stdin=False, signal_container=pass_on, fds=ours.fds)
    assert (outcome.code, got) == (128 + signo, [signo])
    assert signal.getsignal(signo) == before


def test_an_ignored_signal_is_not_forwarded(start: Start, ours: Foreground) -> None:
    """nohup: the container must not hear of the hang-up either."""
    monitor, before = start(), signal.signal(signal.SIGHUP, signal.SIG_IGN)
    got: list[int] = []
    attached = attachment.attach(monitor.connection, stdin=False)

    def act() -> None:
        os.kill(os.getpid(), signal.SIGHUP)
        os.kill(os.getpid(), signal.SIGUSR1)

    def pass_on(number: int) -> None:
        got.append(number)
        monitor.exit(0)

    once_it_runs(monitor, ours, act)
    relay.relay(monitor.connection, attached, stdin=False, fds=ours.fds, signal_container=pass_on)
    assert got == [signal.SIGUSR1]
    assert signal.signal(signal.SIGHUP, before) == signal.SIG_IGN


def test_after_the_exit_a_signal_ends_the_wait_for_a_reader_that_stands_still(
    start: Start, slow: Foreground
) -> None:
    monitor = start()
    attached = attachment.attach(monitor.connection, stdin=False)
    monitor.say(b"to stderr", "stderr")
    monitor.say(bytes(4 * MB))
    monitor.exit(5)

    def act() -> None:
        assert slow.err.some.wait(60)
        monitor.join(60)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=act, daemon=True).start()
    outcome = relay.relay(
        monitor.connection, attached, stdin=False, fds=slow.fds, signal_container=lambda _: None
    )
    assert (outcome.kind, outcome.code) == ("exit", 5)
    assert outcome.at["stdout"] < 4 * MB


def test_a_closed_stdout_ends_the_relay_quietly_and_not_the_container(start: Start, tmp_path: Path) -> None:
    """As in `run ... | head -1`."""
    monitor = start()
    attached = attachment.attach(monitor.connection, stdin=False)
    reader, writer = os.pipe()
    with (tmp_path / "err").open("wb") as err:
        os.close(reader)
        monitor.say(b"line\n")
        outcome = relay.relay(monitor.connection, attached, stdin=False, fds=(0, writer, err.fileno()))
    assert (outcome.kind, outcome.code) == ("closed", 141)
    assert (tmp_path / "err").read_bytes() == b""
    os.close(writer)
    monitor.connection.close()
    monitor.say(b"goes on\n")
    monitor.exit(0)
    monitor.join(60)
    assert (tmp_path / "log" / "stdout").read_bytes() == b"line\ngoes on\n"


def test_a_closed_stderr_loses_only_itself(start: Start, ours: Foreground) -> None:
    monitor = start()
    attached = attachment.attach(monitor.connection, stdin=False)
    reader, writer = os.pipe()
    os.close(reader)
    monitor.say(b"nobody hears\n", "stderr")
    monitor.say(b"heard\n")
    monitor.exit(0)
    outcome = relay.relay(monitor.connection, attached, stdin=False, fds=(ours.stdin, ours.stdout, writer))
    assert outcome.kind == "exit"
    assert ours.finish()[0] == b"heard\n"
    os.close(writer)


def test_an_output_that_was_never_open_is_no_error(start: Start, ours: Foreground) -> None:
    """As in `run ... >&-`."""
    monitor = start()
    attached = attachment.attach(monitor.connection, stdin=False)
    monitor.say(b"dropped\n")
    monitor.exit(4)
    closed = os.dup(1)
    os.close(closed)
    outcome = relay.relay(monitor.connection, attached, stdin=False, fds=(ours.stdin, closed, ours.stderr))
    assert (outcome.kind, outcome.code) == ("exit", 4)


def test_a_killed_monitor_is_lost_and_the_next_one_goes_on_where_it_ended(
    start: Start, ours: Foreground, tmp_path: Path
) -> None:
    monitor = start()
    attached = attachment.attach(monitor.connection, stdin=False)
    monitor.say(b"first\n")
    monitor.die()
    outcome = relay.relay(monitor.connection, attached, stdin=False, fds=ours.fds)
    assert (outcome.kind, outcome.at) == ("lost", {"stdout": 6, "stderr": 0})
    monitor.close()
    for fifo in ("stdout", "stderr"):
        (tmp_path / fifo).unlink()
    (tmp_path / "log").rename(tmp_path / "old")
    successor = FakeMonitor(tmp_path)
    for name in os.listdir(tmp_path / "old"):
        (tmp_path / "old" / name).replace(tmp_path / "log" / name)
    successor.stdio.logs["stdout"].close()
    successor.stdio.logs["stdout"].__init__(f"{tmp_path}/log", "stdout")  # type: ignore[misc] # on the old log
    successor.start()
    successor.say(b"second\n")
    attached = attachment.attach(successor.connection, stdin=False, start=outcome.at)
    successor.exit(0)
    assert relay.relay(successor.connection, attached, stdin=False, fds=ours.fds).kind == "exit"
    assert ours.finish()[0] == b"first\nsecond\n"
    successor.close()


def test_who_cannot_attach_is_told_why(start: Start) -> None:
    monitor = start()
    monitor.exit(0)
    monitor.join(60)
    with pytest.raises(NotAttached, match=r"cannot attach: (the container has exited|the monitor has gone)"):
        attachment.attach(monitor.connection, stdin=False)
