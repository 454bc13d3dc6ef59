"""Following the logs: each byte once, as it comes, over rotations, to the end and no further."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from effects import logwatch
from effects.logfile import LogWriter
from effects.logprint import print_logs
from effects.logread import LogReader
from tests import without_inotify
from tests.logs import ROOT
from tests.monitors import Reader

SECONDS = 60.0


class Follower:
    """`logs -f` in a thread: what it prints, and a word to say that the container has exited."""

    def __init__(self, directory: Path, **options: Any) -> None:
        (out_r, self.out_w), (err_r, self.err_w) = os.pipe(), os.pipe()
        self.out, self.err = Reader(out_r), Reader(err_r)
        self.exited = threading.Event()
        self.complaints: list[str] = []
        self.reader = LogReader(str(directory), self.complaints.append)
        self._thread = threading.Thread(target=self._run, kwargs=options, daemon=True)
        for thread in (self.out, self.err, self._thread):
            thread.start()

    def _run(self, **options: Any) -> None:
        with self.reader as reader:
            print_logs(reader, exited=self.exited.is_set, out=self.out_w, err=self.err_w, **options)

    def shows(self, text: bytes) -> bool:
        end = time.monotonic() + SECONDS
        while text not in self.out.data:
            self.out.some.clear()
            if text not in self.out.data and not self.out.some.wait(end - time.monotonic()):
                return False
        return True

    def finish(self, *, exited: bool = True) -> tuple[bytes, bytes]:
        if exited:
            self.exited.set()
        self._thread.join(SECONDS)
        assert not self._thread.is_alive()
        for fd in {self.out_w, self.err_w} - {-1}:
            os.close(fd)
        self.out_w = self.err_w = -1
        for reader in (self.out, self.err):
            reader.join(SECONDS)
        return bytes(self.out.data), bytes(self.err.data)


Follow = Callable[..., Follower]


@pytest.fixture
def follow(directory: Path) -> Iterator[Follow]:
    made: list[Follower] = []

    def start(**options: Any) -> Follower:
        made.append(Follower(directory, **options))
        return made[-1]

    yield start
    for follower in made:
        follower.finish()


@pytest.fixture
def log(directory: Path) -> Iterator[LogWriter]:
    writer = LogWriter(str(directory), "stdout", max_size=1000, keep=3)
    yield writer
    writer.close()


def test_what_was_and_what_comes_is_shown_once_and_unfinished_lines_at_once(
    log: LogWriter, follow: Follow
) -> None:
    log.write(b"old\n")
    follower = follow()
    assert follower.shows(b"old\n")
    log.write(b"prompt> ")
    assert follower.shows(b"prompt> ")
    log.write(b"answer\n")
    assert follower.shows(b"answer\n")
    assert follower.finish() == (b"old\nprompt> answer\n", b"")
    assert follower.complaints == []


def test_a_stream_that_begins_later_is_followed_too(log: LogWriter, directory: Path, follow: Follow) -> None:
    follower = follow()
    log.write(b"first\n")
    assert follower.shows(b"first\n")
    other = LogWriter(str(directory), "stderr")
    other.write(b"an error\n")
    other.close()
    assert follower.finish() == (b"first\n", b"an error\n")


def test_rotations_are_followed_without_a_hole(log: LogWriter, follow: Follow) -> None:
    follower = follow()
    text = [b"%08d\n" % number for number in range(2000)]
    for number, line in enumerate(text):
        log.write(line)
        if number % 50 == 0:
            assert follower.shows(line)
    assert follower.finish() == (b"".join(text), b"")
    assert follower.complaints == []


def test_what_was_rotated_away_unread_is_told(directory: Path, log: LogWriter) -> None:
    complaints: list[str] = []
    with LogReader(str(directory), complaints.append) as reader:
        log.write(b"seen")
        assert b"".join(piece.data for piece in reader.more()) == b"seen"
        log.write(bytes(996) + b"x" * 4500)
        rest = b"".join(piece.data for piece in reader.more())
    assert rest == bytes(996) + b"x" * 2500, "the file that was open, and those that are kept"
    assert complaints == ["2000 bytes of stdout were rotated away before they were read"]


def test_lines_get_their_time_once_however_they_came(log: LogWriter, follow: Follow) -> None:
    follower = follow(timestamps=True)
    log.write(b"one\ntw")
    assert follower.shows(b"tw")
    log.write(b"o\nthree\n")
    out, _ = follower.finish()
    assert [line.partition(b" ")[2] for line in out.splitlines()] == [b"one", b"two", b"three"]
    assert out.count(b"Z ") == 3


def test_all_that_was_written_before_the_exit_is_shown(log: LogWriter, follow: Follow) -> None:
    """The exit is looked at first, the logs then."""
    follower = follow()
    log.write(b"last words")
    assert follower.finish()[0] == b"last words"


def test_a_time_to_stop_stops_it(log: LogWriter, follow: Follow) -> None:
    log.write(b"now\n")
    follower = follow(until=time.time_ns())
    assert follower.finish(exited=False)[0] == b"now\n"


def test_the_tail_comes_first_and_then_all(log: LogWriter, follow: Follow) -> None:
    log.write(b"1\n2\n3\n")
    follower = follow(tail=1)
    assert follower.shows(b"3\n")
    log.write(b"4\n5\n")
    assert follower.finish()[0] == b"3\n4\n5\n"


FOLLOWING = """
import os, sys
from effects import logprint, logread
logread.FALLBACK = 0.01
with logread.LogReader(sys.argv[1]) as logs:
    logprint.print_logs(logs, exited=lambda: os.path.exists(sys.argv[2]))
