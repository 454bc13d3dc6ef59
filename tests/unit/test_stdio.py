"""stdin, stdout and stderr as the monitor holds them: ends are seen, nothing blocks, nobody gets SIGPIPE."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from effects.stdio import PIPE_SIZE, STDIN_LIMIT, Stdio, end_of_file, open_slave

SECONDS = 30.0


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "log").mkdir()
    for name in ("stdout", "stderr"):
        os.mkfifo(tmp_path / name, 0o600)
    return tmp_path


Open = Callable[..., Stdio]


@pytest.fixture
def over_fifos(directory: Path) -> Iterator[Open]:
    made: list[Stdio] = []

    def make(**options: Any) -> Stdio:
        made.append(
            Stdio.over_fifos(f"{directory}/log", f"{directory}/stdout", f"{directory}/stderr", **options)
        )
        return made[-1]

    yield make
    for stdio in made:
        stdio.close()


@pytest.fixture
def over_pty(directory: Path) -> Iterator[Open]:
    made: list[Stdio] = []

    def make(**options: Any) -> Stdio:
        master, slave = pty.openpty()
        os.close(slave)
        made.append(Stdio.over_pty(f"{directory}/log", master, **options))
        return made[-1]

    yield make
    for stdio in made:
        stdio.close()


def log(directory: Path, stream: str = "stdout") -> bytes:
    return (directory / "log" / stream).read_bytes()


def serve(stdio: Stdio, until: Callable[[], bool]) -> None:
    """A monitor's loop, until that is true."""
    end = time.monotonic() + SECONDS
    while not until():
        left = end - time.monotonic()
        assert left > 0, "it never came true"
        poller, events = select.poll(), dict.fromkeys(stdio.fds(), select.POLLIN)
        writer = stdio.wants_write()
        if writer is not None:
            events[writer] = events.get(writer, 0) | select.POLLOUT
        for fd, wanted in events.items():
            poller.register(fd, wanted)
        for fd, what in poller.poll(10):
            assert stdio.owns(fd)
            stdio.serve(fd, what)


def in_fifos(directory: Path, *argv: str, stdin: int = subprocess.DEVNULL) -> subprocess.Popen[bytes]:
    """A program that has the FIFOs as a container has them: each open for reading and writing."""
    ends = [os.open(directory / name, os.O_RDWR) for name in ("stdout", "stderr")]
    process = subprocess.Popen(argv, stdin=stdin, stdout=ends[0], stderr=ends[1])
    for fd in ends:
        os.close(fd)
    return process


def in_terminal(stdio: Stdio, *argv: str) -> subprocess.Popen[bytes]:
    slave = open_slave(stdio.fds()[0])
    process = subprocess.Popen(["setsid", "-c", *argv], stdin=slave, stdout=slave, stderr=slave)
    os.close(slave)
    return process


def test_a_full_pipe_that_nobody_reads_any_more_is_given_up(over_fifos: Open) -> None:
    stdio = over_fifos(stdin=True)
    stdio.feed(bytes(4 * STDIN_LIMIT))
    assert stdio.wants_write() is not None
    stdio.started()  # and what was started has closed its stdin

    serve(stdio, lambda: stdio.wants_write() is None)


def test_each_stream_goes_into_its_own_log(directory: Path, over_fifos: Open) -> None:
    stdio = over_fifos()
    with in_fifos(directory, "sh", "-c", "echo out; echo err >&2") as process:
        process.wait(SECONDS)
        assert stdio.drain() == 8
    assert (log(directory), log(directory, "stderr")) == (b"out\n", b"err\n")
    assert stdio.ends() == {"stdout": 4, "stderr": 4}
    assert stdio.drain() == 0
    assert stdio.lost() == {}


def test_what_a_container_writes_without_a_monitor_waits_for_the_next_one(
    directory: Path, over_fifos: Open
) -> None:
    container = os.open(directory / "stdout", os.O_RDWR)
    over_fifos().close()
    with in_fifos(directory, "head", "-c", "900000", "/dev/zero") as process:
        assert process.wait(SECONDS) == 0, "no SIGPIPE, and there is room"
    assert over_fifos().drain() == 900_000
    os.close(container)


