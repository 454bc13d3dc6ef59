"""The log files in trouble: nothing is lost, doubled or moved, whatever dies, fills up or is cut short."""

from __future__ import annotations

import errno
import hashlib
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from effects.logfile import LogWriter, Turn
from effects.logindex import BASE, DATA, LOST
from tests.logs import DEADLINE, MB, PUMP, ROOT, WRITER, expected, index, kept, pump, run
from tests.waiting import until


def _has(path: Path, size: int) -> bool:
    return path.stat().st_size >= size


def test_killed_pumps_lose_and_double_nothing(directory: Path, tmp_path: Path, fifo: int) -> None:
    """Each is killed amid the flood, at another moment; the last one finishes. We hold the FIFO as the container does."""
    size = 64 * MB
    with run(WRITER, tmp_path / "fifo", size) as writer:
        for death in range(8):
            with run(PUMP, tmp_path / "fifo", directory, 256 * MB) as victim:
                assert victim.stdout is not None
                assert victim.stdout.readline() == b"ready\n"
                reached = (death + 1) * 4 * MB
                until(partial(_has, directory / "stdout", reached), "no flood", beside=directory)
                victim.send_signal(signal.SIGKILL)
        log = LogWriter(str(directory), "stdout", max_size=256 * MB)
        pump(log, fifo, until=lambda: log.end == size)
        assert writer.wait(DEADLINE) == 0
    content = (directory / "stdout").read_bytes()
    assert hashlib.sha256(content).digest() == hashlib.sha256(expected(0, size)).digest()
    ends = [record[2] for record in index(directory)[1:]]
    assert ends == sorted(ends), "the index goes on where it was"
    assert ends[-1] == size
    log.close()


@pytest.mark.parametrize("cut", range(1, 5))
def test_a_death_between_the_renames_of_a_rotation_costs_nothing(
    directory: Path, monkeypatch: pytest.MonkeyPatch, cut: int
) -> None:
    """Two files with two indexes move: four renames. Before the last three, and after all."""
    log = LogWriter(str(directory), "stdout", max_size=1000, keep=3)
    log.write(expected(0, 2000))
    real, done = os.rename, 0

    class Death(BaseException):
        pass

    def rename(*args: object, **options: object) -> None:
        nonlocal done
        done += 1
        real(*args, **options)  # type: ignore[arg-type] # passed on
        if done == cut:
            raise Death

    monkeypatch.setattr(os, "rename", rename)
    with pytest.raises(Death):
        log.write(b"never written")
    monkeypatch.setattr(os, "rename", real)
    successor = LogWriter(str(directory), "stdout", max_size=1000, keep=3)
    successor.write(expected(2000, 300))
    assert successor.end == 2300
    assert kept(directory, successor) == (0, expected(0, 2300))
    for name in os.listdir(directory):
        if not name.endswith(".idx"):
            first = index(directory, name)[0]
            status = (directory / name).stat()
            assert (first[0], first[3]) == (BASE, status.st_ino), f"{name} has its own index"
            assert index(directory, name)[-1][2] == status.st_size
    successor.close()


def test_a_successor_goes_on_at_the_files_end_and_notes_bytes_that_the_index_lacks(directory: Path) -> None:
    log = LogWriter(str(directory), "stdout")
    log.write(b"one\n")
    log.close()
    with (directory / "stdout").open("ab") as file:
        file.write(b"two\n")  # spliced, and then the death
    log = LogWriter(str(directory), "stdout")
    assert log.end == 8
    log.write(b"three\n")
    assert (directory / "stdout").read_bytes() == b"one\ntwo\nthree\n"
    assert [record[2] for record in index(directory)[1:]] == [4, 8, 14]
    log.close()


def test_a_file_that_a_power_cut_shortened_loses_the_records_of_what_is_gone(directory: Path) -> None:
    log = LogWriter(str(directory), "stdout", turn=Turn())
    for _ in range(4):
        log.write(b"abcd")
        log._turn.last = None
    log.close()
    os.truncate(directory / "stdout", 10)
    log = LogWriter(str(directory), "stdout")
    assert [record[2] for record in index(directory)[1:]] == [4, 8, 10]
    assert log.end == 10
    log.close()


def test_logical_offsets_outlive_a_lost_index(directory: Path) -> None:
    log = LogWriter(str(directory), "stdout", max_size=1000)
    log.write(bytes(1500))
    log.close()
    (directory / "stdout.idx").unlink()
    log = LogWriter(str(directory), "stdout", max_size=1000)
    assert log.end == 1500
    log.close()


@given(st.binary(max_size=200))
def test_no_index_whatever_it_holds_keeps_a_log_from_being_written(
    tmp_path_factory: pytest.TempPathFactory, garbage: bytes
) -> None:
    directory = tmp_path_factory.mktemp("log")
    (directory / "stdout").write_bytes(b"before\n")
    (directory / "stdout.idx").write_bytes(garbage)
    log = LogWriter(str(directory), "stdout")
    log.write(b"after\n")
    log.close()
    assert (directory / "stdout").read_bytes() == b"before\nafter\n"
    records = index(directory)
    assert (records[0][0], records[-1][0], records[-1][2]) == (BASE, DATA, 13)


