"""Archived segments: packed so that parts can be read, never lost on the way, and found by stream and by word."""

from __future__ import annotations

import contextlib
import fcntl
import os
import random
import subprocess
from pathlib import Path
from typing import Any

import pytest

from eventstore import archive as archiving
from eventstore import zstd
from eventstore.archive import all_numbers, archive, archived_numbers, head_of, open_source
from eventstore.codec import link_of
from eventstore.cursor import Cursor
from eventstore.errors import ArchiveBusy, Corrupt, WriteFailed
from eventstore.reader import cursor_before, read_events, read_lines, stream_events, stream_lines, word_events
from eventstore.schema import Archived, Schema
from eventstore.segments import name_of, segment_numbers
from eventstore.sources import BLOCK, Packed, pack
from eventstore.tail import Tail
from eventstore.verify import verify
from tests.journal_damage import Place, flip
from tests.journal_events import BY, SCHEMA, Counted, Noted

EVERYTHING = 1 << 60
WORDS = Schema(1, (Noted, Counted), keywords={Noted.tag: ("text",)})


@pytest.fixture
def place(tmp_path: Path) -> Place:
    place = Place(tmp_path, "ab", 2500)
    journal, world = place.open()
    for number in range(30):
        with journal.transaction(world, by=BY, why="user", op=str(number)) as tx:
            tx.append(f"thing/{number % 3}", Noted(text=f"{number % 5} and some more"))
    journal.close()
    return place


def where(place: Place) -> str:
    return str(place.journal)


def packed(data: bytes) -> Packed:
    file = os.memfd_create("packed")
    os.write(file, pack(data))
    return Packed(file, "packed")


@pytest.mark.parametrize("size", [1, 100, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK, 3 * BLOCK + 7])
def test_what_was_packed_is_read_in_any_parts(size: int) -> None:
    data = b"the header\n" + random.Random(size).randbytes(size)
    with packed(data) as source:
        assert source.size == len(data)
        assert source.read(len(data) + 9, 0) == data
        for offset in (0, 5, 10, 11, BLOCK, BLOCK + 10, BLOCK + 11, BLOCK + 12, len(data) - 1, len(data)):
            for length in (0, 1, 20, BLOCK, 2 * BLOCK + 1):
                assert source.read(length, offset) == data[offset : offset + length]


def test_what_was_packed_is_read_by_any_zstd(tmp_path: Path) -> None:
    data = b"a line\n" * 100_000
    (tmp_path / "f.zst").write_bytes(pack(data))

    assert subprocess.run(["zstd", "-dc", tmp_path / "f.zst"], capture_output=True, check=True).stdout == data


def test_any_flipped_bit_of_a_packed_segment_is_found(place: Place) -> None:
    segment = place.segments()[0]
    data, good = segment.read_bytes(), pack(segment.read_bytes())
    for byte in range(len(good)):
        bad = bytearray(good)
        bad[byte] ^= 1 << byte % 8
        file = os.memfd_create("packed")
        os.write(file, bad)
        try:
            source = Packed(file, "packed")
        except Corrupt:
            os.close(file)  # not its own yet
            continue
        with source, contextlib.suppress(Corrupt):
            found = source.read(source.size, 0)
            assert found == data, f"byte {byte} of {len(good)} made another segment"


