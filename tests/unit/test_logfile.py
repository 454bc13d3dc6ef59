"""The log files: every byte of a container, in order, within bounds, and when it came."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from effects import logfile, logindex
from effects.logfile import LogWriter, Turn
from effects.logindex import BASE, DATA, SIZE, unpack
from tests.logs import DEADLINE, MB, WRITER, Clock, digest, expected, index, kept, pump, run


def test_what_comes_through_the_fifo_is_in_the_file_and_in_the_index(
    log: LogWriter, fifo: int, directory: Path
) -> None:
    before = time.time_ns()
    os.write(fifo, b"hello\0\xff\n")
    assert log.take(fifo) == 8
    assert log.take(fifo) == 0
    assert (directory / "stdout").read_bytes() == b"hello\0\xff\n"
    (tag, _, base, inode), (data, moment, end, _) = index(directory)
    assert (tag, base, inode) == (BASE, 0, (directory / "stdout").stat().st_ino)
    assert (data, end, log.end) == (DATA, 8, 8)
    assert before <= moment <= time.time_ns()


def test_a_flood_loses_no_byte_over_rotations_and_never_holds_its_writer_up(
    directory: Path, tmp_path: Path, fifo: int
) -> None:
    size = 300 * MB
    log = LogWriter(str(directory), "stdout", max_size=32 * MB)
    with run(WRITER, tmp_path / "fifo", size) as writer:
        pump(log, fifo, until=lambda: log.end == size)
        out, _ = writer.communicate(timeout=DEADLINE)
        assert writer.returncode == 0, "no SIGPIPE, no error"
        assert int(out) < 5_000, "ms that one write of 64 KiB took"
    files = log.open_from(0)
    assert [base % (32 * MB) for base, _ in files] == [0, 0, 0]
    base = files[0][0]
    assert base == size // (32 * MB) * (32 * MB) - 2 * 32 * MB
    starts = range(base, size, MB)
    assert digest(
        os.pread(fd, MB, at) for _, fd in files for at in range(0, os.fstat(fd).st_size, MB)
    ) == digest(expected(start, min(MB, size - start)) for start in starts)
    for _, fd in files:
        os.close(fd)
    log.close()


def test_rotation_keeps_so_many_files_with_their_indexes(directory: Path) -> None:
    log = LogWriter(str(directory), "stdout", max_size=1000, keep=3)
    data = expected(0, 4500)
    log.write(data)
    names = {f"stdout{age}{suffix}" for age in ("", ".1", ".2") for suffix in ("", ".idx")}
    assert set(os.listdir(directory)) == names
    assert [(directory / f"stdout{age}").stat().st_size for age in ("", ".1", ".2")] == [500, 1000, 1000]
    assert [index(directory, f"stdout{age}")[0][2] for age in ("", ".1", ".2")] == [4000, 3000, 2000]
    assert kept(directory, log) == (2000, data[2000:])
    assert log.end == 4500
    log.close()


def test_keeping_one_file_keeps_the_newest(directory: Path) -> None:
    log = LogWriter(str(directory), "stdout", max_size=1000, keep=1)
    log.write(expected(0, 2300))
    assert sorted(os.listdir(directory)) == ["stdout", "stdout.idx"]
    assert kept(directory, log) == (2000, expected(2000, 300))
    log.close()


def test_each_new_file_is_told_when_it_is_there_and_still_empty(directory: Path) -> None:
    log, told = LogWriter(str(directory), "stdout", max_size=1000), []

    def note(writer: LogWriter) -> None:
        ((base, fd),) = writer.open_from()
        told.append((base, os.fstat(fd).st_size))
        os.close(fd)

    log.on_new_file = note
    log.write(bytes(2500))
    assert told == [(1000, 0), (2000, 0)]
    log.close()


@pytest.mark.parametrize(
    ("offset", "bases"),
    [
        (None, [4000]),
        (4400, [4000]),
        (4000, [4000]),
        (3999, [3000, 4000]),
        (2000, [2000, 3000, 4000]),
        (0, [2000, 3000, 4000]),
    ],
)
def test_files_are_opened_from_the_one_that_holds_the_offset(
    directory: Path, offset: int | None, bases: list[int]
) -> None:
    log = LogWriter(str(directory), "stdout", max_size=1000)
    log.write(bytes(4500))
    files = log.open_from(offset)
    assert [base for base, _ in files] == bases
    for _, fd in files:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.write(fd, b"x")
        os.close(fd)
    log.close()


@pytest.mark.parametrize(("step", "records"), [(1_000_000, 20), (4_999_999, 50), (5_000_000, 100), (-1, 100)])
def test_movements_within_5_ms_share_a_record(
    directory: Path, monkeypatch: pytest.MonkeyPatch, step: int, records: int
) -> None:
    """A clock that was set back begins a new one."""
    monkeypatch.setattr(logfile, "time", Clock(step))
    log = LogWriter(str(directory), "stdout")
    for _ in range(100):
        log.write(b"x")
    found = index(directory)[1:]
    assert len(found) == records
    assert found[-1][2] == 100
    log.close()


def test_the_index_tells_the_order_of_two_streams_even_within_5_ms(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logfile, "time", Clock(1000))
    turn = Turn()
    logs = {name: LogWriter(str(directory), name, turn=turn) for name in ("stdout", "stderr")}
    for name in ("stdout", "stdout", "stderr", "stdout", "stderr"):
        logs[name].write(b"x")
    times = [(record[1], name) for name in logs for record in index(directory, name)[1:]]
    assert [name for _, name in sorted(times)] == ["stdout", "stderr", "stdout", "stderr"]
    for log in logs.values():
        log.close()


def test_the_index_is_bounded_like_the_log(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logfile, "time", Clock(10_000_000))
    log = LogWriter(str(directory), "stdout", max_size=4096, keep=3)
    for _ in range(1000):
        log.write(b"x")
    sizes = [(directory / name).stat().st_size for name in os.listdir(directory) if name.endswith(".idx")]
    assert len(sizes) == 3
    assert max(sizes) <= 4096
    assert log.end == 1000
    log.close()


@pytest.mark.parametrize("umask", [0o000, 0o777])
def test_files_are_0600_whatever_the_umask(directory: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        log = LogWriter(str(directory), "stdout", max_size=10)
        log.write(bytes(15))
    finally:
        os.umask(before)
    assert {oct((directory / name).stat().st_mode & 0o7777) for name in os.listdir(directory)} == {"0o600"}
    log.close()


def test_a_record_is_32_bytes_and_reads_as_it_was_written() -> None:
    assert SIZE == 32
    assert unpack(logindex.pack(DATA, 2**64 - 1, 7, 5) + b"torn") == [(DATA, 2**64 - 1, 7, 5)]
