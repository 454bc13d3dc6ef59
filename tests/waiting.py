"""Waiting in tests: woken by the kernel where it tells of what is waited for, else by looking again."""

from __future__ import annotations

import ctypes
import os
import select
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")
# Seconds between two looks at what the kernel tells nobody of: /proc, a cgroup's directory, a mount.
LOOK = 0.02
ANYWAY = 0.25  # the same where it tells: what was waited for may come in another way after all
_CHANGED = 0x2 | 0x80 | 0x100 | 0x200  # IN_MODIFY, IN_MOVED_TO, IN_CREATE, IN_DELETE of inotify(7)
_libc = ctypes.CDLL(None, use_errno=True)


def until(
    holds: Callable[[], T], what: Callable[[], str] | str, *, beside: Path | None = None, seconds: float = 30
) -> T:
    """What `holds` came to, once it is true. `beside`: a directory, where every change is a reason to look again.

    Raises AssertionError with `what`, the complaint, after so many seconds.
    """
    end = time.monotonic() + seconds
    with _reasons(beside) as wait:
        while not (found := holds()):
            assert time.monotonic() < end, what if isinstance(what, str) else what()
            wait()
    return found


def ended(*pids: int, seconds: float = 20) -> None:
    """Until each of these processes has ended, reaped or not (pidfd_open(2))."""
    end = time.monotonic() + seconds
    for pid in pids:
        try:
            pidfd = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        try:
            ready, _, _ = select.select([pidfd], [], [], max(0.0, end - time.monotonic()))
        finally:
            os.close(pidfd)
        assert ready, f"process {pid} of {pids} does not end"


def remove_cgroup(path: Path) -> None:
    """As a boot does; whoever was killed in it may hold it for a moment (EBUSY)."""

    def is_gone() -> bool:
        try:
            path.rmdir()
        except FileNotFoundError:
            return True
        except OSError:
            return False
        return True

    until(is_gone, f"{path} stays")


@contextmanager
def changes(directory: Path) -> Iterator[Callable[[float], bool]]:
    """A function that waits for the next change there, so many seconds at most; whether there was one."""
    watch = _libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if _libc.inotify_add_watch(watch, os.fsencode(directory), _CHANGED) < 0:
            raise OSError(ctypes.get_errno(), f"cannot watch {directory}")

        def next_one(seconds: float) -> bool:
            ready, _, _ = select.select([watch], [], [], seconds)
            return bool(ready and os.read(watch, 1 << 16))

        yield next_one
    finally:
        os.close(watch)


@contextmanager
def _reasons(beside: Path | None) -> Iterator[Callable[[], object]]:
    """A function that returns when there is a reason to look again."""
    if beside is None:
        yield lambda: time.sleep(LOOK)
        return
    with changes(beside) as next_one:
        yield lambda: next_one(ANYWAY)
