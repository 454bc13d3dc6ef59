"""A power cut after any call, with any legal part of what was unsynced lost: nothing acknowledged is missing."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from eventstore import archive, lock, obstacle, recovery, rotation, segments, tail, writer
from eventstore.errors import WriteFailed
from eventstore.journal import Journal
from eventstore.reader import read_events
from eventstore.runstate import RunState
from eventstore.schema import Archived, Repaired
from tests.crash.journal_disk import RecordingOs, State, install, states
from tests.journal_events import BY, SCHEMA, Noted, World

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from eventstore.event import Event

MODULES = (archive, lock, obstacle, recovery, rotation, segments, tail, writer)
SEGMENT = 3000  # bytes: some eight events
BATCHES = [
    [*word]
    for word in [
        "a",
        "bcd",
        "e",
        "f",
        "gh",
        "i",
        "j",
        "kl",
        "m",
        "no",
        "p",
        "q",
        "rst",
        "u",
        "v",
        "w",
        "x",
        "y",
    ]
]
UNSYNCED = {*"egiknqvwx"}  # batches by their first event
TEXTS = [text for batch in BATCHES for text in batch]


@pytest.fixture
def place() -> Iterator[str]:
    """A directory in memory: thousands of states are written and synced."""
    directory = f"/dev/shm/journal-{os.getpid()}"
    os.makedirs(directory)
    yield directory
    shutil.rmtree(directory)


def append(journal: Journal, world: World, texts: list[str], disk: RecordingOs | None = None) -> None:
    with journal.transaction(world, by=BY, why="user", op=texts[0] * 32) as tx:
        for text in texts:
            tx.append("thing/1", Noted(text=text), sync=texts[0] not in UNSYNCED)
    if disk and texts[0] not in UNSYNCED:
        disk.acknowledge(len(world.texts()))


def everyday(root: str, disk: RecordingOs) -> None:
    """Creation, single events, several in one write, unsynced ones, rotations; the lock's file is lost once."""
    world = World()
    journal = Journal.create(f"{root}/journal", SCHEMA, segment_size=SEGMENT)
    for batch in BATCHES:
        if batch == ["w"]:
            os.unlink(f"{root}/journal/lock")
        append(journal, world, batch, disk)
    journal.close()


def record(
    scenario: Callable[[str, RecordingOs], None],
    place: str,
    monkeypatch: pytest.MonkeyPatch,
    without: str = "",
) -> RecordingOs:
    root = f"{place}/was"
    os.makedirs(root)
    disk = RecordingOs(root, without)
    with monkeypatch.context() as patch:
        install(disk, MODULES, patch)
        scenario(root, disk)
    return disk


def archiving(root: str, disk: RecordingOs) -> None:
    """Segments leave for the archive, one after the other, and the journal goes on."""
    world, directory = World(), f"{root}/journal"
    journal = Journal.create(directory, SCHEMA, segment_size=1500)
    for batch in BATCHES[:7]:
        append(journal, world, batch, disk)

    def note(event: Archived) -> None:
        with journal.transaction(world, by=BY, why="user", op="archive") as tx:
            tx.append("journal", event)

    assert len(archive.archive(directory, SCHEMA, 1 << 60, note)) >= 2
    append(journal, world, BATCHES[7], disk)
    journal.close()


def problems(state: State, old_root: str, new_root: str) -> str:
    """What is wrong after the power cut, or nothing. What was being archived is archived to its end."""
    state.put(old_root, new_root)
    if not list(Path(new_root).glob("journal/*.jsonl")):
        return "the journal is gone" if state.acknowledged else ""
    world = World()
    try:
        journal = Journal.open(f"{new_root}/journal", SCHEMA, segment_size=SEGMENT)
        journal.refresh(world)
        before = world.texts()
        append(journal, world, ["z"])
        journal.close()
        if os.path.isdir(f"{new_root}/journal/archive"):
            archive.archive(f"{new_root}/journal", SCHEMA, 1 << 60)
        events = list(read_events(f"{new_root}/journal", SCHEMA))
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the finding
        return f"{type(error).__name__}: {error}"
    if before != TEXTS[: len(before)]:
        return f"another history: {before}"
    if len(before) < state.acknowledged:
        return f"{state.acknowledged} events were acknowledged, {len(before)} are there"
    if not any(before == TEXTS[: sum(map(len, BATCHES[:count]))] for count in range(len(BATCHES) + 1)):
        return f"half a command: {before}"
    if [event.n for event in events] != list(range(1, len(events) + 1)) or len(events) != len(world.events):
        return "gaps or duplicates"
    return lost_bytes(state, events, old_root, new_root)


def lost_bytes(state: State, events: list[Event], old_root: str, new_root: str) -> str:
    for event in events:
        if isinstance(event, Repaired) and event.length:
            there = Path(f"{new_root}/journal/{event.kept}")
            kept = there.read_bytes() if there.exists() else b""
            if hashlib.sha256(kept).hexdigest() != event.sha256 or len(kept) != event.length:
                return "the bytes that were cut off are not kept"
            cut = state.files.get(f"{old_root}/journal/{event.segment}", (b"", 0))[0][event.offset :]
            earlier = f"{old_root}/journal/{event.kept}" in state.files
            if not earlier and cut != kept:
                return "other bytes are kept than were cut off"
    return ""


