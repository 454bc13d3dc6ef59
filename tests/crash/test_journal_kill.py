"""Writers killed at any moment, and many at once: no gap, no duplicate, everything acknowledged is there."""

from __future__ import annotations

import itertools
import os
import random
import select
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from eventstore.follow import Follower
from eventstore.journal import Journal
from eventstore.reader import read_events
from eventstore.verify import verify
from tests.journal_events import SCHEMA, Noted, World

if TYPE_CHECKING:
    from eventstore.event import Event

REPOSITORY = Path(__file__).resolve().parents[2]
SEGMENT = 40_000
KILLS = 30
WRITER = """
import os, sys
from eventstore.journal import Journal
from tests.journal_events import BY, SCHEMA, Noted

class Versions:
    def __init__(self):
        self.versions = {}
    def apply(self, event):
        self.versions[event.s] = event.v
    def version(self, stream):
        return self.versions.get(stream, 0)

directory, writer, count, size = sys.argv[1:]
world = Versions()
journal = Journal.open(directory, SCHEMA, segment_size=int(size))
for number in range(int(count)):
    with journal.transaction(world, by=BY, why="user", op=writer) as tx:
        events = [tx.append("thing/" + writer, Noted(text=f"{writer} {number} {part}")) for part in range(1 + number % 3)]
    os.write(1, b"%d\\n" % events[-1].n)
"""


class Writer:
    """A process that appends and reports each number that it was told is on disk."""

    def __init__(self, root: Path, name: str, count: int) -> None:
        arguments = [str(root / "journal"), name, str(count), str(SEGMENT)]
        self.process = subprocess.Popen(
            [sys.executable, "-S", "-c", WRITER, *arguments], cwd=REPOSITORY, stdout=subprocess.PIPE
        )

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)

    def acknowledged(self) -> list[int]:
        out, _ = self.process.communicate()
        return [int(line) for line in out.split(b"\n")[:-1]]


def check_all(root: Path, acknowledged: list[int]) -> list[Event]:
    events = list(read_events(str(root / "journal"), SCHEMA))
    numbers = [event.n for event in events]
    assert numbers == list(range(1, len(numbers) + 1))
    assert not set(acknowledged) - set(numbers)
    assert len(acknowledged) == len(set(acknowledged))
    assert verify(str(root / "journal")).findings == []
    return events


def by_writer(events: list[Event]) -> dict[str, list[tuple[int, int]]]:
    """(number, part) of the texts of each writer, in the journal's order."""
    found: dict[str, list[tuple[int, int]]] = {}
    for event in events:
        if isinstance(event, Noted):
            writer, number, part = event.text.split()
            found.setdefault(writer, []).append((int(number), int(part)))
    return found


def test_writers_at_once_lose_and_repeat_nothing_and_a_follower_sees_each_event_once(tmp_path: Path) -> None:
    Journal.create(str(tmp_path / "journal"), SCHEMA).close()
    writers = [Writer(tmp_path, f"w{number}", 120) for number in range(8)]
    followed: list[Event] = []
    with Follower(str(tmp_path / "journal"), SCHEMA) as follower:
        for event in follower:
            followed.append(event)
            if len([one for one in followed if isinstance(one, Noted)]) == 8 * 240:
                break
    acknowledged = [n for writer in writers for n in writer.acknowledged()]

    events = check_all(tmp_path, acknowledged)

    assert len(acknowledged) == 8 * 120
    assert [event.n for event in followed] == [event.n for event in events][: len(followed)]
    expected = [(number, part) for number in range(120) for part in range(1 + number % 3)]
    assert by_writer(events) == {f"w{number}": expected for number in range(8)}
    assert len(list((tmp_path / "journal").glob("*.jsonl"))) > 8


def test_killed_writers_leave_whole_commands_and_all_that_was_acknowledged(tmp_path: Path) -> None:
    Journal.create(str(tmp_path / "journal"), SCHEMA).close()
    chance = random.Random(4)
    alive: list[Writer] = []
    acknowledged: list[int] = []
    started = itertools.count()
    for _ in range(KILLS):
        while len(alive) < 3:
            alive.append(Writer(tmp_path, f"k{next(started)}", 1_000_000))
        victim = alive.pop(chance.randrange(len(alive)))
        assert victim.process.stdout
        select.select([victim.process.stdout], [], [], 5)  # it is at work
        select.select([], [], [], chance.random() * 0.02)
        victim.kill()
        acknowledged += victim.acknowledged()
    for writer in alive:
        writer.kill()
        acknowledged += writer.acknowledged()

    events = check_all(tmp_path, acknowledged)

    assert len(acknowledged) > KILLS
    for texts in by_writer(events).values():
        last = texts[-1][0]
        assert texts == [(number, part) for number in range(last + 1) for part in range(1 + number % 3)]
    world = World()
    Journal.open(str(tmp_path / "journal"), SCHEMA).refresh(world)
    assert len(world.events) == len(events)
    assert os.listdir(tmp_path / "journal").count("torn") == 0  # one write(2) is not torn by SIGKILL
