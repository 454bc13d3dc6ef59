"""The relay of an exec session: its streams whole, its exit code ours, nobody else's children waited for."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import termios
import threading
from collections.abc import Callable, Iterator

import pytest

from cli import handover, relay_exec
from cli.commands.exec import _signal
from cli.relay import Outcome
from effects.control import JSON, Connection
from tests.monitors import MB, Foreground, Screen, pattern, set_size


class Joiner(threading.Thread):
    """Runs a program with the ends that the relay does not have, and tells its exit code, as the joiner does."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        ours, self.theirs = handover.pair()
        self.connection = Connection(ours)
        self.process: subprocess.Popen[bytes] | None = None

    def over_pipes(self, *argv: str, stdin: bool = True) -> tuple[int | None, int, int]:
        in_r, in_w = os.pipe()
        (out_r, out_w), (err_r, err_w) = os.pipe(), os.pipe()
        self.process = subprocess.Popen(
            argv, stdin=in_r if stdin else subprocess.DEVNULL, stdout=out_w, stderr=err_w
        )
        for fd in (in_r, out_w, err_w, *(() if stdin else (in_w,))):
            os.close(fd)
        self.start()
        return in_w if stdin else None, out_r, err_r

    def over_pty(self, *argv: str) -> int:
        master, slave = pty.openpty()
        self.process = subprocess.Popen(["setsid", "-c", *argv], stdin=slave, stdout=slave, stderr=slave)
        os.close(slave)
        self.start()
        return master

    def run(self) -> None:
        assert self.process is not None
        code = self.process.wait()
        Connection(self.theirs).send({"exited": code, "signal": 0})

    def close(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.join(60)
        self.theirs.close()
        self.connection.close()


@pytest.fixture
def joiner() -> Iterator[Joiner]:
    made = Joiner()
    yield made
    made.close()


def pipes(
    joiner: Joiner, ours: Foreground, *argv: str, stdin: bool = True, on: Callable[[int], None] | None = None
) -> Outcome:
    return relay_exec.relay_pipes(
        *joiner.over_pipes(*argv, stdin=stdin), joiner.connection, signal_process=on, fds=ours.fds
    )


def test_both_streams_and_the_exit_code_are_the_programs(joiner: Joiner, ours: Foreground) -> None:
    outcome = pipes(joiner, ours, "sh", "-c", "echo out; echo err >&2; exit 7", stdin=False)
    assert (outcome.kind, outcome.code) == ("exit", 7)
    assert ours.finish() == (b"out\n", b"err\n")


def test_stdin_passes_through_to_its_end(joiner: Joiner, ours: Foreground) -> None:
    data = pattern(3 * MB)

    def typist() -> None:
        os.write(ours.typist, data)
        ours.shut(ours.typist)

    threading.Thread(target=typist, daemon=True).start()
    assert pipes(joiner, ours, "cat").code == 0
    assert ours.finish()[0] == data


def test_a_slow_reader_gets_every_byte(joiner: Joiner) -> None:
    slow = Foreground(at_once=False)

    def later() -> None:
        assert slow.err.some.wait(60)
        slow.out.go.set()

    threading.Thread(target=later, daemon=True).start()
    outcome = pipes(joiner, slow, "sh", "-c", "echo begun >&2; exec seq -f %015.0f 1000000", stdin=False)
    assert outcome.kind == "exit"
    out, _ = slow.finish()
    assert out == b"".join(b"%015d\n" % number for number in range(1, 1_000_001))


def test_a_program_that_reads_no_stdin_ends_all_the_same(joiner: Joiner, ours: Foreground) -> None:
    threading.Thread(target=os.write, args=(ours.typist, bytes(MB)), daemon=True).start()
    assert pipes(joiner, ours, "sh", "-c", "exec <&-; exit 3").code == 3
    os.set_blocking(ours.stdin, False)
    while True:  # lets the typist go
        try:
            os.read(ours.stdin, MB)
        except BlockingIOError:
            break


def test_children_left_behind_with_its_stdout_are_not_waited_for(joiner: Joiner, ours: Foreground) -> None:
    outcome = pipes(joiner, ours, "sh", "-c", "sleep 1000 & echo $!")
    assert outcome.kind == "exit"
    os.kill(int(ours.finish()[0]), signal.SIGKILL)


def test_a_closed_stdout_ends_it_quietly(joiner: Joiner, ours: Foreground) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    ends = joiner.over_pipes("yes", stdin=False)
    outcome = relay_exec.relay_pipes(*ends, joiner.connection, fds=(ours.stdin, writer, ours.stderr))
    assert (outcome.kind, outcome.code) == ("closed", 141)
    os.close(writer)


def test_signals_go_to_the_program_if_they_are_to(joiner: Joiner, ours: Foreground) -> None:
    got: list[int] = []

    def pass_on(number: int) -> None:
        got.append(number)
        assert joiner.process is not None
        joiner.process.send_signal(number)

    def act() -> None:
        assert ours.out.some.wait(60)
        os.kill(os.getpid(), signal.SIGUSR1)

    threading.Thread(target=act, daemon=True).start()
    outcome = pipes(
        joiner, ours, "sh", "-c", "trap 'exit 5' USR1; echo ready; while :; do sleep 0.01; done", on=pass_on
    )
    assert (outcome.code, got) == (5, [signal.SIGUSR1])


def test_a_dead_joiner_is_lost(joiner: Joiner, ours: Foreground) -> None:
    (out_r, out_w), (err_r, err_w) = os.pipe(), os.pipe()
    os.write(out_w, b"last words\n")
    joiner.theirs.close()
    outcome = relay_exec.relay_pipes(None, out_r, err_r, joiner.connection, fds=ours.fds)
    assert outcome.kind == "lost"
    assert ours.finish()[0] == b"last words\n"
    os.close(out_w)
    os.close(err_w)


def test_a_terminal_session_is_raw_on_our_side_and_has_our_size(joiner: Joiner) -> None:
    user, slave = pty.openpty()
    set_size(slave, 44, 111)
    screen = Screen(user)
    screen.start()
    before = termios.tcgetattr(slave)

    def typist() -> None:
        assert screen.shows(b"44 111")
        os.write(user, b"exit 6\r")

    threading.Thread(target=typist, daemon=True).start()
    # The program looks at its size when it is told of it, or finds it set already.
    script = "trap : WINCH; while [ \"$(stty size)\" = '0 0' ]; do :; done; stty size; read line; $line"
    outcome = relay_exec.relay_pty(joiner.over_pty("sh", "-c", script), joiner.connection, fds=(slave,) * 3)
    assert (outcome.kind, outcome.code) == ("exit", 6)
    assert termios.tcgetattr(slave) == before
    assert screen.shows(b"exit 6\r\n"), "echoed by the program's terminal"
    os.close(slave)
    screen.join(60)
    os.close(user)


def test_the_end_of_a_pipe_is_end_of_file_in_the_session_too(joiner: Joiner, ours: Foreground) -> None:
    os.write(ours.typist, b"half a line")
    ours.shut(ours.typist)
    outcome = relay_exec.relay_pty(joiner.over_pty("cat"), joiner.connection, fds=ours.fds)
    assert outcome.code == 0
    assert ours.finish()[0].count(b"half a line") == 2, "the echo, and what cat says"


def test_a_terminal_that_the_program_closes_and_opens_again_is_still_relayed(
    joiner: Joiner, ours: Foreground
) -> None:
    again = "exec 0<&- 1<&- 2<&-; sleep 0.05; echo back > /dev/tty"
    outcome = relay_exec.relay_pty(joiner.over_pty("sh", "-c", again), joiner.connection, fds=ours.fds)
    assert outcome.code == 0
    assert ours.finish()[0] == b"back\r\n"


def test_a_signal_that_comes_as_the_joiner_goes_is_no_error(joiner: Joiner) -> None:
    Connection(joiner.theirs).send({"exited": 7, "signal": 0})
    joiner.theirs.close()

    _signal(joiner.connection, signal.SIGINT)

    assert joiner.connection.receive() == (JSON, {"exited": 7, "signal": 0}, [])
