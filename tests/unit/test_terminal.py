"""The terminal comes back as it was, whatever happens; detach keys are found however they are cut."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.terminal import DetachKeys, RawMode, size

ROOT = Path(__file__).parents[2]
SECONDS = 30.0
P, Q = b"\x10", b"\x11"


@pytest.mark.parametrize(
    ("reads", "sent", "detached"),
    [
        ([b"hello"], [b"hello"], False),
        ([P + Q], [b""], True),
        ([P, Q], [b"", b""], True),
        ([b"ab" + P, Q + b"cd"], [b"ab", b""], True),
        ([P, b"x"], [b"", P + b"x"], False),
        ([P + b"x" + Q], [P + b"x" + Q], False),
        ([P, P], [b"", P], False),
        ([P, P, Q], [b"", P, b""], True),
        ([P + P + Q], [P], True),
        ([Q + P], [Q], False),
        ([P, b"x", P, Q], [b"", P + b"x", b"", b""], True),
    ],
)
def test_a_pending_key_is_sent_on_when_the_next_one_does_not_match(
    reads: list[bytes], sent: list[bytes], detached: bool
) -> None:
    keys = DetachKeys(P + Q)
    results = [keys.feed(data) for data in reads]
    assert [data for data, _ in results] == sent
    assert results[-1][1] is detached


def test_without_detach_keys_all_is_sent_at_once() -> None:
    assert DetachKeys(b"").feed(P + Q) == (P + Q, False)


@given(
    sequence=st.lists(st.sampled_from(b"ab"), min_size=1, max_size=4).map(bytes),
    reads=st.lists(st.lists(st.sampled_from(b"abc"), max_size=5).map(bytes), max_size=8),
)
def test_how_the_reads_cut_the_keys_makes_no_difference(sequence: bytes, reads: list[bytes]) -> None:
    keys, sent, detached = DetachKeys(sequence), b"", False
    for data in reads:
        passed, detached = keys.feed(data)
        sent += passed
        if detached:
            break
    typed = b"".join(reads)
    before, found, _ = typed.partition(sequence)
    assert detached is bool(found)
    if found:
        assert sent == before
    else:
        assert typed.startswith(sent)
        assert sequence.startswith(typed[len(sent) :]), "only what may be the beginning is held back"
        assert typed[len(sent) :] != sequence


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    """Master and slave; echo is off, so that only programs are heard."""
    master, slave = pty.openpty()
    yield master, slave
    os.close(master)
    os.close(slave)


def test_the_size_is_that_of_the_first_terminal(terminal: tuple[int, int]) -> None:
    _, slave = terminal
    reader, writer = os.pipe()
    assert size(slave) is None, "it knows none yet"
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("4H", 33, 99, 0, 0))
    assert size(reader, -1, slave) == (33, 99)
    assert size(reader, writer) is None
    os.close(reader)
    os.close(writer)


def test_raw_mode_hands_every_key_over_and_changes_nothing_on_its_way(terminal: tuple[int, int]) -> None:
    master, slave = terminal
    before = termios.tcgetattr(slave)
    with RawMode(slave) as raw:
        assert raw.active
        keys = bytes(range(256))
        os.write(master, keys)
        assert os.read(slave, 1000) == keys
        os.write(slave, b"a\nb\r\n")
        assert os.read(master, 1000) == b"a\nb\r\n"
        assert termios.tcgetattr(slave) != before
    assert termios.tcgetattr(slave) == before


def test_an_exception_brings_the_terminal_back(terminal: tuple[int, int]) -> None:
    _, slave = terminal
    before = termios.tcgetattr(slave)
    handler = signal.getsignal(signal.SIGTERM)
    with pytest.raises(ZeroDivisionError), RawMode(slave):
        _ = 1 // 0
    assert termios.tcgetattr(slave) == before
    assert signal.getsignal(signal.SIGTERM) == handler


def test_what_is_no_terminal_is_left_alone() -> None:
    reader, writer = os.pipe()
    with RawMode(reader) as raw:
        assert not raw.active
    with RawMode(-1) as raw:
        assert not raw.active
    os.close(reader)
    os.close(writer)


def test_a_terminal_that_has_gone_needs_no_restoring() -> None:
    master, slave = pty.openpty()
    with RawMode(slave):
        os.close(master)
    os.close(slave)


# In a session of its own, with the terminal as its controlling one.
VICTIM = """
import signal, sys, time
from cli.terminal import RawMode
for name in sys.argv[1:]:
    signal.signal(getattr(signal, name), signal.SIG_IGN)
with RawMode(0):
    sys.stderr.write("raw\\n")
    while True:
        signal.pause()
"""


def victim(slave: int, *ignored: str) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        ["setsid", "-c", sys.executable, "-c", VICTIM, *ignored],
        stdin=slave,
        stdout=slave,
        stderr=subprocess.PIPE,
        cwd=ROOT,
    )
    assert process.stderr is not None
    assert process.stderr.readline() == b"raw\n"
    return process


def comes_true(condition: Callable[[], bool]) -> bool:
    end = time.monotonic() + SECONDS
    while not condition():
        if time.monotonic() > end:
            return False
        select.select([], [], [], 0.005)  # the kernel tells nobody of a terminal's new mode
    return True


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGINT", "SIGQUIT"])
def test_a_deadly_signal_brings_the_terminal_back_and_then_kills(
    terminal: tuple[int, int], name: str
) -> None:
    _, slave = terminal
    before = termios.tcgetattr(slave)
    with victim(slave) as process:
        assert termios.tcgetattr(slave) != before
        process.send_signal(getattr(signal, name))
        assert process.wait(SECONDS) == -getattr(signal, name)
    assert termios.tcgetattr(slave) == before


def test_an_ignored_signal_stays_ignored(terminal: tuple[int, int]) -> None:
    _, slave = terminal
    with victim(slave, "SIGHUP") as process:
        process.send_signal(signal.SIGHUP)
        process.send_signal(signal.SIGTERM)
        assert process.wait(SECONDS) == -signal.SIGTERM


# A shell with job control: the victim is in a process group of its own, which is the terminal's. (The only
# group of a session is orphaned, and the kernel lets no terminal stop it.)
SHELL = """
import os, signal, subprocess, sys
signal.signal(signal.SIGTTOU, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", sys.argv[1]], process_group=0, stderr=subprocess.PIPE)
os.tcsetpgrp(0, child.pid)
child.stderr.readline()
print(child.pid, file=sys.stderr, flush=True)
child.wait()
"""


def state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_while_stopped_the_terminal_is_as_before_and_raw_again_afterwards(terminal: tuple[int, int]) -> None:
    _, slave = terminal
    before = termios.tcgetattr(slave)
    argv = ["setsid", "-c", sys.executable, "-c", SHELL, VICTIM]
    with subprocess.Popen(argv, stdin=slave, stdout=slave, stderr=subprocess.PIPE, cwd=ROOT) as shell:
        assert shell.stderr is not None
        pid = int(shell.stderr.readline())
        raw = termios.tcgetattr(slave)
        for _ in range(2):
            os.kill(pid, signal.SIGTSTP)
            assert comes_true(lambda: state(pid) == "T")
            assert termios.tcgetattr(slave) == before
            os.kill(pid, signal.SIGCONT)
            assert comes_true(lambda: termios.tcgetattr(slave) == raw)
        os.kill(pid, signal.SIGKILL)
