"""What is known until the next boot, and what happens when it is lost, old, or another journal's."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest

from eventstore.errors import Corrupt, JournalError, NotWritable, StaleCursor
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


def made(lock: Lock, durable: int = 5) -> RunState:
    state = RunState(lock)
    state.create(durable, 1)
    return state


def test_it_is_current_only_in_the_boot_that_it_was_made_in(lock: Lock) -> None:
    made(lock)
    same, other = RunState(lock), RunState(lock)
    other.boot = "00000000-0000-0000-0000-000000000000"

    assert same.current()
    assert not other.current()


def test_any_other_content_is_as_good_as_none(lock: Lock) -> None:
    made(lock)
    path = Path(lock.path)
    data = path.read_bytes()
    for broken in (b"", data[:50], data[:95], b"x" + data[1:], data[:20] + b"x" + data[21:]):
        path.write_bytes(broken)
        assert not RunState(lock).current()


def test_that_of_the_original_is_not_a_copys(tmp_path: Path, lock: Lock) -> None:
    made(lock)
    (tmp_path / "copy").mkdir()
    shutil.copy(lock.path, tmp_path / "copy" / "lock")

    assert not RunState(Lock(str(tmp_path / "copy" / "lock"), 1.0)).current()


def test_to_ask_makes_no_file(tmp_path: Path) -> None:
    assert not RunState(Lock(str(tmp_path / "lock"), 1.0)).current()
    assert not (tmp_path / "lock").exists()


def test_one_that_another_recovery_made_is_noticed_and_ones_own_is_not(lock: Lock) -> None:
    ours, theirs = made(lock), RunState(lock)
    assert ours.current()
    assert ours.found == 0

    theirs.create(5, 1)

    assert ours.current()
    assert ours.found == 1


def test_what_is_durable_only_grows(lock: Lock) -> None:
    state = made(lock, 5)
    state.raise_durable(9)
    state.raise_durable(7)

    assert state.read() == (9, False, 1)


def test_after_a_failed_sync_nothing_more_is_called_durable(lock: Lock) -> None:
    state = made(lock, 5)
    state.set_failed(failed=True)

    assert not state.raise_durable(9)
    assert state.read() == (5, True, 1)


def test_a_lock_file_that_cannot_be_written_is_named(lock: Lock) -> None:
    os.close(lock.file)
    lock.file = os.open(lock.path, os.O_RDONLY)

    with pytest.raises(NotWritable, match="lock cannot be written"):
        made(lock)


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
    directory = str(place.journal)
    before = place.segments()[-1].read_bytes()
    with pytest.raises(Corrupt):
        place.open()

    Journal.repair(directory, SCHEMA)

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
    Journal.repair(str(place.journal), SCHEMA)
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