def test_draining_does_not_wait_for_somebody_outside_who_writes_on(
    over_fifos: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    stdio = over_fifos()
    monkeypatch.setattr(stdio, "pump", lambda _fd: 1000)  # always more
    assert stdio.drain() <= 2 * (PIPE_SIZE + 1000)


@pytest.mark.parametrize("kind", ["file", "link"])
def test_only_a_fifo_is_taken_for_one(directory: Path, over_fifos: Open, kind: str) -> None:
    (directory / "stdout").unlink()
    if kind == "file":
        (directory / "stdout").write_bytes(b"")
    else:
        (directory / "stdout").symlink_to(directory / "stderr")
    with pytest.raises(OSError, match=r"not a FIFO|symbolic links"):
        over_fifos()


def test_stdin_ends_after_all_that_was_fed(directory: Path, over_fifos: Open) -> None:
    stdio = over_fifos(stdin=True)
    with in_fifos(directory, "cat", stdin=stdio.stdin_reader) as process:
        stdio.started()
        data = os.urandom(300_000)
        for at in range(0, len(data), STDIN_LIMIT):
            stdio.feed(data[at : at + STDIN_LIMIT])
        stdio.end_stdin()
        stdio.feed(b"too late")
        serve(stdio, lambda: process.poll() is not None)
        assert process.returncode == 0
    stdio.drain()
    assert log(directory) == data


@pytest.mark.parametrize("early", [True, False])
def test_a_script_that_opens_dev_stdin_late_sees_the_bytes_and_the_end(
    directory: Path, over_fifos: Open, early: bool
) -> None:
    """With a FIFO for stdin this hangs for ever."""
    stdio = over_fifos(stdin=True)
    if early:
        stdio.feed(b"text\n")
        stdio.end_stdin()
    with in_fifos(
        directory, "sh", "-c", "cat /dev/stdin; cat /dev/stdin", stdin=stdio.stdin_reader
    ) as process:
        stdio.started()
        if not early:
            stdio.feed(b"text\n")
            stdio.end_stdin()
        assert process.wait(SECONDS) == 0
    stdio.drain()
    assert log(directory) == b"text\n"


def test_a_container_that_does_not_read_its_stdin_stops_the_feeding_not_the_monitor(over_fifos: Open) -> None:
    stdio = over_fifos(stdin=True)
    fed = 0
    while stdio.stdin_room():
        stdio.feed(bytes(STDIN_LIMIT))
        fed += STDIN_LIMIT
        assert fed < 10 * STDIN_LIMIT
    assert stdio.wants_write() is not None
    assert len(os.read(stdio.stdin_reader, STDIN_LIMIT)) == STDIN_LIMIT
    stdio.flush_stdin()
    assert stdio.stdin_room()


def test_without_stdin_feeding_does_nothing(over_fifos: Open) -> None:
    stdio = over_fifos()
    stdio.feed(b"text")
    stdio.end_stdin()
    stdio.resize(24, 80)
    assert (stdio.stdin_reader, stdio.wants_write()) == (-1, None)


def test_a_terminal_shows_what_is_typed_and_what_is_said(directory: Path, over_pty: Open) -> None:
    stdio = over_pty()
    with in_terminal(stdio, "sh", "-c", "tty -s && read x && echo got $x") as process:
        stdio.feed(b"text\n")
        serve(stdio, lambda: process.poll() is not None)
        assert process.returncode == 0
    stdio.drain()
    assert log(directory) == b"text\r\ngot text\r\n"
    assert stdio.ends() == {"stdout": 16}
    assert os.listdir(directory / "log") != [], "only stdout"
    assert not (directory / "log" / "stderr").exists()


@pytest.mark.parametrize("typed", [b"", b"line\n", b"half a line"])
def test_end_of_stdin_is_end_of_file_on_a_terminal_too(directory: Path, over_pty: Open, typed: bytes) -> None:
    stdio = over_pty()
    with in_terminal(stdio, "sh", "-c", "stty -echo; echo ready; exec cat") as process:
        serve(stdio, lambda: b"ready" in log(directory))
        stdio.feed(typed)
        stdio.end_stdin()
        serve(stdio, lambda: process.poll() is not None)
        assert process.returncode == 0
    stdio.drain()
    assert log(directory) == b"ready\r\n" + typed.replace(b"\n", b"\r\n")


def test_a_program_that_reads_single_keys_gets_one_end_key() -> None:
    master, slave = pty.openpty()
    assert end_of_file(master, line_open=True) == b"\x04\x04"
    subprocess.run(["stty", "raw"], stdin=slave, check=True)
    assert end_of_file(master, line_open=True) == b"\x04"
    os.close(master)
    os.close(slave)


@pytest.mark.parametrize(("size", "seen"), [((24, 80), b"24 80"), ((70_000, -5), b"65535 0")])
def test_a_new_size_reaches_the_program(
    directory: Path, over_pty: Open, size: tuple[int, int], seen: bytes
) -> None:
    stdio = over_pty()
    script = "trap 'stty size; exit' WINCH; echo ready; while :; do read x; done"
    with in_terminal(stdio, "sh", "-c", script) as process:
        serve(stdio, lambda: b"ready" in log(directory))
        stdio.resize(*size)
        stdio.feed(b"\n")
        serve(stdio, lambda: process.poll() is not None)
    stdio.drain()
    assert seen in log(directory)


def test_a_terminal_that_nobody_has_open_is_just_quiet(directory: Path, over_pty: Open) -> None:
    stdio = over_pty()
    with in_terminal(stdio, "echo", "once") as process:
        process.wait(SECONDS)
    (master,) = stdio.fds()
    stdio.drain()
    poller = select.poll()
    poller.register(master, select.POLLIN)
    assert poller.poll(0) == [], "no POLLHUP to spin on"
    assert stdio.pump(master) == 0
    with in_terminal(stdio, "echo", "again") as process:
        process.wait(SECONDS)
    stdio.drain()
    assert log(directory) == b"once\r\nagain\r\n"


HANG_UP = (
    "import ctypes, os, signal; signal.signal(1, signal.SIG_IGN); assert not ctypes.CDLL(None).vhangup()"
)


@pytest.mark.root
def test_a_hung_up_terminal_can_be_used_again(directory: Path, over_pty: Open) -> None:
    stdio = over_pty()
    with in_terminal(stdio, "python3", "-c", HANG_UP) as process:
        assert process.wait(SECONDS) == 0
    (master,) = stdio.fds()
    assert stdio.pump(master) == 0
    poller = select.poll()
    poller.register(master, select.POLLIN)
    assert poller.poll(0) == [], "no POLLHUP to spin on"
    with in_terminal(stdio, "echo", "back") as process:
        assert process.wait(SECONDS) == 0
    stdio.drain()
    assert log(directory) == b"back\r\n"


def test_a_terminal_that_does_not_take_what_is_typed_does_not_block(over_pty: Open) -> None:
    stdio = over_pty()
    for _ in range(1000):
        if not stdio.stdin_room():
            break
        stdio.feed(b"x" * 1023 + b"\n")
    assert not stdio.stdin_room()
