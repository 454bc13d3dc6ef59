"""The relay between two terminals: keys pass raw, sizes are passed on, the detach keys leave the container alone."""

from __future__ import annotations

import os
import pty
import signal
import termios
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cli import attachment, relay
from cli.relay import Outcome
from effects.stdio import open_slave
from tests.monitors import FakeMonitor, Screen, set_size

P, Q = b"\x10", b"\x11"


@pytest.fixture
def user() -> Iterator[tuple[int, int, Screen]]:
    """Where the user types; our terminal; what is shown there."""
    master, slave = pty.openpty()
    set_size(slave, 30, 100)
    screen = Screen(master)
    screen.start()
    yield master, slave, screen
    os.close(slave)
    screen.join(60)
    os.close(master)


@pytest.fixture
def container(tmp_path: Path) -> Iterator[tuple[FakeMonitor, int]]:
    """A monitor, and the terminal as its container has it: as it was made, with echo and all."""
    master, slave = pty.openpty()
    monitor = FakeMonitor(tmp_path, master=master)
    monitor.start()
    yield monitor, slave
    os.close(slave)
    monitor.close()


Relay = Callable[..., Outcome]


@pytest.fixture
def joined(container: tuple[FakeMonitor, int], user: tuple[int, int, Screen]) -> Relay:
    """Runs the relay while `meanwhile` runs in another thread, from when the relay has shown something."""
    monitor, slave = container

    def run(meanwhile: Callable[[], None], **options: Any) -> Outcome:
        def work() -> None:
            assert user[2].shows(b"$ ")
            meanwhile()

        attached = attachment.attach(monitor.connection, stdin=True)
        assert attached.tty
        os.write(slave, b"$ ")
        threading.Thread(target=work, daemon=True).start()
        return relay.relay(monitor.connection, attached, stdin=True, fds=(user[1],) * 3, **options)

    return run


def test_keys_reach_the_program_and_what_it_says_is_shown(
    container: tuple[FakeMonitor, int], user: tuple[int, int, Screen], joined: Relay
) -> None:
    monitor, slave = container
    got: list[bytes] = []

    def meanwhile() -> None:
        os.write(user[0], b"echo\r")
        got.append(os.read(slave, 100))
        os.write(slave, b"an\nswer\n")
        assert user[2].shows(b"swer\r\n")
        monitor.exit(9)

    before = termios.tcgetattr(user[1])
    outcome = joined(meanwhile)
    assert (outcome.kind, outcome.code) == ("exit", 9)
    assert got == [b"echo\n"]
    assert user[2].shown == b"$ echo\r\nan\r\nswer\r\n", (
        "echoed and translated once, by the container's terminal"
    )
    assert termios.tcgetattr(user[1]) == before


def test_control_c_is_a_key_for_the_container_not_a_signal_for_us(
    container: tuple[FakeMonitor, int], user: tuple[int, int, Screen], joined: Relay
) -> None:
    monitor, slave = container
    mode = termios.tcgetattr(slave)
    mode[3] &= ~(termios.ICANON | termios.ISIG)
    termios.tcsetattr(slave, termios.TCSANOW, mode)
    got: list[bytes] = []

    def meanwhile() -> None:
        os.write(user[0], b"\x03")
        got.append(os.read(slave, 100))
        monitor.exit(0)

    assert joined(meanwhile, signal_container=lambda _: pytest.fail("a signal")).kind == "exit"
    assert got == [b"\x03"]


@pytest.mark.parametrize("reads", [[P + Q], [P, Q]])
def test_the_detach_keys_leave_the_container_running(
    container: tuple[FakeMonitor, int], user: tuple[int, int, Screen], joined: Relay, reads: list[bytes]
) -> None:
    monitor, slave = container

    def meanwhile() -> None:
        os.write(user[0], b"typed\r")
        assert os.read(slave, 100) == b"typed\n"
        for keys in reads:
            os.write(user[0], keys)

    before = termios.tcgetattr(user[1])
    outcome = joined(meanwhile, detach_keys=P + Q)
    assert (outcome.kind, outcome.code) == ("detached", 0)
    assert termios.tcgetattr(user[1]) == before
    monitor.connection.close()
    os.write(slave, b"goes on")
    monitor.exit(0)
    monitor.join(60)
    assert monitor.stdio.ends()["stdout"] > outcome.at["stdout"]


def test_other_detach_keys_can_be_chosen_and_a_held_back_key_is_sent_on(
    container: tuple[FakeMonitor, int], user: tuple[int, int, Screen], joined: Relay
) -> None:
    _, slave = container
    got: list[bytes] = []

    def meanwhile() -> None:
        os.write(user[0], P + Q + b"~\r")
        got.append(os.read(slave, 100))
        os.write(user[0], b"~.")

    mode = termios.tcgetattr(slave)
    mode[3] &= ~termios.IEXTEN
    mode[0] &= ~termios.IXON
    termios.tcsetattr(slave, termios.TCSANOW, mode)
    assert joined(meanwhile, detach_keys=b"~.").kind == "detached"
    assert got == [P + Q + b"~\n"]


def test_the_size_is_passed_on_at_the_start_and_at_each_change(
    container: tuple[FakeMonitor, int], user: tuple[int, int, Screen], joined: Relay
) -> None:
    monitor, slave = container
    sizes: list[os.terminal_size] = []

    def meanwhile() -> None:
        assert monitor.hears("J", {"op": "resize", "rows": 30, "cols": 100})
        sizes.append(os.get_terminal_size(slave))
        set_size(user[1], 50, 132)
        os.kill(os.getpid(), signal.SIGWINCH)
        assert monitor.hears("J", {"op": "resize", "rows": 50, "cols": 132})
        monitor.do(lambda: sizes.append(os.get_terminal_size(slave)))
        monitor.exit(0)

    handler = signal.getsignal(signal.SIGWINCH)
    joined(meanwhile)
    assert sizes[-1] == (132, 50)
    assert signal.getsignal(signal.SIGWINCH) == handler


def test_a_program_is_made_to_paint_itself_again_where_that_is_wanted(
    container: tuple[FakeMonitor, int], joined: Relay
) -> None:
    monitor, _ = container

    def meanwhile() -> None:
        assert monitor.hears("J", {"op": "resize", "rows": 30, "cols": 100})
        monitor.exit(0)

    joined(meanwhile, redraw=True)
    resizes = [
        payload["rows"] for kind, payload in monitor.heard if kind == "J" and payload["op"] == "resize"
    ]
    assert resizes == [31, 30], "a size that does not change makes no SIGWINCH"


def test_a_pipe_for_stdin_ends_the_programs_input(
    container: tuple[FakeMonitor, int], user: tuple[int, int, Screen]
) -> None:
    monitor, slave = container
    reader, writer = os.pipe()
    os.write(writer, b"half a line")
    os.close(writer)
    got: list[bytes] = []

    def program() -> None:
        got.extend((os.read(slave, 100), os.read(slave, 100)))
        monitor.exit(0)

    attached = attachment.attach(monitor.connection, stdin=True)
    threading.Thread(target=program, daemon=True).start()
    relay.relay(monitor.connection, attached, stdin=True, fds=(reader, user[1], user[1]))
    assert got == [b"half a line", b""]
    os.close(reader)


def test_the_slave_of_a_master_is_found_without_a_path() -> None:
    master, slave = pty.openpty()
    other = open_slave(master)
    assert os.ttyname(other) == os.ttyname(slave)
    assert not os.get_inheritable(other)
    for fd in (master, slave, other):
        os.close(fd)
