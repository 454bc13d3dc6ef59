"""A disk that is really full, and one that is really read-only: a small tmpfs in a mount namespace of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from eventstore.errors import READ_ONLY

REPOSITORY = Path(__file__).resolve().parents[2]


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
from tests.journal_events import BY, SCHEMA, Noted, World

def start():
    world = World()
    journal = Journal.open_or_create({disk!r} + "/journal", SCHEMA, segment_size=65536)
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
    out = in_small_disk(program.format(disk=str(tmp_path / "disk")), tmp_path / "disk", "300k")

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
journal = Journal.open({disk!r} + "/journal", SCHEMA, read_only=True)
print(journal.refresh(World()))
"""
    )
    disk = tmp_path / "disk"

    out = in_small_disk(program.format(disk=str(disk)), disk, "300k")

    assert out == f"{disk}/journal/lock cannot be written: Read-only file system [{READ_ONLY}]\n2\n2\n"