def test_a_packed_file_that_was_cut_short_is_found(place: Place) -> None:
    archive(where(place), SCHEMA, EVERYTHING)
    path = min((place.journal / "archive").iterdir())
    good = path.read_bytes()
    path.chmod(0o600)
    for size in (0, 8, 9, 17, len(good) // 2, len(good) - 1):
        path.write_bytes(good[:size])
        with pytest.raises(Corrupt, match="cannot be unpacked"):
            list(read_events(where(place), SCHEMA))


def test_of_an_archived_segment_only_what_holds_the_stream_is_unpacked(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = list(stream_events(where(place), SCHEMA, "thing/none"))
    monkeypatch.setattr("eventstore.sources.BLOCK", 700)
    archive(where(place), SCHEMA, EVERYTHING)
    unpacked: list[int] = []
    real = zstd.decompress

    def counted(frame: bytes, size: int) -> bytes:
        unpacked.append(size)
        return real(frame, size)

    monkeypatch.setattr(zstd, "decompress", counted)
    assert list(stream_events(where(place), SCHEMA, "thing/none")) == wanted
    assert len(unpacked) == len(archived_numbers(where(place))) - 1  # headers, but for the first
    assert head_of(where(place), 1, SCHEMA).n == 1


def test_who_waits_for_the_indexes_is_told_of_each_segment(place: Place) -> None:
    told: list[tuple[int, int]] = []
    list(stream_lines(where(place), SCHEMA, "thing/0", told=lambda done, all_: told.append((done, all_))))
    count = len(all_numbers(where(place)))

    assert told == [(done, count) for done in range(count - 1)] != []


@pytest.mark.parametrize("archived", [False, True])
def test_several_streams_come_in_the_order_of_the_journal_and_with_their_lines(
    place: Place, archived: bool
) -> None:
    everything = list(read_lines(where(place), SCHEMA))
    if archived:
        archive(where(place), SCHEMA, EVERYTHING)

    found = list(stream_lines(where(place), SCHEMA, "thing/2", "journal", "thing/0"))

    assert found == [pair for pair in everything if pair[0].s in ("thing/2", "journal", "thing/0")]
    assert b"".join(line for _, line in everything).count(b"\n") == everything[-1][0].n


@pytest.mark.parametrize("archived", [False, True])
@pytest.mark.parametrize("word", ["3 and some more", "3 and some m", "3", "a", "none", ""])
def test_events_are_found_by_a_word_of_them(place: Place, word: str, archived: bool) -> None:
    def has(event: Any) -> bool:
        return bool(event.tag == Noted.tag and event.text[:12] == word[:12])

    wanted = [event for event in read_events(where(place), WORDS) if has(event)]
    assert bool(wanted) == (word[:1] in ("3", "a") and word != "3")
    if archived:
        archive(where(place), WORDS, EVERYTHING)

    assert list(word_events(where(place), WORDS, word)) == wanted
    assert list(word_events(where(place), WORDS, word)) == wanted


def test_an_index_made_for_other_keywords_is_made_again(place: Place) -> None:
    list(stream_events(where(place), SCHEMA, "thing/1"))

    assert list(word_events(where(place), WORDS, "3 and some more"))


@pytest.mark.parametrize("archived", [False, True])
def test_the_position_before_any_line_is_found(place: Place, archived: bool) -> None:
    if archived:
        archive(where(place), SCHEMA, EVERYTHING)
    lines = [line for _, line in read_lines(where(place), SCHEMA)]
    for n in range(1, len(lines) + 3):
        at = cursor_before(where(place), n)
        assert at.n == min(n - 1, len(lines))
        assert at == Cursor() if at.n == 0 else at.h == link_of(lines[at.n - 1])
        tail = Tail(where(place), SCHEMA, at)
        assert [event.n for events in tail.read() for event in events] == list(
            range(at.n + 1, len(lines) + 1)
        )
        tail.close()


def test_a_segment_leaves_only_when_the_journal_tells_of_it(place: Place) -> None:
    before = segment_numbers(where(place))
    noted: list[Archived] = []

    def note(event: Archived) -> None:
        assert {event.segment} <= {path.name for path in place.segments()}
        assert (place.journal / "archive" / f"{event.segment}.zst").exists()
        noted.append(event)
        if len(noted) == 2:
            raise OSError(28, "no space left on device")

    with pytest.raises(WriteFailed, match="archive of"):
        archive(where(place), SCHEMA, EVERYTHING, note)

    assert segment_numbers(where(place)) == before[1:]
    assert verify(where(place)).findings == []
    left = archive(where(place), SCHEMA, EVERYTHING, noted.append)
    assert [event.segment for event in left] == [name_of(first) for first in before[1:-1]]
    assert verify(where(place)).findings == []


def test_the_journals_own_versions_go_on_behind_an_archived_event(place: Place) -> None:
    journal, world = place.open()

    def note(event: Archived) -> None:
        with journal.transaction(world, by=BY, why="user", op="x") as tx:
            tx.append("journal", event)

    archive(where(place), SCHEMA, EVERYTHING, note)
    for number in range(30):  # through some rotations, whose headers are events of the same stream
        with journal.transaction(world, by=BY, why="user", op="x") as tx:
            tx.append("thing/1", Noted(text=str(number)))
    journal.close()

    assert verify(where(place)).findings == []
    last = place.segments()[-1]
    last.write_bytes(last.read_bytes() + b"torn")
    place.reboot()
    place.open()[0].close()
    assert verify(where(place)).findings == []


def test_two_do_not_archive_at_once(place: Place) -> None:
    os.makedirs(place.journal / "archive")
    other = os.open(place.journal / "archive", os.O_RDONLY)
    fcntl.flock(other, fcntl.LOCK_EX)
    try:
        with pytest.raises(ArchiveBusy, match="another process"):
            archive(where(place), SCHEMA, EVERYTHING)
    finally:
        os.close(other)

    assert archive(where(place), SCHEMA, EVERYTHING)


def test_a_packed_form_that_comes_back_changed_is_no_reason_to_let_the_segment_go(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archiving, "pack", lambda data: pack(data.replace(b"some", b"same")))

    with pytest.raises(Corrupt, match="it stays where it is"):
        archive(where(place), SCHEMA, EVERYTHING)

    assert place.segments()[0].exists()
    monkeypatch.undo()
    flip(place.segments()[0], 900)
    with pytest.raises(Corrupt, match="it stays where it is"):
        archive(where(place), SCHEMA, EVERYTHING)


def test_an_archived_segment_is_a_source_like_any_other(place: Place) -> None:
    data = place.segments()[0].read_bytes()
    archive(where(place), SCHEMA, EVERYTHING)

    with open_source(where(place), 1) as source:
        assert (source.size, source.read(100, 50)) == (len(data), data[50:150])
