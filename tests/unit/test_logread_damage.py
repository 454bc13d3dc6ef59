"""Damaged and missing indexes cost times and hide no byte; and a simple model agrees on what is selected."""

from __future__ import annotations

import os
from itertools import groupby
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from effects.logindex import BASE, DATA, LOST, pack
from effects.logread import LogReader
from tests.logs import SECOND, Container, Make, T, conversation, selected


def test_a_missing_index_costs_the_times_and_is_told_once(container: Make, directory: Path) -> None:
    conversation(container)
    (directory / "stdout.idx").unlink()
    complaints: list[str] = []
    with LogReader(str(directory), complaints.append) as reader:
        for _ in range(2):
            text = b"".join(piece.data for piece in reader.pieces())
            assert sorted(text.split(b"\n")) == sorted(b"0\n1\n2\n3 begins and ends\n4\n5".split(b"\n"))
    assert complaints == ["some times of stdout are unknown: their index is damaged"]


def test_a_sound_log_is_not_complained_of(container: Make, directory: Path) -> None:
    conversation(container)
    complaints: list[str] = []
    selected(directory, complaints=complaints, tail=3)
    selected(directory, complaints=complaints)
    assert complaints == []


def test_a_copied_directory_keeps_its_times(container: Make, directory: Path, tmp_path: Path) -> None:
    """Other inode numbers: the indexes are known by their names then."""
    conversation(container)
    (tmp_path / "copy").mkdir()
    (tmp_path / "other").write_bytes(b"")
    for name in sorted(os.listdir(directory)):
        (tmp_path / "copy" / name).write_bytes((directory / name).read_bytes())
    assert (
        selected(tmp_path / "copy", since=T + 2 * SECOND, until=T + 4 * SECOND)
        == b"2\n3 begins and ends\n4\n"
    )


def test_an_index_that_a_cut_rotation_left_under_another_name_is_found(
    container: Make, directory: Path
) -> None:
    c = container(max_size=10, keep=3)
    c.says(0, b"012345678\n")
    c.says(9, b"later\n")
    (directory / "stdout.1.idx").rename(directory / "stdout.2.idx")
    complaints: list[str] = []
    assert selected(directory, complaints=complaints, until=T + SECOND) == b"012345678\n"
    assert complaints == []


records = st.builds(
    pack,
    st.sampled_from([BASE, DATA, LOST, b"\0\0\0\0", b"NOPE"]),
    st.integers(0, 2**64 - 1) | st.integers(T, T + 100),
    st.integers(0, 2**64 - 1) | st.integers(0, 40),
    st.integers(0, 2**64 - 1) | st.integers(0, 40),
)


@given(
    index=st.binary(max_size=100) | st.lists(records, max_size=6).map(b"".join),
    tail=st.none() | st.integers(0, 5),
    timed=st.booleans(),
)
def test_no_index_whatever_it_holds_hides_a_byte(
    tmp_path_factory: pytest.TempPathFactory, index: bytes, tail: int | None, *, timed: bool
) -> None:
    directory = tmp_path_factory.mktemp("log")
    text = b"one\ntwo\0\n\nthree\nfour"
    (directory / "stdout").write_bytes(text)
    (directory / "stdout.idx").write_bytes(index)
    lines = text.splitlines(keepends=True)
    assert selected(directory, tail=tail, timed=timed) == b"".join(
        lines if tail is None else lines[len(lines) - tail :]
    )
    found = selected(directory, since=T, until=T + 50)
    assert found in text, "times may be wrong, but lines are whole and in order"


said = st.tuples(
    st.integers(1, 3),
    st.sampled_from(["stdout", "stderr"]),
    st.sampled_from([b"a\n", b"b\nc\n", b"long line\n", b"d"]),
)


def model(events: list[tuple[int, str, bytes]]) -> list[tuple[int, str, bytes]]:
    """(time, stream, line) of each line, in the order of their ends; unfinished ones have the last time of their stream."""
    lines, open_ = [], {"stdout": b"", "stderr": b""}
    last = {"stdout": 0, "stderr": 0}
    now = 0
    for wait, stream, data in events:
        now += wait
        last[stream] = now
        *whole, rest = (open_[stream] + data).split(b"\n")
        lines += [(now, stream, line + b"\n") for line in whole]
        open_[stream] = rest
    lines += [(last[stream], stream, rest) for stream, rest in open_.items() if rest]
    return sorted(lines, key=lambda line: line[0])


@given(
    events=st.lists(said, max_size=30),
    tail=st.none() | st.integers(0, 8),
    since=st.none() | st.integers(0, 40),
    until=st.none() | st.integers(0, 40),
    timed=st.booleans(),
)
def test_a_simple_model_selects_the_same_lines(
    tmp_path_factory: pytest.TempPathFactory,
    events: list[tuple[int, str, bytes]],
    tail: int | None,
    since: int | None,
    until: int | None,
    *,
    timed: bool,
) -> None:
    directory = tmp_path_factory.mktemp("log")
    with pytest.MonkeyPatch.context() as patch:
        c = Container(directory, patch, max_size=20, keep=1000)
        now = 0
        for wait, stream, data in events:
            now += wait
            c.says(now, data, stream)
        for log in c.logs.values():
            log.close()
    wanted = [
        line
        for line in model(events)
        if (since is None or line[0] >= since) and (until is None or line[0] <= until)
    ]
    if until is not None:  # the end of an unfinished line is not there yet, whatever comes later
        wanted = [line for line in wanted if line[2].endswith(b"\n") or line[0] <= until]
    if tail is not None:
        wanted = wanted[len(wanted) - min(tail, len(wanted)) :]
    options = {
        "since": None if since is None else T + since * SECOND,
        "until": None if until is None else T + until * SECOND,
    }
    with LogReader(str(directory)) as reader:
        found = [(piece.stream, piece.data) for piece in reader.pieces(tail=tail, timed=timed, **options)]
    runs = [
        (stream, b"".join(data for _, data in group))
        for stream, group in groupby(found, lambda piece: piece[0])
    ]
    expected = [
        (stream, b"".join(line for *_, line in group))
        for stream, group in groupby(wanted, lambda line: line[1])
    ]
    assert runs == expected