def test_without_splice_bytes_are_copied(
    log: LogWriter, fifo: int, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def splice(*_args: object, **_options: object) -> int:
        raise OSError(errno.EINVAL, "a file system without it")

    monkeypatch.setattr(os, "splice", splice)
    os.write(fifo, b"some\nlines\n")
    assert log.take(fifo) == 11
    assert log.take(fifo) == 0
    assert (directory / "stdout").read_bytes() == b"some\nlines\n"


def test_a_stranger_in_place_of_the_log_is_refused(directory: Path) -> None:
    (directory / "stdout").symlink_to("/etc/passwd")
    with pytest.raises(OSError, match="symbolic links"):
        LogWriter(str(directory), "stdout")


def test_a_removed_directory_does_not_stop_the_container(directory: Path, fifo: int) -> None:
    log = LogWriter(str(directory), "stdout", max_size=10)
    for name in os.listdir(directory):
        (directory / name).unlink()
    directory.rmdir()
    for _ in range(3):
        os.write(fifo, b"0123456789")
        assert log.take(fifo) == 10
    assert log.lost == 20, "the first ten still found their open file"
    log.close()


def in_child(act: Callable[[], None]) -> None:
    """Run it in a process whose limits and mounts are its own."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            act()
            code = 0
        except BaseException:  # noqa: BLE001 # a forked child must not return into pytest
            sys.excepthook(*sys.exc_info())
        finally:
            os._exit(code)
    assert os.waitpid(pid, 0)[1] == 0


def test_beyond_the_callers_file_size_limit_bytes_are_dropped_and_counted(directory: Path, fifo: int) -> None:
    def act() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        log = LogWriter(str(directory), "stdout")
        os.write(fifo, bytes(1500))
        while log.take(fifo):
            pass
        assert log.end == 1000
        assert log.lost == 500
        log.close()

    in_child(act)


FULL_DISK = """
import os, sys
from effects.logfile import LogWriter
from effects.logindex import LOST, DATA, unpack
mnt = sys.argv[1]
fifo = os.open(sys.argv[2], os.O_RDWR | os.O_NONBLOCK)
os.mkdir(f"{mnt}/log")
log = LogWriter(f"{mnt}/log", "stdout")
with open(f"{mnt}/ballast", "wb") as ballast:  # all but 200 KiB
    ballast.write(bytes(1024 * 1024 - 4096 * 52))
written = 0
def put(count):
    global written
    while count:
        piece = b"".join(b"%07d\\n" % n for n in range(written // 8, written // 8 + 512))
        assert os.write(fifo, piece) == 4096  # never blocks
        written, count = written + 4096, count - 4096
        log.take(fifo)
    while log.take(fifo):
        pass
put(1 << 20)
kept, lost = log.end, log.lost
assert kept + lost == written and 100_000 < kept < 220_000, (kept, lost, written)
os.unlink(f"{mnt}/ballast")
put(1 << 16)
assert log.end == kept + (1 << 16) and log.lost == lost
log.close()
content = open(f"{mnt}/log/stdout", "rb").read()
cells = [int(content[at:at + 8]) for at in range(0, len(content), 8)]
first = kept // 8
assert cells == [*range(first), *range((1 << 20) // 8, (1 << 20) // 8 + (1 << 16) // 8)]
records = unpack(open(f"{mnt}/log/stdout.idx", "rb").read())
assert [r[2:] for r in records if r[0] == LOST] == [(kept, lost)], records
assert records[-1][0] == DATA and records[-1][2] == log.end
"""


@pytest.mark.root
def test_on_a_full_disk_bytes_are_dropped_counted_and_told_in_the_index_once_there_is_room(
    tmp_path: Path, fifo: int
) -> None:
    (tmp_path / "mnt").mkdir()
    (tmp_path / "full_disk.py").write_text(FULL_DISK)
    script = 'mount -t tmpfs -o size=1m none "$1/mnt" && exec "$2" "$1/full_disk.py" "$1/mnt" "$1/fifo"'
    subprocess.run(
        ["unshare", "-m", "--propagation", "private", "sh", "-ec", script, "sh", tmp_path, sys.executable],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=True,
        timeout=DEADLINE,
    )


def test_bytes_lost_at_the_very_end_are_told_when_the_log_is_closed(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = LogWriter(str(directory), "stdout")
    log.write(b"kept")

    def pwrite(*_args: object) -> int:
        raise OSError(errno.EIO, "a broken disk")

    monkeypatch.setattr(os, "pwrite", pwrite)
    log.write(b"dropped")
    monkeypatch.undo()
    log.close()
    assert log.lost == 7
    assert [(tag, *rest) for tag, _, *rest in index(directory)[1:]] == [(DATA, 4, 0), (LOST, 4, 7)]
