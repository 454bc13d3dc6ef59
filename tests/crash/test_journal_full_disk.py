"""Disks that are full, read-only or failing: no half event, nothing believed that failed, and a way out."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

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

if TYPE_CHECKING:
    pass

REPOSITORY = Path(__file__).resolve().parents[2]


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
    first = Journal.open(str(place.journal), SCHEMA, run_dir=str(place.root / "run"))

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


def test_a_file_system_of_the_network_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    device = os.stat(tmp_path).st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    here = [
        line for line in Path("/proc/self/mountinfo").read_text().splitlines() if line.split()[2] == number
    ]
    if not here:
        pytest.skip("this file system has another device number in mountinfo")
    kind = here[0].partition(" - ")[2].split()[0]
    monkeypatch.setattr(rotation, "_NETWORK", (kind,))

    with pytest.raises(NetworkFileSystem, match=f"is on {kind}: a journal needs the locks"):
        Journal.create(str(tmp_path / "journal"), SCHEMA, run_dir=str(tmp_path / "run"))


def in_small_disk(program: str, directory: Path, size: str) -> str:
    """Run `program` with a tmpfs of `size` on `directory`, in a mount namespace of its own."""
    directory.mkdir()
    script = f'mount -t tmpfs -o size={size} tmpfs "$1" && exec "$2" -c "$3"'
    done = subprocess.run(
        [
            "unshare",
            "--mount",
            "--propagation",
            "private",
            "sh",
            "-c",
            script,
            "sh",
            directory,
            sys.executable,
            program,
        ],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


COMMON = """
import os
import subprocess
from eventstore.errors import NotWritable, WriteFailed
from eventstore.journal import Journal
from eventstore.reader import read_events
from eventstore.verify import verify
from tests.journal_faults import FaultyOs, failing, half_then
from tests.journal_events import BY, SCHEMA, Noted, World

def start():
    world = World()
    journal = Journal.open_or_create({disk!r} + "/journal", SCHEMA, run_dir={run!r}, segment_size=65536)
    journal.refresh(world)
    return journal, world

def fill(reserve):
    "Append until that fails; how many events were acknowledged."
    journal, world = start()
    before = len(world.texts())
    try:
        while True:
            with journal.transaction(world, by=BY, why="user", op="x") as tx:
                tx.append("thing/1", Noted(text="x" * 100), reserve=reserve)
    except WriteFailed as error:
        assert error.errno == 28, error
    return len(start()[1].texts()) - before

"""


@pytest.mark.root
@pytest.mark.skipif(os.getuid() != 0, reason="mounts a small tmpfs")
def test_a_full_disk_can_be_emptied_through_the_reserve(tmp_path: Path) -> None:
    program = (
        COMMON
        + """
start()
hog = os.open({disk!r} + "/hog", os.O_CREAT | os.O_WRONLY)
try:
    while True:
        os.write(hog, bytes(4096))
except OSError:
    pass
print(fill(False), fill(False), fill(True), fill(True))
os.unlink({disk!r} + "/hog")
os.close(hog)
journal, world = start()
for number in range(300):
    with journal.transaction(world, by=BY, why="user", op="x") as tx:
        tx.append("thing/1", Noted(text=str(number)))
report = verify({disk!r} + "/journal")
print(report.findings, report.torn, report.segments, len(world.events) == report.n)
"""
    )
    out = in_small_disk(
        program.format(disk=str(tmp_path / "disk"), run=str(tmp_path / "run")), tmp_path / "disk", "300k"
    )

    counts, rest = out.splitlines()
    ordinary, again, reserve, after = map(int, counts.split())
    assert ordinary > 150  # the disk was full before the first of them: all went into the reservation
    assert again == 0
    assert reserve >= 9  # 4 KiB
    assert after == 0
    assert rest == "[] 0 3 True"


@pytest.mark.root
@pytest.mark.skipif(os.getuid() != 0, reason="remounts a small tmpfs")
def test_a_read_only_disk_is_read_and_not_written(tmp_path: Path) -> None:
    program = (
        COMMON
        + """
journal, world = start()
with journal.transaction(world, by=BY, why="user", op="x") as tx:
    tx.append("thing/1", Noted(text="a"))
journal.close()
subprocess.run(["mount", "-o", "remount,ro", {disk!r}], check=True)
try:
    start()
except NotWritable as error:
    print(error)
print(len(list(read_events({disk!r} + "/journal", SCHEMA))))
journal = Journal.open({disk!r} + "/journal", SCHEMA, run_dir={run!r}, read_only=True)
print(journal.refresh(World()))
"""
    )
    disk = tmp_path / "disk"

    out = in_small_disk(program.format(disk=str(disk), run=str(tmp_path / "run")), disk, "300k")

    assert out == f"{disk}/journal/lock cannot be written: Read-only file system\n2\n2\n"


def test_reading_needs_no_room(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments, "os", FaultyOs(write=failing(errno.ENOSPC, 99)))

    world = World()
    decode = bulk_decoder(SCHEMA)
    Journal.open(str(place.journal), SCHEMA, run_dir="/nowhere", read_only=True, decode=decode).refresh(world)

    assert world.texts() == [*"abc"]
