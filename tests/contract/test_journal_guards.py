"""Locks, copies, schemas, rights, and what the writing half may import."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from eventstore.bulk import bulk_decoder
from eventstore.cursor import Cursor
from eventstore.errors import (
    Corrupt,
    LockTimeout,
    NewerSchema,
    NotReadable,
    NotWritable,
)
from eventstore.event import Actor
from eventstore.journal import Journal
from eventstore.reader import read_events, sound_events
from eventstore.schema import Schema
from eventstore.verify import verify
from tests.journal_events import BY, SCHEMA, Counted, Noted, World
from tests.journal_home import Home, forget_recovery, note, transaction

REPOSITORY = Path(__file__).resolve().parents[2]


def test_a_reader_needs_no_lock_and_cannot_write(home: Home) -> None:
    journal, world = home.create(), World()
    with transaction(journal, world):
        reader = home.open(read_only=True)
        reader.refresh(World())
        with pytest.raises(NotWritable, match="opened for reading only"):
            transaction(reader, World())


def test_who_holds_the_lock_is_named_when_it_takes_too_long(home: Home) -> None:
    journal, other = home.create(), home.open(deadline=0.02)

    with (
        transaction(journal, World()),
        pytest.raises(
            LockTimeout, match=f"is locked by process {os.getpid()} since more than 0.02 s"
        ) as caught,
    ):
        note(other, World(), "a")

    assert caught.value.holder == os.getpid()


def test_a_forked_child_does_not_keep_the_lock_of_a_dead_parent(home: Home) -> None:
    program = f"""
import os, sys, time
from eventstore.journal import Journal
from tests.journal_events import BY, SCHEMA, World
journal = Journal.open({home.directory!r}, SCHEMA)
with journal.transaction(World(), by=BY, why="user", op="x"):
    reading, writing = os.pipe()
    if not os.fork():
        journal.drop_locks_after_fork()
        os.write(writing, b"dropped")
        sys.stdin.read()
        os._exit(0)
    os.read(reading, 7)
    print("held", flush=True)
    os.kill(os.getpid(), 9)
"""
    home.create().close()
    with subprocess.Popen(
        [sys.executable, "-c", program], cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout
        assert child.stdout.readline() == b"held\n"
        child.wait()
        note(home.open(deadline=5.0), World(), "a")  # while the grandchild still waits for its stdin


def test_the_lock_file_may_be_deleted_under_two_writers(home: Home) -> None:
    first, second = home.create(), home.open()
    ours, theirs = World(), World()
    note(first, ours, "a")
    os.unlink(f"{home.directory}/lock")
    note(second, theirs, "b")
    note(first, ours, "c")

    assert verify(home.directory).findings == []


def test_whoever_has_the_deleted_lock_file_does_not_pass_for_its_holder(home: Home) -> None:
    first = home.create(deadline=0.02)
    note(first, World(), "a")
    os.unlink(f"{home.directory}/lock")

    with transaction(home.open(), World()), pytest.raises(LockTimeout):
        note(first, World(), "b")


def test_a_segment_that_vanishes_between_two_commands_stops_the_next_one(home: Home) -> None:
    journal, world = home.create(segment_size=900), World()
    for text in "abcdef":
        note(journal, world, text)
    *_, last = home.segments()
    os.unlink(f"{home.directory}/{last}")

    with pytest.raises(Corrupt, match=f"{last} line 1: the segment is missing"):
        note(home.open(), World(), "g")


def test_what_the_lock_file_says_may_vanish_under_a_writer(home: Home) -> None:
    journal, world = home.create(), World()
    note(journal, world, "a")
    os.truncate(f"{home.directory}/lock", 0)

    note(journal, world, "b")

    assert world.texts() == ["a", "b"]


def test_what_a_copys_lock_file_says_of_the_original_means_nothing(home: Home, tmp_path: Path) -> None:
    original, theirs = home.create(), World()
    note(original, theirs, "a")
    subprocess.run(["cp", "-a", home.directory, tmp_path / "copy"], check=True)
    copy, ours = Home(tmp_path / "copy"), World()
    copy.directory = str(tmp_path / "copy")
    with open(f"{copy.directory}/{copy.segments()[0]}", "ab") as segment:
        segment.write(b"half a li")

    note(copy.open(), ours, "b")
    note(original, theirs, "c")

    assert [world.texts() for world in (ours, theirs)] == [["a", "b"], ["a", "c"]]
    assert verify(copy.directory).findings == verify(home.directory).findings == []


def test_who_has_just_filled_a_segment_sees_that_another_has_rotated(home: Home) -> None:
    """Both went by a file in a run directory once, each by his own: then the first wrote on in a sealed segment."""
    for full in range(3, 8):
        directory = f"{home.directory}{full}"
        first = Journal.create(directory, SCHEMA, segment_size=1500)
        second = Journal.open(directory, SCHEMA, segment_size=1500)
        ours, theirs = World(), World()
        note(first, ours, *[f"a{number}" for number in range(full - 1)])
        note(first, ours, "full")
        for number in range(12):
            note(second, theirs, f"b{number}")

        note(first, ours, "c")

        assert len(ours.texts()) == full + 13
        assert verify(directory).findings == []


def test_whoever_is_asked_before_a_recovery_may_refuse_it_and_then_no_file_has_changed(home: Home) -> None:
    journal, world = home.create(), World()
    note(journal, world, "a")
    path = f"{home.directory}/{home.segments()[0]}"
    with open(path, "ab") as segment:
        segment.write(b"half a li")
    os.unlink(f"{home.directory}/lock")

    def refuse() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        home.open(before_recovery=refuse)
    assert sorted(os.listdir(home.directory)) == home.segments()
    assert Path(path).read_bytes().endswith(b"half a li")

    home.open(before_recovery=lambda: None).close()
    home.open(before_recovery=refuse).close()  # recovered in this boot: nobody is asked


def test_who_mended_or_made_a_journal_is_in_it_as_whole_as_in_any_event(home: Home) -> None:
    def tear() -> None:
        with open(f"{home.directory}/{home.segments()[-1]}", "ab") as segment:
            segment.write(b"half a li")

    actors = [Actor(BY | {"cmd": cmd}, cmd) for cmd in ("first", "next", "third", "fourth")]
    journal, world = home.create(actor=actors[0]), World()
    note(journal, world, "a")
    tear()
    forget_recovery(home.directory)
    home.open(actor=actors[1]).close()
    tear()  # a writer died in its write: the next transaction mends it
    with home.open().transaction(World(), by=actors[2].by, why="user", op=actors[2].op) as tx:
        tx.append("thing/1", Noted(text="b"))
    path = Path(home.directory, home.segments()[0])
    path.write_bytes(path.read_bytes().replace(b'"text":"b"', b'"text":"B"') + b"more\n")
    Journal.repair(home.directory, SCHEMA, actor=actors[3])

    found = [e for e in read_events(home.directory, SCHEMA) if e.s == "journal"]
    assert [(e.tag, e.by, e.op) for e in found] == [
        (tag, actor.by, actor.op)
        for tag, actor in zip(["journal.segment", *["journal.repaired"] * 3], actors, strict=True)
    ]
    assert [e.why for e in found] == ["create", "recovery", "recovery", "user"]


def test_sound_events_are_told_up_to_the_damage(home: Home) -> None:
    journal, world = home.create(), World()
    for text in "abcde":
        note(journal, world, text)
    path = Path(home.directory, home.segments()[0])
    path.write_bytes(path.read_bytes().replace(b'"text":"d"', b'"text":"D"'))

    for decode in (None, bulk_decoder(SCHEMA)):
        found = World()
        for event in sound_events(home.directory, SCHEMA, at=Cursor(), decode=decode):
            found.apply(event)
        assert found.texts() == ["a", "b", "c"]


def test_a_newer_schema_starts_a_segment_of_its_own(home: Home) -> None:
    newer = Schema(2, (Noted, Counted), (lambda line: line,))
    journal, world = home.create(), World()
    note(journal, world, "a")

    note(home.open(newer), World(), "b")

    assert len(home.segments()) == 2
    with pytest.raises(NewerSchema, match="has schema 2, this version knows schema 1: use the newer version"):
        journal.refresh(world)
    with pytest.raises(NewerSchema):
        home.open().refresh(World())


def test_lines_of_an_older_schema_are_read_through_the_upcasters(home: Home) -> None:
    journal, world = home.create(), World()
    note(journal, world, "a")

    def shout(line: dict[str, Any]) -> dict[str, Any]:
        return line | {"text": line["text"].upper()} if line["t"] == "test.noted" else line

    newer = Schema(2, (Noted, Counted), (shout,))
    found = World()
    note(home.open(newer, decode=bulk_decoder(newer)), found, "b")

    assert found.texts() == ["A", "b"]


def test_two_processes_that_create_at_once_agree_on_one_journal(home: Home) -> None:
    program = f"""
