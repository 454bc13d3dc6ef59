"""Identities of processes: found while they live, never for a zombie or a re-used pid."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from effects import identity as identities

STRANGE_NAME = b") Z 1 (x"


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["/bin/sleep", "1000"]) as process:
        yield process
        process.kill()


def _zombie(code: int) -> int:
    pid = os.fork()
    if pid == 0:
        os._exit(code)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    return pid


def test_a_living_process_is_opened_by_its_identity(sleeper: subprocess.Popen[bytes]) -> None:
    who = identities.identity(sleeper.pid)
    assert who is not None
    assert who == {
        "pid": sleeper.pid,
        "start": identities.start_time(sleeper.pid),
        "boot": identities.boot_id(),
    }
    assert identities.alive(who)
    pidfd = identities.open_identity(who)
    assert pidfd is not None
    os.close(pidfd)


@pytest.mark.parametrize("change", [{"start": 1}, {"boot": "another"}, {"pid": 2**22 - 1}])
def test_an_identity_that_differs_anywhere_is_nobody(
    sleeper: subprocess.Popen[bytes], change: dict[str, object]
) -> None:
    who = identities.identity(sleeper.pid)
    assert who is not None
    other: identities.Identity = {**who, **change}  # type: ignore[typeddict-item]  # the point of the test
    assert identities.open_identity(other) is None
    assert not identities.alive(other)
    assert identities.exit_status(other) is None


def test_a_zombie_is_dead_but_tells_its_status() -> None:
    pid = _zombie(7)
    who = identities.identity(pid)
    assert who is not None
    assert not identities.alive(who)
    assert identities.open_identity(who) is None
    assert identities.exit_status(who) == 7 << 8
    os.waitpid(pid, 0)
    assert identities.exit_status(who) is None
    assert identities.identity(pid) is None


def test_the_status_of_a_living_process_is_unknown(sleeper: subprocess.Popen[bytes]) -> None:
    who = identities.identity(sleeper.pid)
    assert who is not None
    assert identities.exit_status(who) is None
    pidfd = os.pidfd_open(sleeper.pid)
    assert identities.exit_status(pidfd) is None
    os.close(pidfd)


def test_a_pidfd_opened_before_tells_the_status_of_a_zombie_and_where_the_kernel_can_after_reaping() -> None:
    pid = _zombie(3)
    pidfd = os.pidfd_open(pid)
    assert identities.exit_status(pidfd) == 3 << 8
    os.waitpid(pid, 0)
    release = tuple(int(part) for part in os.uname().release.split(".")[:2])
    assert identities.exit_status(pidfd) == (3 << 8 if release >= (6, 15) else None)
    os.close(pidfd)


def test_a_death_by_signal_is_told_as_one(sleeper: subprocess.Popen[bytes]) -> None:
    who = identities.identity(sleeper.pid)
    assert who is not None
    sleeper.send_signal(signal.SIGKILL)
    os.waitid(os.P_PID, sleeper.pid, os.WEXITED | os.WNOWAIT)
    status = identities.exit_status(who)
    assert status is not None
    assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL


def test_a_name_with_brackets_and_blanks_does_not_shift_the_fields() -> None:
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        with open("/proc/self/comm", "wb") as comm:
            comm.write(STRANGE_NAME)
        os.write(writer, b"x")
        signal.pause()
    try:
        os.read(reader, 1)
        who = identities.identity(pid)
        assert who is not None
        assert identities.alive(who)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(reader)
        os.close(writer)


THREADED = """
import ctypes, os, sys, threading
def wait():
    while open("/proc/self/stat").read().rsplit(") ", 1)[1][0] != "Z": pass
    sys.stdout.write("x"); sys.stdout.flush()
    sys.stdin.read()
    os._exit(0)
threading.Thread(target=wait).start()
ctypes.CDLL(None).syscall({"x86_64": 60, "aarch64": 93}[os.uname().machine], 0)
"""


def test_a_process_whose_main_thread_ended_lives_on() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", THREADED], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.read(1) == b"x"
        who = identities.identity(process.pid)
        assert who is not None
        assert identities.alive(who)
        assert identities.exit_status(who) is None
        pidfd = identities.open_identity(who)
        assert pidfd is not None
        process.communicate()
        assert select.select([pidfd], [], [], 10)[0]
        os.close(pidfd)
        assert not identities.alive(who)


def test_nothing_is_left_open() -> None:
    before = os.listdir("/proc/self/fd")
    identities.identity(os.getpid())
    assert identities.open_identity({"pid": os.getpid(), "start": 1, "boot": identities.boot_id()}) is None
    assert os.listdir("/proc/self/fd") == before