def failing(disk: RecordingOs, place: str, *, first_only: bool = False) -> tuple[int, list[str]]:
    """How many states there are, and what is wrong in which."""
    count, found = 0, []
    for state in states(disk.ops, disk.start):
        count += 1
        new_root = f"{place}/now"
        wrong = problems(state, disk.root, new_root)
        shutil.rmtree(new_root, ignore_errors=True)
        if wrong:
            found.append(f"{state.origin}, {state.acknowledged} acknowledged: {wrong}")
            if first_only:
                break
    return count, found


def test_every_state_that_a_power_cut_may_leave_has_all_that_was_acknowledged(
    place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = record(everyday, place, monkeypatch)

    count, found = failing(disk, place)

    assert found == []
    assert count > 300  # the enumeration has not silently shrunk


def repairing(state: State) -> Callable[[str, RecordingOs], None]:
    """A recovery from `state`, and more events."""

    def scenario(root: str, disk: RecordingOs) -> None:
        shutil.rmtree(root)
        state.put(f"{os.path.dirname(root)}/was", root)
        disk.acknowledge(state.acknowledged)
        disk.load(root)
        world = World()
        journal = Journal.open(f"{root}/journal", SCHEMA, segment_size=SEGMENT)
        journal.refresh(world)
        left = [batch for batch in BATCHES if batch[0] not in world.texts()]
        for batch in left[:3]:
            append(journal, world, batch, disk)
        journal.close()

    return scenario


def torn_states(disk: RecordingOs, place: str) -> list[State]:
    """Some of the states from which something has to be cut off."""
    found = {}
    for state in states(disk.ops):
        state.put(disk.root, f"{place}/now")
        if os.path.isdir(f"{place}/now/journal") and state.acknowledged:
            Journal.open(f"{place}/now/journal", SCHEMA).close()
            torn = len(list(Path(f"{place}/now/journal").glob("torn/*")))
            if torn:
                found[state.acknowledged, state.origin] = state
        shutil.rmtree(f"{place}/now", ignore_errors=True)
    return list(found.values())


def test_a_power_cut_in_the_midst_of_a_recovery_loses_nothing_either(
    place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    torn = torn_states(record(everyday, place, monkeypatch), place)
    total = 0
    for state in torn[:: max(1, len(torn) // 5)]:
        shutil.rmtree(f"{place}/was", ignore_errors=True)
        disk = record(repairing(state), place, monkeypatch)

        count, found = failing(disk, place)

        assert found == []
        total += count

    assert total > 200


def clear(place: str) -> None:
    shutil.rmtree(f"{place}/was", ignore_errors=True)


def test_no_sync_of_everyday_work_can_be_left_out(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sites = set(record(everyday, place, monkeypatch).sites)
    noticed = set()
    for site in sites:
        clear(place)
        mutant = record(everyday, place, monkeypatch, without=site)
        if failing(mutant, place, first_only=True)[1]:
            noticed.add(site)

    assert len(sites) == 6
    assert noticed == sites


def test_no_sync_of_a_recovery_can_be_left_out(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = record(everyday, place, monkeypatch)
    tested_above = set(disk.sites)
    sites: set[str] = set()
    noticed: set[str] = set()
    for state in torn_states(disk, place):
        clear(place)
        sites |= {*record(repairing(state), place, monkeypatch).sites} - tested_above
        for site in sites - noticed:
            clear(place)
            mutant = record(repairing(state), place, monkeypatch, without=site)
            if failing(mutant, place, first_only=True)[1]:
                noticed.add(site)

    assert len(sites) == 4
    assert noticed == sites


def test_a_power_cut_in_the_midst_of_archiving_loses_nothing(
    place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = record(archiving, place, monkeypatch)

    count, found = failing(disk, place)

    assert found == []
    assert count > 100


def test_no_sync_that_a_segment_waits_for_before_it_leaves_can_be_left_out(
    place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sites = {site for site in record(archiving, place, monkeypatch).sites if site.startswith("archive.py")}
    noticed = set()
    for site in sites:
        clear(place)
        mutant = record(archiving, place, monkeypatch, without=site)
        if failing(mutant, place, first_only=True)[1]:
            noticed.add(site.split(":")[1])

    # The segment's own removal may be undone by a power cut: then both files are there.
    assert {site.split(":")[1] for site in sites} == {"_write", "_archive_one"}
    assert noticed == {"_write"}
    assert len(sites) == 4


def failing_sync(root: str, disk: RecordingOs) -> None:
    """A sync reports EIO: its pages may be gone, whatever later syncs of that file say."""
    world = World()
    journal = Journal.create(f"{root}/journal", SCHEMA, segment_size=SEGMENT)
    for batch in BATCHES[:8]:
        if batch == ["f"]:
            disk.failing_syncs = 1
            with pytest.raises(WriteFailed):
                append(journal, world, batch)
        else:
            append(journal, world, batch, disk)
    journal.close()


def test_after_a_failed_sync_nothing_is_acknowledged_that_a_power_cut_may_lose(
    place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = record(failing_sync, place, monkeypatch)

    count, found = failing(disk, place)

    assert found == []
    assert count > 100


def test_believing_the_second_sync_would_be_noticed(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RunState, "set_failed", lambda self, failed: None)

    disk = record(failing_sync, place, monkeypatch)

    assert failing(disk, place, first_only=True)[1]