import sys
from eventstore.journal import Journal
from tests.journal_events import SCHEMA
sys.stdin.read(1)
print(Journal.open_or_create({home.directory!r}, SCHEMA).uuid)
"""
    children = [
        subprocess.Popen(
            [sys.executable, "-c", program], cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        for _ in range(4)
    ]
    for child in children:
        assert child.stdin
        child.stdin.write(b"x")
        child.stdin.flush()
    uuids = {child.communicate()[0] for child in children}

    assert len(uuids) == 1
    assert all(child.returncode == 0 for child in children)


@pytest.mark.skipif(os.getuid() != 0, reason="needs root to become somebody else")
def test_somebody_without_the_right_to_read_is_told_so(home: Home) -> None:
    home.create().close()
    found: list[object] = []

    def as_nobody() -> None:
        # setfsuid applies to the thread alone.
        import ctypes

        ctypes.CDLL(None).setfsuid(65534)
        try:
            home.open(read_only=True)
        except NotReadable as error:
            found.append(str(error))

    thread = threading.Thread(target=as_nobody)
    thread.start()
    thread.join()

    assert found == [f"{home.directory} cannot be read: Permission denied"]


def test_the_writing_half_needs_no_schema_library(home: Home) -> None:
    program = f"""
import sys
sys.path.insert(0, {str(REPOSITORY)!r})
from eventstore.event import Event
from eventstore.journal import Journal
from eventstore.schema import Schema
class Noted(Event, tag="test.noted"):
    text: str
class World:
    def apply(self, event): pass
    def version(self, stream): return 0
journal = Journal.open({home.directory!r}, Schema(1, (Noted,)))
with journal.transaction(World(), by={{}}, why="user", op="x") as tx:
    tx.append("thing/1", Noted(text="a"))
heavy = "typing re enum json collections dataclasses pathlib socket subprocess msgspec click logging contextlib hashlib"
print([name for name in heavy.split() if name in sys.modules])
"""
    home.create().close()

    done = subprocess.run([sys.executable, "-I", "-S", "-c", program], capture_output=True, check=True)

    assert done.stdout == b"[]\n"
    assert [event.tag for event in read_events(home.directory, SCHEMA)][1:] == ["test.noted"]
