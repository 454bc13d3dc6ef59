"""Locks die with their holder, and go to another process without a gap."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from effects.locks import Locks, LockTimeout, offset

A, B = "a" * 64, "b" * 64


def test_a_lock_is_held_until_its_last_descriptor_is_closed(tmp_path: Path) -> None:
    locks = Locks(str(tmp_path))
    first = locks.take(A)
    assert first is not None
    copy = os.dup(first)
    os.close(first)
    assert locks.take(A) is None
    assert locks.is_held(A)
    os.close(copy)

    assert not locks.is_held(A)


def test_whoever_only_asks_writes_nothing(tmp_path: Path) -> None:
    assert not Locks(str(tmp_path / "none")).is_held(A)
    assert not Locks(str(tmp_path)).is_held(A)
    assert list(tmp_path.iterdir()) == []


def test_subjects_do_not_stand_in_each_others_way(tmp_path: Path) -> None:
    locks = Locks(str(tmp_path))
    held = [locks.take(A), locks.take(B), locks.take("firewall")]

    assert None not in held
    assert len({offset(A), offset(B), offset("firewall"), offset("networks")}) == 4
    for fd in held:
        os.close(fd or 0)


HOLDER = """
import sys
sys.path.insert(0, sys.argv[1])
from effects.locks import Locks
Locks(sys.argv[2]).take("a" * 64)
print("held", flush=True)
sys.stdin.read()
"""


def test_a_lock_dies_with_its_holder(tmp_path: Path) -> None:
    locks = Locks(str(tmp_path))
    here = str(Path(__file__).resolve().parent.parent.parent)
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, here, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        assert locks.is_held(A)
        holder.kill()
        holder.wait()

        assert not locks.is_held(A)


def test_a_lock_that_is_handed_over_has_no_gap(tmp_path: Path) -> None:
    locks = Locks(str(tmp_path))
    ours, theirs = socket.socketpair()
    held = locks.take(A)
    assert held is not None
    socket.send_fds(ours, [b"x"], [held])
    os.close(held)
    assert locks.is_held(A)
    _, (got,), _, _ = socket.recv_fds(theirs, 1, 1)
    assert locks.is_held(A)
    os.close(got)

    assert not locks.is_held(A)
    ours.close()
    theirs.close()


def test_waiting_has_an_end(tmp_path: Path) -> None:
    locks = Locks(str(tmp_path))
    held = locks.take(A)
    assert held is not None
    with pytest.raises(LockTimeout) as caught:
        locks.wait(A, 0.02)
    os.close(held)

    assert caught.value.filename == A
    os.close(locks.wait(A, 0.02))
