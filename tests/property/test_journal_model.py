"""Any interleaving of writers, rotation, reboots, crashes, archiving and lost caches, against a plain list."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from eventstore.archive import archive
from eventstore.cursor import Cursor
from eventstore.errors import StaleCursor
from eventstore.journal import Journal
from eventstore.reader import read_events, stream_events
from eventstore.schema import Repaired
from eventstore.seal import Head, check, head_of
from eventstore.snapshots import Snapshots
from eventstore.verify import verify
from tests.journal_events import BY, SCHEMA, Noted, World
from tests.journal_home import forget_recovery

SEGMENT = 1800
HANDLES = st.integers(0, 2)
STREAMS = st.sampled_from(["thing/1", "thing/2", "other/é"])


class JournalMachine(RuleBasedStateMachine):
    """`model`: what was written, as (stream, text). `durable`: so many of them were acknowledged."""

    @initialize()
    def create(self) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="journal-model-", dir="/dev/shm"))
        self.directory = str(self.root / "journal")
        Journal.create(self.directory, SCHEMA).close()
        self.handles: list[tuple[Journal, World]] = [self.handle() for _ in range(3)]
        self.model: list[tuple[str, str]] = []
        self.durable = 0
        self.synced_size = 0
        self.head: Head | None = None
        self.cut = False

    def teardown(self) -> None:
        for journal, _ in getattr(self, "handles", []):
            journal.close()
        shutil.rmtree(getattr(self, "root", "/nonexistent"), ignore_errors=True)

    def handle(self) -> tuple[Journal, World]:
        return Journal.open(self.directory, SCHEMA, segment_size=SEGMENT), World()

    def active(self) -> Path:
        return max(Path(self.directory).glob("*.jsonl"))

    @rule(handle=HANDLES, stream=STREAMS, count=st.integers(1, 4), sync=st.booleans())
    def append(self, handle: int, stream: str, count: int, *, sync: bool) -> None:
        journal, world = self.handles[handle]
        texts = [f"{len(self.model) + number}" for number in range(count)]
        with journal.transaction(world, by=BY, why="user", op=texts[0]) as tx:
            for text in texts:
                tx.append(stream, Noted(text=text), sync=sync)
        self.model += [(stream, text) for text in texts]
        if sync:
            self.durable = len(self.model)
            self.cut = False

    @rule(handle=HANDLES)
    def refuse(self, handle: int) -> None:
        journal, world = self.handles[handle]
        with pytest.raises(ZeroDivisionError), journal.transaction(world, by=BY, why="user", op="x"):
            raise ZeroDivisionError
        assert written(world) == self.model

    @rule(handle=HANDLES)
    def refresh(self, handle: int) -> None:
        journal, world = self.handles[handle]
        journal.refresh(world)
        assert written(world) == self.model

    @rule(handle=HANDLES)
    def reopen(self, handle: int) -> None:
        self.handles[handle][0].close()
        self.handles[handle] = self.handle()

    @rule(data=st.data())
    def power_cut(self, data: st.DataObject) -> None:
        """Part of what no sync has covered is gone, and something else may be in its place."""
        for journal, _ in self.handles:
            journal.close()
        path = self.active()
        lines = path.read_bytes().splitlines(keepends=True)
        unsynced = min(len(self.model) - self.durable, len(lines) - 1)
        kept = b"".join(lines[: len(lines) - unsynced])
        lost = b"".join(lines[len(lines) - unsynced :])
        size = data.draw(st.integers(0, len(lost)), label="bytes of it on disk")
        path.write_bytes(
            kept + lost[:size] + data.draw(st.sampled_from([b"", bytes(100), b"\xff\n{}\n"]), label="tail")
        )
        forget_recovery(self.directory)
        self.handles = [self.handle() for _ in range(3)]
        found = World()
        self.handles[0][0].refresh(found)
        self.handles[0] = self.handle()
        assert self.model[: len(written(found))] == written(found)
        assert len(written(found)) >= self.durable
        self.model = written(found)
        self.durable = len(self.model)

    @rule(code=st.sampled_from("ab"))
    def snapshot(self, code: str) -> None:
        journal, world = self.handles[0]
        journal.refresh(world)
        Snapshots(self.directory).save(code, journal.cursor, str(len(world.events)).encode())

    @rule(code=st.sampled_from("ab"))
    def start_from_snapshot(self, code: str) -> None:
        found = Snapshots(self.directory).load(code)
        if found:
            cursor, payload, _ = found
            rest = Journal.open(self.directory, SCHEMA, cursor=cursor, read_only=True)
            world = World()
            world.events = list(read_events(self.directory, SCHEMA))[: int(payload)]
            world.versions = {event.s: event.v for event in world.events}
            rest.refresh(world)
            assert written(world) == self.model

    @rule()
    def archive(self) -> None:
        archive(self.directory, SCHEMA, 1 << 60)

    @rule()
    def lose_caches(self) -> None:
        for name in ("idx", "snap"):
            shutil.rmtree(f"{self.directory}/{name}", ignore_errors=True)

    @rule()
    def lose_what_the_lock_file_says(self) -> None:
        forget_recovery(self.directory)

    @rule()
    def lose_the_lock_file(self) -> None:
        Path(f"{self.directory}/lock").unlink(missing_ok=True)

    @precondition(lambda self: self.durable == len(self.model))
    @rule()
    def keep_head(self) -> None:
        self.head = head_of(verify(self.directory))

    @invariant()
    def the_journal_is_sound_and_has_what_the_model_has(self) -> None:
        if not hasattr(self, "model"):
            return
        report = verify(self.directory)
        assert report.findings == []
        assert report.torn == 0
        if self.head:
            assert check(self.directory, report, self.head) == []
        world = World()
        for event in read_events(self.directory, SCHEMA):
            world.apply(event)
        assert written(world) == self.model
        assert all(event.length or not event.kept for event in world.events if isinstance(event, Repaired))

    @rule(stream=STREAMS)
    def history(self, stream: str) -> None:
        mine = [
            event.text for event in stream_events(self.directory, SCHEMA, stream) if isinstance(event, Noted)
        ]
        assert mine == [text for place, text in self.model if place == stream]

    @rule(n=st.integers(1, 50))
    def a_made_up_cursor_is_refused(self, n: int) -> None:
        first = int(self.active().name[:20])
        with pytest.raises(StaleCursor):
            Journal.open(self.directory, SCHEMA, cursor=Cursor(first, 40 * n, n, "B" * 43))


def written(world: World) -> list[tuple[str, str]]:
    return [(event.s, event.text) for event in world.events if isinstance(event, Noted)]


TestJournal = JournalMachine.TestCase
TestJournal.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