"""


@pytest.mark.root
@pytest.mark.parametrize("lacking", without_inotify.LIMITS)
def test_without_notification_it_looks_by_itself(lacking: str, directory: Path, log: LogWriter) -> None:
    over = directory.parent / "over"
    with without_inotify.program(lacking, FOLLOWING, directory, over) as follower:
        assert follower.stdout is not None
        for line in (b"first\n", b"second\n"):
            log.write(line)
            assert follower.stdout.readline() == line
        over.touch()
        assert follower.stdout.read() == b""
    assert follower.returncode == 0


def test_a_change_wakes_the_reader_and_its_own_reading_does_not(directory: Path) -> None:
    (directory / "stdout").write_bytes(b"text")
    with logwatch.Watch(str(directory)) as watch:
        (directory / "stdout").read_bytes()
        os.listdir(directory)
        start = time.monotonic()
        watch.wait(0.05)
        assert time.monotonic() - start >= 0.05
        (directory / "stdout").write_bytes(b"more")
        start = time.monotonic()
        watch.wait(SECONDS)
        assert time.monotonic() - start < SECONDS / 2


def test_a_reader_that_has_gone_is_a_broken_pipe(directory: Path, log: LogWriter) -> None:
    log.write(b"nobody wants this\n")
    reader, writer = os.pipe()
    os.close(reader)
    with LogReader(str(directory)) as logs, pytest.raises(BrokenPipeError):
        print_logs(logs, out=writer)
    os.close(writer)


def test_watchdog_is_loaded_only_to_follow() -> None:
    program = "import sys; import effects.logread, effects.logprint; print([m for m in sys.modules if 'watchdog' in m])"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, check=True)
    assert done.stdout == b"[]\n"


@pytest.mark.parametrize(
    "module", ["effects.logfile", "effects.stdio", "effects.control", "effects.control_server"]
)
def test_the_monitors_part_loads_nothing_heavy(module: str) -> None:
    heavy = {
        "re",
        "enum",
        "typing",
        "collections",
        "json",
        "socket",
        "signal",
        "contextlib",
        "dataclasses",
        "logging",
    }
    program = f"import sys; sys.path.insert(0, '.'); import {module}; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program], cwd=ROOT, stdout=subprocess.PIPE, check=True
    )
    assert set(done.stdout.decode().split()) & heavy == set()
