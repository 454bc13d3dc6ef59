"""What is known until the next boot, and what happens when it is lost, old, or another journal's."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from eventstore.errors import Corrupt, ForeignHost, JournalError, NotWritable, StaleCursor
from eventstore.journal import Journal
from eventstore.lock import Lock
from eventstore.runstate import RunState
from eventstore.schema import Repaired
from eventstore.verify import verify
from tests.journal_damage import DAMAGES, Damage, Place, flip, lines_of, overwrite
from tests.journal_events import BY, SCHEMA


@pytest.fixture
def lock(tmp_path: Path) -> Lock:
    lock = Lock(str(tmp_path / "lock"), 1.0)
    lock.acquire()
    return lock


def made(tmp_path: Path, lock: Lock, durable: int = 5) -> RunState:
    state = RunState(str(tmp_path / "run"), "ab")
    state.create(lock, durable, 1)
    return state


def test_it_is_current_only_in_the_boot_that_it_was_made_in(tmp_path: Path, lock: Lock) -> None:
    made(tmp_path, lock).close()
    same, other = RunState(str(tmp_path / "run"), "ab"), RunState(str(tmp_path / "run"), "ab")
    other.boot = "00000000-0000-0000-0000-000000000000"

    assert same.current(lock)
    assert not other.current(lock)
    assert not RunState(str(tmp_path / "run"), "cd").current(lock)


def test_any_other_content_is_as_good_as_none(tmp_path: Path, lock: Lock) -> None:
    path = Path(made(tmp_path, lock).path)
    data = path.read_bytes()
    for broken in (b"", data[:50], b"x" + data[1:], data[:20] + b"x" + data[21:]):
        path.write_bytes(broken)
        assert not RunState(str(tmp_path / "run"), "ab").current(lock)


def test_one_of_another_copy_is_refused(tmp_path: Path, lock: Lock) -> None:
    made(tmp_path, lock).close()
    (tmp_path / "copy").mkdir()
    other = Lock(str(tmp_path / "copy" / "lock"), 1.0)
    other.acquire()

    with pytest.raises(ForeignHost, match=r"if only this one is left, remove .*/run/journal-ab"):
        RunState(str(tmp_path / "run"), "ab").current(other)


def test_what_is_durable_only_grows(tmp_path: Path, lock: Lock) -> None:
    state = made(tmp_path, lock, 5)
    state.raise_durable(9)
    state.raise_durable(7)

    assert state.read() == (9, False, 1)


def test_after_a_failed_sync_nothing_more_is_called_durable(tmp_path: Path, lock: Lock) -> None:
    state = made(tmp_path, lock, 5)
    state.set_failed(failed=True)

    assert not state.raise_durable(9)
    assert state.read() == (5, True, 1)


def test_a_run_directory_that_cannot_be_made_is_named(tmp_path: Path, lock: Lock) -> None:
    (tmp_path / "run").write_bytes(b"")

    with pytest.raises(NotWritable, match="run/journal-ab cannot be written"):
        made(tmp_path, lock)


def test_a_lock_in_a_place_that_is_no_directory_raises_what_the_kernel_says(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")

    with pytest.raises(NotADirectoryError):
        Lock(str(tmp_path / "file" / "lock"), 1.0).acquire()


ACKNOWLEDGED = [
    damage for damage in DAMAGES if re.search("line.* (of|in|from) the last segment$", damage.name)
]


@pytest.mark.parametrize("damage", ACKNOWLEDGED, ids=lambda damage: damage.name)
def test_damage_to_what_was_acknowledged_is_cut_off_only_on_demand(tmp_path: Path, damage: Damage) -> None:
    place = Place(tmp_path)
    damage.do(place)
    place.reboot()
    directory, run = str(place.journal), str(place.root / "run")
    before = place.segments()[-1].read_bytes()
    with pytest.raises(Corrupt):
        place.open()

    Journal.repair(directory, SCHEMA, run_dir=run)

    journal, world = place.open()
    journal.close()
    repaired = world.events[-1]
    assert isinstance(repaired, Repaired)
    kept = (place.journal / repaired.kept).read_bytes()
    assert before == place.segments()[-1].read_bytes()[: repaired.offset] + kept
    assert verify(directory).findings == []
    assert world.texts() == list("abcdefghijk")[: len(world.texts())]


def test_a_writer_that_has_read_what_a_repair_cut_off_does_not_go_on(tmp_path: Path) -> None:
    place = Place(tmp_path)
    journal, world = place.open()
    path = place.segments()[-1]
    data = path.read_bytes()
    flip(path, len(lines_of(path)[0]) + 100)
    Journal.repair(str(place.journal), SCHEMA, run_dir=str(place.root / "run"))
    overwrite(path, path.read_bytes()[: len(data)].ljust(len(data), b"\n"))  # by chance as long as before

    with pytest.raises(StaleCursor), journal.transaction(world, by=BY, why="user", op="x"):
        pass


def test_every_error_is_one_lower_case_line_with_the_engines_exit_code() -> None:
    found = [kind for kind in JournalError.__subclasses__() if kind.__module__ == "eventstore.errors"]

    assert len(found) > 10
    assert {kind.exit_code for kind in found} == {125}
    shown = str(Corrupt("00000000000000000001.jsonl", 3, "the chain breaks here"))
    assert shown == "journal damaged: 00000000000000000001.jsonl line 3: the chain breaks here"
    assert os.linesep not in shown
