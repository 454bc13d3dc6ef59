"""Reading the logs: what is selected, in which order, with which times; and no byte ever hidden."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from effects.logindex import BASE, DATA, pack
from effects.logprint import print_logs, stamp
from effects.logread import LogReader
from tests.logs import SECOND, Make, T, conversation, selected


def printed(directory: Path, tmp_path: Path, **options: Any) -> tuple[bytes, bytes, bytes]:
    """(both outputs in one, stdout alone, stderr alone)."""
    outputs = []
    for name, fds in (("both", (0, 0)), ("out", (0, 1)), ("err", (1, 0))):
        with (tmp_path / name).open("wb") as file, (tmp_path / "other").open("wb") as other:
            ends = (file.fileno(), other.fileno())
            with LogReader(str(directory)) as reader:
                print_logs(reader, out=ends[fds[0]], err=ends[fds[1]], **options)
        outputs.append((tmp_path / name).read_bytes())
    return outputs[0], outputs[1], outputs[2]


def test_streams_are_merged_by_time_and_go_where_they_came_from(
    container: Make, directory: Path, tmp_path: Path
) -> None:
    conversation(container)
    both, out, err = printed(directory, tmp_path)
    assert both == b"0\n1\n2\n3 begins and ends\n4\n5"
    assert out == b"0\n2\n3 begins and ends\n5"
    assert err == b"1\n4\n"


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"tail": 0}, b""),
        ({"tail": 1}, b"5"),
        ({"tail": 2}, b"4\n5"),
        ({"tail": 3}, b"3 begins and ends\n4\n5"),
        ({"tail": 6}, b"0\n1\n2\n3 begins and ends\n4\n5"),
        ({"tail": 1000}, b"0\n1\n2\n3 begins and ends\n4\n5"),
        ({"since": T}, b"0\n1\n2\n3 begins and ends\n4\n5"),
        ({"since": T + 1}, b"1\n2\n3 begins and ends\n4\n5"),
        ({"since": T + 2 * SECOND}, b"2\n3 begins and ends\n4\n5"),
        ({"since": T + 3 * SECOND}, b"3 begins and ends\n4\n5"),
        ({"since": T + 6 * SECOND}, b""),
        ({"until": T - 1}, b""),
        ({"until": T + 2 * SECOND}, b"0\n1\n2\n"),
        ({"until": T + 3 * SECOND}, b"0\n1\n2\n3 begins and ends\n"),
        ({"since": T + SECOND, "until": T + 2 * SECOND}, b"1\n2\n"),
        ({"tail": 2, "until": T + 4 * SECOND}, b"3 begins and ends\n4\n"),
        ({"tail": 3, "since": T + 4 * SECOND}, b"4\n5"),
    ],
)
@pytest.mark.parametrize("timed", [False, True])
def test_lines_are_selected_by_number_and_time(
    container: Make, directory: Path, options: dict[str, Any], text: bytes, *, timed: bool
) -> None:
    conversation(container)
    assert selected(directory, timed=timed, **options) == text


def test_each_line_can_have_the_time_of_its_end(container: Make, directory: Path, tmp_path: Path) -> None:
    conversation(container)
    both, *_ = printed(directory, tmp_path, timestamps=True)
    lines = [b"0\n", b"1\n", b"2\n", b"3 begins and ends\n", b"4\n", b"5"]
    times = [0, 1, 2, 3, 4, 5]
    assert both == b"".join(
        stamp(T + at * SECOND) + b" " + line for at, line in zip(times, lines, strict=True)
    )


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (0, b"1970-01-01T00:00:00.000000000Z"),
        (T + 42, b"2023-11-14T22:13:20.000000042Z"),
        (2**64 - 1, b"2554-07-21T23:34:33.709551615Z"),
    ],
)
def test_times_are_written_as_docker_writes_them(moment: int, text: bytes) -> None:
    assert stamp(moment) == text


STRANGE = [
    b"before\0after\n",
    b"\0" * 5000 + b"\n",
    b"\xff\xfe\n\xc3\n",
    b"carriage\rreturn\r\nform\x0cfeed\x85\n",
    b"\n\n\n",
    b"x" * 300_000 + b"\n",
    b"no end",
]


@pytest.mark.parametrize("data", STRANGE)
def test_lines_are_bytes_and_pass_as_they_are(
    container: Make, directory: Path, tmp_path: Path, data: bytes
) -> None:
    c = container()
    c.says(0, data)
    c.says(1, b"more\n")
    assert selected(directory) == data + b"more\n"
    stamped, *_ = printed(directory, tmp_path, timestamps=True)
    assert stamped.count(b"2023-11-14T") == (data + b"more\n").count(b"\n"), "one a line, whatever is in it"


def test_a_line_longer_than_anything_is_one_line(container: Make, directory: Path, tmp_path: Path) -> None:
    c = container()
    for at in range(20):
        c.says(at, b"y" * 100_000)
    c.says(20, b"\nshort\n")
    c.says(10, b"between\n", "stderr")
    assert len(selected(directory, tail=1)) == 6
    assert len(selected(directory, tail=3)) == 2_000_001 + 6 + 8
    out = printed(directory, tmp_path, timestamps=True)[1]
    assert out.count(b"2023-11-14T") == 2


def test_what_the_disk_cost_is_told_where_it_is_missing(
    container: Make, directory: Path, tmp_path: Path
) -> None:
    c = container()
    c.says(0, b"kept\n")
    c.logs["stdout"]._lose(99)
    c.says(1, b"later\n")
    both, out, _ = printed(directory, tmp_path)
    assert both == b"kept\nmydocker: 99 bytes of stdout were lost here\nlater\n"
    assert out == b"kept\nlater\n"
    assert printed(directory, tmp_path, tail=1)[0] == b"mydocker: 99 bytes of stdout were lost here\nlater\n"
    c.says(2, b"end\n")
    assert printed(directory, tmp_path, tail=1)[0] == b"end\n"


def test_losing_everything_is_told_too(container: Make, directory: Path, tmp_path: Path) -> None:
    c = container()
    c.logs["stdout"]._lose(5)
    c.logs["stdout"].close()
    assert printed(directory, tmp_path)[0] == b"mydocker: 5 bytes of stdout were lost here\n"


def test_no_log_at_all_is_an_empty_one(directory: Path) -> None:
    assert selected(directory) == b""
    assert selected(directory, tail=5, since=1, until=2) == b""


def test_rotated_files_are_read_as_one(container: Make, directory: Path) -> None:
    c = container(max_size=1000, keep=3)
    for at in range(300):
        c.says(at, b"%08d\n" % at)
    text = selected(directory)
    assert text == b"".join(b"%08d\n" % at for at in range(300))[-len(text) :]
    assert 2000 <= len(text) <= 3000
    assert selected(directory, tail=150) == b"".join(b"%08d\n" % at for at in range(150, 300))
    assert selected(directory, since=T + 199 * SECOND) == b"".join(b"%08d\n" % at for at in range(199, 300))


def test_a_clock_that_was_set_back_hides_nothing_newer(container: Make, directory: Path) -> None:
    c = container()
    for at, line in ((10, b"a\n"), (20, b"b\n"), (5, b"c\n"), (6, b"d\n")):
        c.says(at, line)
    assert selected(directory) == b"a\nb\nc\nd\n"
    assert selected(directory, since=T + 15 * SECOND) == b"b\nc\nd\n"


def test_the_tail_of_a_full_log_takes_milliseconds(directory: Path) -> None:
    """60 MB with a record per line, which is as much as an index holds."""
    line = b"x" * 79 + b"\n"
    count = 750_000
    (directory / "stdout").write_bytes(line * count)
    inode = (directory / "stdout").stat().st_ino
    with (directory / "stdout.idx").open("wb") as index:
        index.write(pack(BASE, T, 0, inode))
        index.write(b"".join(pack(DATA, T + at, (at + 1) * 80) for at in range(count)))
    start = time.process_time()
    assert selected(directory, tail=10, timed=True) == line * 10
    assert time.process_time() - start < 0.05
