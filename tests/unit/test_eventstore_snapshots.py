"""A snapshot is a cache: whatever is wrong with it, there is none, and everything is replayed."""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path

import pytest

from eventstore.archive import archive, digests
from eventstore.cursor import Cursor
from eventstore.journal import Journal
from eventstore.reader import cursor_before
from eventstore.segments import segment_numbers
from eventstore.snapshots import Snapshots
from tests.journal_damage import Place, lines_of, overwrite
from tests.journal_events import BY, SCHEMA, Noted

PAYLOAD = b'{"things":[1,2]}\nand a second line'


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.fixture
def small(tmp_path: Path) -> Place:
    """A segment holds two or three events."""
    return Place(tmp_path, segment_size=1500)


def save(place: Place, code: str = "7", payload: bytes = PAYLOAD) -> Cursor:
    journal, _ = place.open()
    assert Snapshots(str(place.journal)).save(code, journal.cursor, payload)
    return journal.cursor


def load(place: Place, code: str = "7") -> tuple[Cursor, bytes] | None:
    found = Snapshots(str(place.journal)).load(code)
    return (found[0], bytes(found[1])) if found else None


def test_what_was_saved_is_loaded(place: Place) -> None:
    cursor = save(place)

    assert load(place) == (cursor, PAYLOAD)


def test_there_is_none_of_another_version_of_the_code(place: Place) -> None:
    save(place)

    assert load(place, "8") is None


def test_the_newest_two_are_kept_and_the_first_of_each_segment(place: Place) -> None:
    for n in range(1, 9):
        Snapshots(str(place.journal)).save("7", Cursor(n // 4 * 4 or 1, 100 * n, n), b"", ts=n)

    names = sorted(os.listdir(place.journal / "snap"))
    assert [(int(name[:20]), int(name[21:41])) for name in names] == [(1, 1), (4, 4), (4, 7), (8, 8)]


def test_the_last_one_before_a_number_is_found(small: Place) -> None:
    snapshots, found = Snapshots(str(small.journal)), []
    for _ in range(4):
        journal, world = small.open()
        with journal.transaction(world, by=BY, why="user", op="x") as tx:
            tx.append(
                "thing/1", Noted(text="x" * 1500)
            )  # each begins a segment, whose first snapshot is kept
        assert snapshots.save("7", journal.cursor, b"")
        found.append((journal.cursor, world.events[-1].ts))
        journal.close()
    archive(str(small.journal), SCHEMA, found[1][0].n)

    for number, (at, ts) in enumerate(found):
        before = [None, *found][number]
        loaded, earlier = snapshots.load("7", n=at.n), snapshots.load("7", n=at.n - 1)
        assert loaded is not None
        assert (loaded[0], loaded[2]) == (at, ts)
        assert (earlier and (earlier[0], earlier[2])) == before


def test_a_base_is_found_where_its_segments_are_gone_and_not_where_another_chain_goes_on(
    small: Place,
) -> None:
    directory, snapshots = str(small.journal), Snapshots(str(small.journal))
    last = segment_numbers(directory)[-1]
    sealed = digests(directory, SCHEMA, last)
    assert snapshots.save_base("7", cursor_before(directory, last), PAYLOAD, ts=5, archived=sealed)
    archive(directory, SCHEMA, last)
    assert list(sealed.values()) == [
        hashlib.sha256(zstd(path)).hexdigest() for path in sorted((small.journal / "archive").glob("*.zst"))
    ]
    for path in (small.journal / "archive").glob("*.zst"):
        path.unlink()

    found = snapshots.load("7")
    assert found is not None
    assert (found[0].n, bytes(found[1]), found[2]) == (last - 1, PAYLOAD, 5)
    journal = Journal.open(directory, SCHEMA, cursor=found[0], read_only=True)
    assert journal.cursor.n == last - 1
    path = small.segments()[-1]
    overwrite(path, path.read_bytes().replace(b'"why":"rotation"', b'"why":"rotatioN"'))
    assert snapshots.load("7") is None


def zstd(path: Path) -> bytes:
    return subprocess.run(["zstd", "-dc", path], capture_output=True, check=True).stdout


def test_an_older_one_of_the_same_code_serves_where_the_newest_does_not(place: Place) -> None:
    cursor = save(place)
    Snapshots(str(place.journal)).save("8", Cursor(1, 5, cursor.n + 1), b"newer program")

    assert load(place) == (cursor, PAYLOAD)


@pytest.mark.parametrize("name", ["x.snap", ".snap", f"{7:020d}.snap", f"{1:020d}-{'x':>20}.snap"])
def test_a_file_of_another_name_is_left_alone(place: Place, name: str) -> None:
    cursor = save(place)
    (place.journal / "snap" / name).write_bytes(b"somebody's own")

    assert load(place) == (cursor, PAYLOAD)
    assert Snapshots(str(place.journal)).load("7", n=cursor.n)
    for n in range(3):
        Snapshots(str(place.journal)).save("7", Cursor(1, 5, n), b"")
    assert (place.journal / "snap" / name).exists()


def test_any_flipped_byte_makes_it_none(place: Place) -> None:
    save(place)
    (path,) = (place.journal / "snap").iterdir()
    data = path.read_bytes()
    for byte in range(len(data)):
        path.write_bytes(data[:byte] + bytes([data[byte] ^ 1]) + data[byte + 1 :])
        assert load(place) is None, byte


def test_any_truncation_makes_it_none(place: Place) -> None:
    save(place)
    (path,) = (place.journal / "snap").iterdir()
    data = path.read_bytes()
    for size in range(len(data)):
        path.write_bytes(data[:size])
        assert load(place) is None, size


def test_one_that_is_ahead_of_the_journal_is_none(place: Place) -> None:
    save(place)
    path = place.segments()[-1]
    overwrite(path, b"".join(lines_of(path)[:-1]))

    assert load(place) is None


def test_one_of_another_journal_is_none(place: Place, tmp_path: Path) -> None:
    other = Place(tmp_path / "other", identity=bytes(15) + b"\1")
    save(other)
    os.rename(other.journal / "snap", place.journal / "snap")

    assert load(other) is None
    assert load(place) is None


def test_only_one_process_saves_at_a_time(place: Place) -> None:
    import fcntl

    save(place)
    folder = os.open(place.journal / "snap", os.O_RDONLY)
    fcntl.flock(folder, fcntl.LOCK_EX)
    try:
        assert not Snapshots(str(place.journal)).save("7", Cursor(), b"")
    finally:
        os.close(folder)
