"""The foreground relay: all output once and in order, whatever its reader does; and all input."""

from __future__ import annotations

import os
import shutil
import threading
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from cli import attachment, relay
from cli.relay import Outcome
from tests.monitors import MB, FakeMonitor, Foreground, Reader, Start, pattern


def run(monitor: FakeMonitor, ours: Foreground, *, stdin: bool = False, **options: Any) -> Outcome:
    attached = attachment.attach(monitor.connection, stdin=stdin)
    return relay.relay(monitor.connection, attached, stdin=stdin, fds=ours.fds, **options)


def test_both_streams_come_whole_and_then_the_exit_code(start: Start, ours: Foreground) -> None:
    monitor = start()
    attached = attachment.attach(monitor.connection, stdin=False)
    os.write(monitor.stdout, b"out\0\xff\n")
    os.write(monitor.stderr, b"err\n")
    monitor.exit(7)
    outcome = relay.relay(monitor.connection, attached, stdin=False, fds=ours.fds)
    assert (outcome.kind, outcome.code) == ("exit", 7)
    assert outcome.at == {"stdout": 6, "stderr": 4}
    assert ours.finish() == (b"out\0\xff\n", b"err\n")


def test_what_was_said_before_is_not_repeated(start: Start, ours: Foreground) -> None:
    monitor = start()
    monitor.say(b"before\n")
    attached = attachment.attach(monitor.connection, stdin=False)
    monitor.say(b"after\n")
    monitor.exit(0)
    relay.relay(monitor.connection, attached, stdin=False, fds=ours.fds)
    assert ours.finish()[0] == b"after\n"


def test_a_flood_comes_whole_though_it_is_rotated_and_removed_at_once(
    start: Start, ours: Foreground, tmp_path: Path
) -> None:
    """As `run --rm` does: when the exit is told nothing is left but our descriptors."""
    monitor = start(max_size=MB, keep=2)
    data = pattern(7 * MB + 8)
    attached = attachment.attach(monitor.connection, stdin=False)
    monitor.say(data)
    monitor.do(lambda: shutil.rmtree(tmp_path / "log"))
    monitor.exit(0)
    assert relay.relay(monitor.connection, attached, stdin=False, fds=ours.fds).kind == "exit"
    assert ours.finish() == (data, b"")


def test_a_slow_reader_slows_a_paced_container_down_and_gets_every_byte(
    start: Start, slow: Foreground, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "_HOLD", 4 * MB)
    monkeypatch.setattr(relay, "_GO", MB)
    monitor = start(max_size=MB, keep=2)
    data = pattern(48 * MB)

    def container() -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(monitor.stdout, rest[:65536]) :]
        monitor.exit(3)

    def reader() -> None:
        assert monitor.was_held.wait(60)
        slow.out.go.set()

    threads = [threading.Thread(target=work, daemon=True) for work in (container, reader)]
    attached = attachment.attach(monitor.connection, stdin=False)
    for thread in threads:
        thread.start()
    outcome = relay.relay(monitor.connection, attached, stdin=False, pace=True, fds=slow.fds)
    assert (outcome.kind, outcome.code) == ("exit", 3)
    out, err = slow.finish()
    assert (out == data, err) == (True, b"")


def test_without_pace_a_reader_that_stands_still_is_told_what_it_missed(
    start: Start, slow: Foreground
) -> None:
    """The container goes on meanwhile, and unlinked log files do not pile up."""
    monitor = start(max_size=MB, keep=2)
    data = pattern(20 * MB)
    attached = attachment.attach(monitor.connection, stdin=False)
    monitor.say(data)
    monitor.do(slow.out.go.set)
    monitor.exit(0)
    outcome = relay.relay(monitor.connection, attached, stdin=False, fds=slow.fds)
    assert outcome.kind == "exit"
    out, err = slow.finish()
    missing = len(data) - len(out)
    assert missing > 0
    assert err == f"mydocker: {missing} bytes of stdout are missing: they were read too slowly\n".encode()
    cells = [int(out[at : at + 8]) for at in range(0, len(out), 8)]
    assert (cells[0], cells[-1]) == (0, len(data) // 8 - 1)
    assert sum(after != before + 1 for before, after in pairwise(cells)) == 1, "one gap, and nothing else"


def test_bytes_that_the_disk_cost_are_told(start: Start, ours: Foreground) -> None:
    monitor = start()
    attached = attachment.attach(monitor.connection, stdin=False)
    monitor.do(lambda: monitor.stdio.logs["stdout"]._lose(17))
    monitor.exit(0)
    relay.relay(monitor.connection, attached, stdin=False, fds=ours.fds)
    assert ours.finish()[1] == b"mydocker: 17 bytes of stdout are missing: the disk took no more\n"


def test_stdin_and_its_end_reach_the_container(start: Start, ours: Foreground) -> None:
    monitor = start(stdin=True)
    data = pattern(3 * MB)

    def typist() -> None:
        os.write(ours.typist, data)
        ours.shut(ours.typist)

    received = Reader(monitor.stdin)
    monitor.stdin = -1
    received.start()

    def container() -> None:
        received.join(60)
        monitor.exit(0)

    for work in (typist, container):
        threading.Thread(target=work, daemon=True).start()
    assert run(monitor, ours, stdin=True).kind == "exit"
    assert bytes(received.data) == data


def test_a_monitor_that_reads_no_stdin_gets_it_later_and_is_not_waited_for(
    start: Start, ours: Foreground
) -> None:
    monitor = start(stdin=True)
    monitor.deaf = True
    data = pattern(2 * MB)
    received = Reader(monitor.stdin)
    monitor.stdin = -1
    received.start()

    def typist() -> None:
        os.write(ours.typist, data[: MB // 2])
        monitor.say(b"still talking\n")
        monitor.do(lambda: setattr(monitor, "deaf", False))
        os.write(ours.typist, data[MB // 2 :])
        ours.shut(ours.typist)
        received.join(60)
        monitor.exit(0)

    threading.Thread(target=typist, daemon=True).start()
    assert run(monitor, ours, stdin=True).kind == "exit"
    assert bytes(received.data) == data
    assert ours.finish()[0] == b"still talking\n"


def test_without_stdin_ours_is_left_alone(start: Start, ours: Foreground) -> None:
    monitor = start(stdin=True)
    os.write(ours.typist, b"for somebody else")
    attached = attachment.attach(monitor.connection, stdin=False)
    monitor.exit(0)
    relay.relay(monitor.connection, attached, stdin=False, fds=ours.fds)
    assert os.read(ours.stdin, 100) == b"for somebody else"


def test_a_container_that_closes_its_stdin_gets_no_more_of_ours(start: Start, ours: Foreground) -> None:
    monitor = start(stdin=True)
    os.close(monitor.stdin)
    monitor.stdin = -1
    os.write(ours.typist, b"unread")
    attached = attachment.attach(monitor.connection, stdin=True)

    def later() -> None:
        assert monitor.hears("I", b"unread")
        monitor.say(b"told by now\n")
        assert ours.out.some.wait(60)
        os.write(ours.typist, b"kept")
        monitor.exit(0)

    threading.Thread(target=later, daemon=True).start()
    relay.relay(monitor.connection, attached, stdin=True, fds=ours.fds)
    assert os.read(ours.stdin, 100) == b"kept"
