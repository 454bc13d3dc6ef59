"""Old segments of the journal leave for its archive: by `journal archive`, and by `system prune`."""

from __future__ import annotations

import os
from functools import partial

from cli.progress import Progress, Watched
from cli.session import Session, snapshot_code
from cli.travel import NOW, Moment, Traveller, clock
from eventstore.archive import archive, digests, leaving
from eventstore.errors import JournalMissing
from eventstore.schema import HOUSEKEEPING, Archived
from eventstore.segments import name_of, segment_numbers
from machine import decide
from machine.events import SCHEMA

_SAVED = 7, 8  # of a segment's bytes, so many are saved, as a rule


def limit(root: str, before: Moment | None, keep: int = 0) -> int:
    """The number of an event, the first that must not be archived: of `before`, and of the newest `keep` sealed segments.

    JournalMissing, Corrupt.
    """
    directory = f"{root}/journal"
    live = segment_numbers(directory)
    if not live:
        raise JournalMissing(directory)
    newest = live[max(0, len(live) - 1 - keep)]
    if before is None or before.text == NOW:
        return newest
    if before.n is not None:
        return min(newest, before.n)
    assert before.ts is not None, "a moment that is neither number nor now has a time"
    with clock(root) as times:
        return min(newest, times.last_until(before.ts) + 1)


def found(root: str, before: int) -> list[str]:
    """Names of the segments that would leave: sealed ones whose lines are all before number `before`."""
    return [name_of(first) for first, _ in leaving(f"{root}/journal", before)]


def saved(root: str, before: int) -> int:
    """Bytes that this would give back, as a rule."""
    size = sum(os.path.getsize(f"{root}/journal/{name}") for name in found(root, before))
    return size * _SAVED[0] // _SAVED[1]


def pack(session: Session, before: int) -> list[Archived]:
    """Pack them, and note it; what was packed. MachineError, JournalError, OSError."""
    directory = f"{session.root}/journal"
    going = leaving(directory, before)
    if not going:
        return []
    engine = session.engine()
    _leave_base(session.root, going[-1][1])
    note = partial(engine.decide, decide.note, HOUSEKEEPING)
    with Progress("archiving", 0, "segments") as progress:
        return archive(directory, SCHEMA, before, note, progress.of)


def _leave_base(root: str, following: int) -> None:
    """The state at the archive's end, so that nobody needs to unpack it to know the present."""
    from eventstore.reader import cursor_before
    from eventstore.snapshots import Snapshots

    there, code = Moment(NOW, n=following - 1), snapshot_code()
    traveller = Traveller(root, there, code)
    with Watched("reading the journal", following - 1, "events", lambda: traveller.n):
        payload = traveller.go(there).pack()
    directory = f"{root}/journal"
    Snapshots(directory).save_base(
        code,
        cursor_before(directory, following),
        payload,
        ts=traveller.ts,
        archived=digests(directory, SCHEMA, following),
    )
