"""A snapshot is a cache: whatever is wrong with it, there is none, and everything is replayed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from eventstore.cursor import Cursor
from eventstore.snapshots import Snapshots
from tests.journal_damage import Place, lines_of, overwrite

PAYLOAD = b'{"things":[1,2]}\nand a second line'


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


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


def test_the_newest_two_are_kept(place: Place) -> None:
    for n in range(4):
        Snapshots(str(place.journal)).save("7", Cursor(1, 100 * n, n), b"")

    assert sorted(os.listdir(place.journal / "snap")) == [f"{2:020d}.snap", f"{3:020d}.snap"]


def test_an_older_one_of_the_same_code_serves_where_the_newest_does_not(place: Place) -> None:
    cursor = save(place)
    Snapshots(str(place.journal)).save("8", Cursor(1, 5, cursor.n + 1), b"newer program")

    assert load(place) == (cursor, PAYLOAD)


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
