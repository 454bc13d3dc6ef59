"""The writing half of a journal: recover, lock, catch up, write once, unlock, sync."""

from __future__ import annotations

import errno
import os

from eventstore.codec import check, close, encode
from eventstore.cursor import Cursor
from eventstore.errors import Corrupt, EventTooLarge, NotWritable, UnknownFormat, WriteFailed
from eventstore.event import Actor
from eventstore.segments import LINE_LIMIT, name_of, open_segment, write_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

    from eventstore.event import Event
    from eventstore.lock import Lock
    from eventstore.runstate import RunState
    from eventstore.tail import Projection, Tail

    Clock = Callable[[], tuple[int, int]]

RESERVE = 1 << 20  # bytes at a segment's end for what empties a full disk
MUCH = 256 << 10  # bytes of others' events that are read without the lock first
INFINITY = float("inf")
FRAME_SIZE = 128  # at most, of one line
_FULL = (errno.ENOSPC, errno.EDQUOT)


class Writer:
    """Between `begin` and `end` the lock is held; `sync` comes after it."""

    def __init__(
        self, tail: Tail, run: RunState, lock: Lock, clock: Clock, *, actor: Actor, segment_size: int
    ) -> None:
        self.tail = tail
        self.actor = actor  # of the transaction at hand; before the first, who opened the journal
        self.run = run
        self.lock = lock
        self.clock = clock
        self.segment_size = segment_size
        self._file = -1  # the descriptor that is written to, made for
        self._durable = 0  # lines up to this one were on disk when the lock was taken
        self._opened = 0  # this opening of a segment by `tail`
        self.checked: dict[str, int | str] | None = None  # the last actor that is known to be JSON

    def recover_once(self, before: Callable[[], object] | None = None) -> None:
        """Recover if nobody has done so since the boot; `before` may refuse that, while no file is touched yet."""
        if before is not None and not self.run.current():
            before()
        self.lock.acquire()
        try:
            self._recover_if_new()
        finally:
            self.lock.release()

    def repair(self) -> None:
        """Recover now, and cut off damage even where acknowledged events go with it."""
        from eventstore.recovery import recover

        tail = self.tail
        self.lock.acquire()
        try:
            durable, active = recover(tail.directory, tail.schema, self.clock(), self.actor, accept_loss=True)
            self.run.create(durable, active)
        finally:
            self.lock.release()

    def begin(self, projection: Projection) -> None:
        """Lock, and bring journal and projection to the newest state."""
        self.tail.refuse_if_ahead()
        if self.tail.header.compat:
            raise UnknownFormat(f"{self.tail.header.compat} may be read but not written")
        if not self._begun(projection, much=MUCH):
            self.tail.catch_up(projection)
            self._begun(projection)

    def _begun(self, projection: Projection, much: float = INFINITY) -> bool:
        """True with the lock, all read; False without it, where more than `much` is to be read: nobody should wait for that."""
        tail = self.tail
        self.lock.acquire(lambda: tail.catch_up(projection))
        try:
            self._recover_if_new()
            self._durable, failed, last = self.run.read()
            if failed:
                self._write_anew()
            if not last or not tail.nothing_new(last):
                if tail.remainder() > much:
                    self.lock.release()
                    return False
                self._catch_up(projection, last)
        except BaseException:
            self.lock.release()
            raise
        return True

    def end(self) -> None:
        self.lock.release()

    def close(self) -> None:
        self.lock.close()
        if self._file >= 0:
            os.close(self._file)
            self._file, self._opened = -1, 0

    def _recover_if_new(self) -> None:
        found = self.run.found
        if not self.run.current():
            from eventstore.recovery import recover

            durable, active = recover(self.tail.directory, self.tail.schema, self.clock(), self.actor)
            self.run.create(durable, active)
        if 0 < found != self.run.found:
            self.tail.reopen()

    def _write_anew(self) -> None:
        from eventstore.recovery import write_anew

        write_anew(self.tail.directory, self.tail.schema, self.clock(), self.actor, self.segment_size)
        self.run.set_failed(False)

    def _catch_up(self, projection: Projection, last: int) -> None:
        tail = self.tail
        tail.catch_up(projection)
        if tail.remainder():  # a writer died, or could not take back, in the midst of a full disk
            from eventstore.recovery import recover

            recover(tail.directory, tail.schema, self.clock(), self.actor)
            tail.catch_up(projection)
        if tail.cursor.segment < last:
            raise Corrupt(name_of(last), 1, "the segment is missing")
        if not last:  # somebody died in a rotation
            self.run.set_active(tail.cursor.segment)

    def make_room(self, tx: Transaction) -> WriteFailed | None:
        """Rotate where the segment is full or of an older schema. The error if that failed and only the reserve is left."""
        at, header = self.tail.cursor, self.tail.header
        old = header.schema < self.tail.schema.number
        if not old and at.offset < self.segment_size - min(RESERVE, self.segment_size // 16):
            return None
        from eventstore.rotation import rotate

        self.run.set_active(0)
        try:
            now = self.clock()
            rotate(
                self.tail.directory,
                header,
                at,
                self.tail.schema,
                self.segment_size,
                now=now,
                actor=self.actor,
            )
        except WriteFailed as error:
            if error.doubtful:
                self.run.set_failed(True)
                raise
            self.run.set_active(at.segment)
            if old or error.errno not in _FULL:
                raise
            return error
        self.run.set_active(at.n + 1)
        self.tail.catch_up(tx.projection)
        return None

    def write(self, bodies: list[bytes]) -> None:
        at, durable = self.tail.cursor, self._durable
        lines, h, more = [], at.h, len(bodies)
        for body in bodies:
            more -= 1
            line, h = close(body, h, durable=durable, more=more)
            lines.append(line)
        data = b"".join(lines)
        if self._opened != self.tail.opened:
            self._open_for_writing(at.segment)
        self._write_or_take_back(data, at.offset)
        self.tail.cursor = Cursor(at.segment, at.offset + len(data), at.n + len(bodies), h)
        self.tail.ahead = False

    def _open_for_writing(self, segment: int) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file, self._opened = -1, 0
        try:
            self._file = open_segment(self.tail.directory, segment, os.O_WRONLY | os.O_APPEND)
        except OSError as error:
            raise NotWritable(
                os.path.join(self.tail.directory, name_of(segment)), os.strerror(error.errno or 0)
            ) from None
        self._opened = self.tail.opened

    def _write_or_take_back(self, data: bytes, start: int) -> None:
        """One write(2). What a full disk took of it is taken back under the same lock."""
        try:
            write_all(self._file, data)
        except OSError as error:
            failure = WriteFailed(error.errno or 0, "append")
            try:
                os.ftruncate(self._file, start)
            except OSError as again:  # the next writer will find an unfinished write and cut it off
                raise failure from again
            raise failure from None

    def sync(self, n: int) -> None:
        """Everything up to line `n` on disk, or WriteFailed: a failed sync is not believed on a second try."""
        try:
            os.fdatasync(self._file)
        except OSError as error:
            self.run.set_failed(True)
            raise WriteFailed(error.errno or 0, "sync") from None
        if not self.run.raise_durable(n):
            raise WriteFailed(errno.EIO, "sync of an earlier line by another process")


class Transaction:
    """Events that exist together or not at all, decided on the newest state. See `Journal.transaction`.

    Leaving the block writes them in one write, unlocks, and syncs if any of them asks for it: when the
    `with` statement is over without an error they are on disk. An exception in the block writes nothing.
    """

    def __init__(
        self, writer: Writer, projection: Projection, by: dict[str, int | str], why: str, op: str
    ) -> None:
        if by is not writer.checked:
            check(by)
            writer.checked = by
        self.writer = writer
        self.projection = projection
        self.actor = Actor(by, op)
        self.why = why
        self._bodies: list[bytes] = []
        self._full: WriteFailed | None = None
        self._sync = False

    def __enter__(self) -> Self:
        self.writer.actor = self.actor
        self.writer.begin(self.projection)
        return self

    def append(self, stream: str, event: Event, *, sync: bool = True, reserve: bool = False) -> Event:
        """Stamp `event` with its envelope, apply it to the projection, and write it when the block ends.

        `reserve`: this event makes room or must not be lost; it may use the space kept for a full disk.
        """
        if "n" in event.__dict__:
            raise ValueError(f"{event!r} is in a journal already")
        writer = self.writer
        if not self._bodies:
            self._full = writer.make_room(self)
        if self._full and not reserve:
            raise self._full
        event.n = writer.tail.cursor.n + len(self._bodies) + 1
        event.ts, event.up = writer.clock()
        event.s, event.v = stream, self.projection.version(stream) + 1
        event.op, event.by, event.why = self.actor.op, self.actor.by, self.why
        body = encode(event)
        if len(body) > LINE_LIMIT - FRAME_SIZE:
            raise EventTooLarge(event.tag, len(body), LINE_LIMIT)
        writer.tail.ahead = True
        self._bodies.append(body)
        self._sync = self._sync or sync
        self.projection.apply(event)
        return event

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        writer = self.writer
        try:
            if kind is None and self._bodies:
                writer.write(self._bodies)
        finally:
            writer.end()
        if kind is None and self._sync:
            writer.sync(writer.tail.cursor.n)
