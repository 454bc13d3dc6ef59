"""What the tests of the logs share: a writer whose bytes tell their place, a clock, what is on disk."""

from __future__ import annotations

import hashlib
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from effects import logfile
from effects.logfile import LogWriter, Turn
from effects.logindex import unpack
from effects.logread import LogReader

ROOT = Path(__file__).parents[1]
DEADLINE = 60.0
MB = 1 << 20
T = 1_700_000_000_000_000_000
SECOND = 1_000_000_000
# Writes argv[2] bytes to the FIFO argv[1]: numbered 64-byte cells, so that any piece of it tells its place.
# Prints the longest that one write took, in ms.
WRITER = """
import os, sys, time
fifo, size = os.open(sys.argv[1], os.O_WRONLY), int(sys.argv[2])
longest, at = 0, 0
while at < size:
    block = b"".join(b"%063d\\n" % n for n in range(at // 64, at // 64 + 1024))[:size - at]
    while block:
        start = time.monotonic()
        done = os.write(fifo, block)
        longest = max(longest, time.monotonic() - start)
        at, block = at + done, block[done:]
print(int(longest * 1000))
"""
PUMP = """
import os, select, sys
from effects import logfile
from effects.logfile import LogWriter, Turn
fifo = os.open(sys.argv[1], os.O_RDWR | os.O_NONBLOCK)
log = LogWriter(sys.argv[2], "stdout", max_size=int(sys.argv[3]))
poller = select.poll()
poller.register(fifo, select.POLLIN)
print("ready", flush=True)
while poller.poll():
    log.take(fifo)
"""


def expected(start: int, size: int) -> bytes:
    """What WRITER writes at this offset."""
    first = start // 64
    cells = b"".join(b"%063d\n" % number for number in range(first, (start + size) // 64 + 1))
    return cells[start - first * 64 :][:size]


def digest(pieces: Iterator[bytes]) -> str:
    total = hashlib.sha256()
    for piece in pieces:
        total.update(piece)
    return total.hexdigest()


def run(program: str, *arguments: object, **options: object) -> subprocess.Popen[bytes]:
    argv = [sys.executable, "-c", program, *map(str, arguments)]
    return subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, **options)  # type: ignore[call-overload,no-any-return] # options are Popen's


def pump(log: LogWriter, fifo: int, *, until: Callable[[], bool]) -> int:
    """Take whatever comes until that is true; returns how much came."""
    poller, total, end = select.poll(), 0, time.monotonic() + DEADLINE
    poller.register(fifo, select.POLLIN)
    while not until():
        assert time.monotonic() < end, f"only {total} bytes came"
        if poller.poll(1000):
            total += log.take(fifo)
    return total


def index(directory: Path, name: str = "stdout") -> list[tuple[bytes, int, int, int]]:
    return unpack((directory / f"{name}.idx").read_bytes())


def kept(directory: Path, log: LogWriter) -> tuple[int, bytes]:
    """The logical offset of the first byte that is still there, and all from there on."""
    files = log.open_from(0)
    try:
        return files[0][0], b"".join(os.pread(fd, 1 << 30, 0) for _, fd in files)
    finally:
        for _, fd in files:
            os.close(fd)


class Clock:
    """Stands in for the module `time`: each look is `step` ns later."""

    def __init__(self, step: int) -> None:
        self.now, self.step = T, step

    def time_ns(self) -> int:
        self.now += self.step
        return self.now


class Container:
    """Says things at times that a test chooses: `T` and so many seconds."""

    def __init__(self, directory: Path, patch: pytest.MonkeyPatch, **sizes: int) -> None:
        self.clock = Clock(0)
        patch.setattr(logfile, "time", self.clock)
        turn = Turn()
        self.logs = {
            name: LogWriter(str(directory), name, turn=turn, **sizes) for name in ("stdout", "stderr")
        }

    def says(self, second: float, data: bytes, stream: str = "stdout") -> None:
        self.clock.now = T + round(second * SECOND)
        self.logs[stream].write(data)


def selected(directory: Path, complaints: list[str] | None = None, **options: Any) -> bytes:
    said: list[str] = [] if complaints is None else complaints
    with LogReader(str(directory), said.append) as reader:
        return b"".join(piece.data for piece in reader.pieces(**options))


def conversation(make: Callable[[], Container]) -> None:
    """Lines 0 to 5, one a second; 1 and 4 on stderr, 3 in two halves, the last one unfinished."""
    c = make()
    c.says(0, b"0\n")
    c.says(1, b"1\n", "stderr")
    c.says(2, b"2\n3 begins")
    c.says(3, b" and ends\n")
    c.says(4, b"4\n", "stderr")
    c.says(5, b"5")


Make = Callable[..., Container]
