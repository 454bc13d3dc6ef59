"""The journal: catch up without a lock; under the lock decide, write once; sync after it."""

from __future__ import annotations

import os
import time

from eventstore.cursor import Cursor
from eventstore.errors import (
    JournalExists,
    JournalMissing,
    NotWritable,
)
from eventstore.event import Actor
from eventstore.lock import Lock
from eventstore.runstate import RunState
from eventstore.segments import LOCK, SEGMENT_SIZE
from eventstore.tail import Tail
from eventstore.writer import Transaction, Writer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from typing import TypedDict, Unpack

    from eventstore.event import Event
    from eventstore.schema import Schema
    from eventstore.tail import Projection as Projection  # noqa: PLC0414 - part of this interface

    Clock = Callable[[], tuple[int, int]]

    class Options(TypedDict, total=False):
        """What `open`, `create` and `open_or_create` take alike."""

        decode: Callable[[bytes], list[Event]] | None
        only: Collection[str]
        clock: Clock
        segment_size: int
        deadline: float
        actor: Actor | None
        before_recovery: Callable[[], object] | None


DEADLINE = 10.0  # seconds to wait for the lock, which is normally held for some 20 us


def clock() -> tuple[int, int]:
    """(wall clock, CLOCK_BOOTTIME), both in ns."""
    return time.time_ns(), time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def ourselves() -> Actor:
    """Whoever runs this process, as a command of its own."""
    return Actor({"uid": os.getuid(), "pid": os.getpid()}, os.urandom(16).hex())


class Journal:
    """A journal and a position in it. Made by `open`, `create` or `open_or_create`.

    One object serves one projection: `refresh` and `transaction` bring it to the journal's end.
    """

    def __init__(self, tail: Tail, writer: Writer | None) -> None:
        self.directory = tail.directory
        self.schema = tail.schema
        self.uuid = tail.header.journal
        self.root_id = self.uuid[:8]
        self._tail = tail
        self._writer = writer

    @classmethod
    def open(
        cls,
        directory: str,
        schema: Schema,
        *,
        cursor: Cursor | None = None,
        decode: Callable[[bytes], list[Event]] | None = None,
        only: Collection[str] = (),
        read_only: bool = False,
        clock: Clock = clock,
        segment_size: int = SEGMENT_SIZE,
        deadline: float = DEADLINE,
        actor: Actor | None = None,
        before_recovery: Callable[[], object] | None = None,
    ) -> Journal:
        """At `cursor` (default: before everything), recovered if nobody has done so since the boot.

        `actor`: whom the journal shall name for that (default: this user and process). `before_recovery` is called
        first where it is to be done: when it raises, no file was touched.
        `decode` (bulk.bulk_decoder) is used where there is much to read. `only`: the projection is of these streams
        alone; the lines of others are checked but not decoded, and nothing may be appended to them. JournalMissing, NewerSchema, Corrupt,
        StaleCursor, NotReadable; unless `read_only` also NotWritable, LockTimeout.
        """
        tail = Tail(directory, schema, cursor or Cursor(), decode=decode, lenient=read_only, only=only)
        if read_only:
            return cls(tail, None)
        lock = Lock(os.path.join(directory, LOCK), deadline)
        writer = Writer(
            tail, RunState(lock), lock, clock, actor=actor or ourselves(), segment_size=segment_size
        )
        writer.recover_once(before_recovery)
        return cls(tail, writer)

    @classmethod
    def create(cls, directory: str, schema: Schema, **options: Unpack[Options]) -> Journal:
        """A new journal in `directory`, on disk when this returns. JournalExists, NetworkFileSystem, NotWritable."""
        from eventstore.rotation import create

        now = options.get("clock", clock)()
        create(
            directory,
            schema,
            now,
            options.get("actor") or ourselves(),
            deadline=options.get("deadline", DEADLINE),
            segment_size=options.get("segment_size", SEGMENT_SIZE),
        )
        return cls.open(directory, schema, **options)

    @classmethod
    def open_or_create(
        cls,
        directory: str,
        schema: Schema,
        *,
        cursor: Cursor | None = None,
        **options: Unpack[Options],
    ) -> Journal:
        """`open`, and where there is no journal yet `create`: safe for two processes at once."""
        try:
            return cls.open(directory, schema, cursor=cursor, **options)
        except JournalMissing:
            try:
                return cls.create(directory, schema, **options)
            except JournalExists:  # by another process, a moment ago
                return cls.open(directory, schema, **options)

    @classmethod
    def repair(
        cls,
        directory: str,
        schema: Schema,
        *,
        actor: Actor | None = None,
        deadline: float = DEADLINE,
    ) -> None:
        """Cut off, and keep, what is damaged at the journal's end, though events are lost that were acknowledged.

        For people who were told of it: `open` refuses such a journal. Corrupt where that cannot help.
        """
        tail = Tail(directory, schema, Cursor(), lenient=True)
        lock = Lock(os.path.join(directory, LOCK), deadline)
        writer = Writer(
            tail, RunState(lock), lock, clock, actor=actor or ourselves(), segment_size=SEGMENT_SIZE
        )
        try:
            writer.repair()
        finally:
            tail.close()
            writer.close()

    @property
    def cursor(self) -> Cursor:
        """Behind the last event that was read or written through this object."""
        return self._tail.cursor

    @property
    def is_behind(self) -> bool:
        """Whether the projection has more than the journal up to `cursor`: something that could not be written."""
        return self._tail.ahead

    def refresh(self, projection: Projection) -> int:
        """Apply what others have written since; how many events it was. Takes no lock."""
        return self._tail.catch_up(projection)

    def transaction(
        self, projection: Projection, *, by: dict[str, int | str], why: str, op: str
    ) -> Transaction:
        """Under the lock, on the newest state: `with journal.transaction(...) as tx: tx.append(...)`.

        NotWritable if opened for reading only; LockTimeout and WriteFailed when it begins or ends.
        """
        if self._writer is None:
            raise NotWritable(self.directory, "opened for reading only")
        return Transaction(self._writer, projection, by, why, op)

    def close(self) -> None:
        self._tail.close()
        self.drop_locks_after_fork()

    def drop_locks_after_fork(self) -> None:
        """In a forked child: the lock must die with the parent, so the child may not keep its descriptor."""
        if self._writer:
            self._writer.close()
