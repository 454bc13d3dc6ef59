"""Disks that are full, read-only or failing: no half event, nothing believed that failed, and a way out."""

from __future__ import annotations

import errno
import os
import resource
import tempfile
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from eventstore import rotation, segments, writer
from eventstore.bulk import bulk_decoder
from eventstore.errors import AheadOfJournal, NetworkFileSystem, WriteFailed
from eventstore.journal import Journal
from eventstore.reader import read_events
from eventstore.schema import Repaired
from eventstore.verify import verify
from tests.journal_damage import Place
from tests.journal_events import BY, SCHEMA, Noted, World
from tests.journal_faults import FaultyOs, failing, half_then


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path, "abc", 1 << 20)


def note(journal: Journal, world: World, text: str, *, reserve: bool = False, sync: bool = True) -> None:
    with journal.transaction(world, by=BY, why="user", op="x") as tx:
        tx.append("thing/1", Noted(text=text), reserve=reserve, sync=sync)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EDQUOT])
def test_a_write_that_fails_half_way_leaves_nothing_behind(
    place: Place, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    journal, world = place.open()
    before = place.segments()[0].read_bytes()

    with monkeypatch.context() as patch:
        patch.setattr(segments, "os", FaultyOs(write=half_then(number)))
        with pytest.raises(WriteFailed, match=os.strerror(number)) as caught:
            note(journal, world, "lost")

    assert caught.value.errno == number
    assert place.segments()[0].read_bytes() == before
    with pytest.raises(AheadOfJournal):
        note(journal, world, "d")
    journal, world = place.open()
    note(journal, world, "d")
    assert world.texts() == [*"abcd"]


def test_what_could_not_be_taken_back_is_cut_off_and_kept_by_the_next_writer(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal, world = place.open()
    with monkeypatch.context() as patch:
        patch.setattr(segments, "os", FaultyOs(write=half_then(errno.ENOSPC)))
        patch.setattr(writer, "os", FaultyOs(ftruncate=failing(errno.EIO)))
        with pytest.raises(WriteFailed, match="No space left on device"):
            note(journal, world, "lost")

    journal, world = place.open()
    note(journal, world, "d")

    assert world.texts() == [*"abcd"]
    assert len([event for event in world.events if isinstance(event, Repaired)]) == 1
    assert verify(str(place.journal)).findings == []


def test_a_failed_sync_is_said_and_the_segment_written_anew_before_anything_else(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal, world = place.open()
    other, theirs = place.open()
    with monkeypatch.context() as patch:
        patch.setattr(writer, "os", FaultyOs(fdatasync=failing(errno.EIO)))
        with pytest.raises(WriteFailed, match="sync: Input/output error"):
            note(journal, world, "d")
    inode = place.segments()[0].stat().st_ino

    note(other, theirs, "e")

    assert place.segments()[0].stat().st_ino != inode
    note(journal, world, "f")  # in the new file, though it had the old one open
    assert world.texts() == [*"abcdef"]
    assert [event.n for event in read_events(str(place.journal), SCHEMA)] == [*range(1, 8)]
    assert verify(str(place.journal)).findings == []


def test_nobody_is_told_that_it_is_on_disk_while_another_sync_has_failed(place: Place) -> None:
    journal, world = place.open()
    note(journal, world, "d", sync=False)
    first = Journal.open(str(place.journal), SCHEMA)

    class FailingWhileTheySync(World):
        def apply(self, event: Any) -> None:
            super().apply(event)
            if event.tag == Noted.tag and event.text == "e":
                assert journal._writer
                journal._writer.run.set_failed(failed=True)

    with pytest.raises(WriteFailed, match="sync of an earlier line by another process"):
        note(first, FailingWhileTheySync(), "e")


def test_a_disk_that_keeps_failing_is_not_written_to(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    journal, world = place.open()
    with monkeypatch.context() as patch:
        patch.setattr(writer, "os", FaultyOs(fdatasync=failing(errno.EIO)))
        patch.setattr(rotation, "os", FaultyOs(fsync=failing(errno.EIO, 99)))
        for text in "de":
            with pytest.raises(WriteFailed):
                note(journal, world, text)

    note(journal, world, "f")
    assert world.texts() == [*"abcdf"]


# Of the segment that is sealed; or of the directory, after the new one has its name.
@pytest.mark.parametrize(("module", "call"), [(rotation, "fdatasync"), (segments, "fsync")])
def test_a_rotation_whose_sync_failed_is_not_gone_on_with_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: ModuleType, call: str
) -> None:
    place = Place(tmp_path, "abc", 900)
    journal, world = place.open()

    def append_until_rotation() -> None:
        for text in "defg":
            note(journal, world, text)

    with monkeypatch.context() as patch:
        patch.setattr(module, "os", FaultyOs(**{call: failing(errno.EIO)}))
        with pytest.raises(WriteFailed, match="a new segment: Input/output error"):
            append_until_rotation()
    last = place.segments()[-1]
    inode, before = last.stat().st_ino, last.read_bytes()

    journal, world = place.open()
    note(journal, world, "z")

    assert last.stat().st_ino != inode
    assert last.read_bytes().startswith(before)
    assert world.texts()[-1] == "z"
    assert verify(str(place.journal)).findings == []


def test_the_callers_limit_on_file_sizes_does_not_bind_the_journal(place: Place) -> None:
    journal, world = place.open()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    size = place.segments()[0].stat().st_size
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 50, hard))
    try:
        note(journal, world, "d")
        limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    assert limit == (size + 50, hard)
    assert world.texts() == [*"abcd"]


def test_a_file_system_of_the_network_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rotation, "_NETWORK", ("tmpfs",))  # the kind that is there on every machine

    with (
        tempfile.TemporaryDirectory(dir="/dev/shm") as base,
        pytest.raises(NetworkFileSystem, match="is on tmpfs: a journal needs the locks"),
    ):
        Journal.create(f"{base}/journal", SCHEMA)


def test_reading_needs_no_room(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments, "os", FaultyOs(write=failing(errno.ENOSPC, 99)))

    world = World()
    decode = bulk_decoder(SCHEMA)
    Journal.open(str(place.journal), SCHEMA, read_only=True, decode=decode).refresh(world)

    assert world.texts() == [*"abc"]
