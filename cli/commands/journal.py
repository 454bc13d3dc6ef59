"""`mydocker journal stats`, `between`, `snapshot`, `archive` and `repair`."""

from __future__ import annotations

import click

from cli import bootstrap
from cli.accounts import actor
from cli.declare import argument, flag, value
from cli.escape import json_line, safe
from cli.family import family, member
from cli.progress import Watched
from cli.render import binary_size, local_time
from cli.report import echo
from cli.session import Session, pass_session, snapshot_code
from cli.travel import Moment, NoSuchMoment, Traveller, last_event, moment, warn_of_clock
from machine.changes import Between, Change, changes, facts
from machine.errors import InvalidValue
from machine.events import SCHEMA
from machine.evolve_effects import UNREAD
from machine.quantities import is_digits
from machine.words import count_of
from machine.world import World

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

DIGITS = 9  # of a number of segments


@family()
def journal() -> None:
    """Look after the journal: what it holds, what changed between two moments, archive, snapshot, repair."""


@member(journal)
@value("form", "--format", metavar="FORM", help="json, or a template such as {{.Events}}.")
@pass_session
def stats(session: Session, form: str | None) -> None:
    """Tell what the journal holds: how many events, since when, of what, in which files."""
    from cli.document import show
    from cli.holdings import holdings

    show(holdings(session.root), form)


# --- between two moments -------------------------------------------------------------------------------


@member(journal)
@value("form", "--format", metavar="FORM", help="json, one line a change.")
@argument("first", metavar="A")
@argument("second", metavar="B")
@pass_session
def between(session: Session, first: str, second: str, form: str | None) -> None:
    """Tell what changed in the world from A to B.

    Each is an event's number, a time (10m ago, 2006-01-02T15:04:05, unix seconds), or `now`.
    """
    a, b = moment(first), moment(second)
    traveller = Traveller(session.root, a, snapshot_code())
    before, begun = facts(traveller.go(a)), (traveller.n, traveller.ts)
    warn_of_clock(traveller, first)
    if _is_before(b, a, traveller):
        raise NoSuchMoment(second, f"it is not after {first} [try: journal between {second} {first}]")
    seen = Between()
    found = changes(before, traveller.go(b, seen.see), seen)
    warn_of_clock(traveller, second)
    if form == "json":
        for change in found:
            echo(_as_json(change, seen))
        return
    echo(
        f"from event {begun[0]} ({local_time(begun[1])}) to event {traveller.n} ({local_time(traveller.ts)})"
    )
    for change in found:
        for line in _in_words(change, seen):
            echo(line)
    echo(_sum(found, seen))


def _is_before(b: Moment, a: Moment, at_a: Traveller) -> bool:
    """In the journal's order; by the clock where nothing was recorded between the two."""
    n = at_a.behind(b)
    backwards = a.ts is not None and b.ts is not None and b.ts < a.ts
    return n is not None and (n < at_a.n or (backwards and n == at_a.n))


def _in_words(change: Change, seen: Between) -> list[str]:
    said = f": {change.said}" if change.said else ""
    asked = f" [{_asked(change, seen)}]" if _asked(change, seen) else ""
    lines = [f"{change.sign} {change.kind} {change.name}{said}{asked}"]
    lines += [f"    {what}: {old} -> {new}" for what, old, new in change.details]
    return [safe(line) for line in lines]


def _asked(change: Change, seen: Between) -> str:
    event = seen.asked.get(change.key)
    return f"{actor(event.by)}: {event.by.get('cmd', '')}" if event is not None else ""


def _sum(found: list[Change], seen: Between) -> str:
    if not seen.events:
        return "nothing happened"
    counts = {
        "event": seen.events,
        "command": len(seen.commands),
        "boot": seen.boots,
        "failure": seen.failures,
    }
    words = [count_of(count, what) for what, count in counts.items() if count]
    return f"{', '.join(words)}{'' if found else '; the world is as it was'}"


def _as_json(change: Change, seen: Between) -> str:
    values: dict[str, Any] = {
        "Sign": change.sign,
        "Kind": change.kind,
        "Name": change.name,
        "ID": change.key,
        "Said": change.said,
        "Changed": {what: [old, new] for what, old, new in change.details},
        "By": _asked(change, seen),
    }
    return json_line(values)


# --- files ---------------------------------------------------------------------------------------------


@member(journal)
@pass_session
def snapshot(session: Session) -> None:
    """Fold the whole journal, and keep the state for quick starts. Commands do so by themselves now and then."""
    from eventstore.bulk import bulk_decoder
    from eventstore.snapshots import Snapshots

    last = last_event(session.root)
    world = World()
    decode = bulk_decoder(SCHEMA, UNREAD)
    source = bootstrap.open_journal(session.root, decode=decode, read_only=True)
    total = last.n if last is not None else 0
    with Watched("reading the journal", total, "events", lambda: source.cursor.n):
        source.refresh(world)
    payload = world.pack()
    if Snapshots(f"{session.root}/journal").save(snapshot_code(), source.cursor, payload):
        echo(f"kept the state at event {source.cursor.n}, {binary_size(len(payload))}")
    else:
        echo("another process is keeping one just now")


def _count(text: str, what: str) -> int:
    if not is_digits(text) or len(text) > DIGITS:
        raise InvalidValue(what, text, "expected a number of segments")
    return int(text)


@member(journal)
@value("before", "--before", parse=moment, metavar="N|TIME", help="Only segments that end before it.")
@value("keep", "--keep", parse=_count, metavar="N", help="Leave the newest N sealed segments as they are.")
@pass_session
def archive(session: Session, before: Moment | None, keep: int | None) -> None:
    """Compress sealed segments, to an eighth or so; every command reads them still.

    The segment that is written to stays as it is. The files are in ROOT/journal/archive; zstdcat reads them.
    """
    from cli import archiving

    packed = archiving.pack(session, archiving.limit(session.root, before, keep or 0))
    if not packed:
        echo("nothing to archive: no whole sealed segment is that old")
        return
    size, now = (sum(sizes) for sizes in zip(*((one.size, one.packed) for one in packed), strict=True))
    echo(f"archived {count_of(len(packed), 'segment')}, {binary_size(size)}, now {binary_size(now)}")


@member(journal)
@flag("accept_loss", "--accept-loss", help="Though events are lost that were acknowledged.")
@pass_session
def repair(session: Session, *, accept_loss: bool) -> None:
    """Cut off what is damaged at the journal's end, so that the engine goes on; the bytes are kept in torn/.

    Only for a journal that the engine refuses to write to. Copy ROOT/journal first.
    """
    from cli.commands.audit import verified
    from eventstore.journal import Journal

    if not accept_loss:
        raise click.UsageError("events may be lost that were acknowledged: say --accept-loss if they may")
    session.refuse_foreign()
    Journal.repair(f"{session.root}/journal", SCHEMA, actor=session.actor)
    report = verified(session.root)
    echo(
        f"the journal ends with event {report.n}; bytes that were cut off are in {session.root}/journal/torn"
    )
    for finding in report.findings:
        echo(f"still damaged: {finding}")
