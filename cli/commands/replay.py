"""`mydocker replay`."""

from __future__ import annotations

from cli import orphans
from cli.answers import NoAnswer
from cli.declare import command, flag
from cli.gone import called, gone
from cli.report import echo, line_of, say
from cli.session import Session, pass_session
from cli.settler import Refused
from eventstore.event import Event
from machine.plan import leftover_steps, plan
from machine.projections import pid
from machine.resources import LIVE, WATCHED
from machine.story import THINGS
from machine.subjects import Container, Standing, Subject
from machine.words import count_of


@command()
@flag("dry_run", "--dry-run", help="Only say what would be done.")
@flag("fast", "--fast", help="Begin at the last snapshot, as other commands do, not at the first event.")
@flag("quiet", "-q", "--quiet", help="Say nothing where there is nothing to do.")
@flag("moved", "--moved", help="Adopt a root that was moved or copied here, from another machine perhaps.")
@pass_session
def replay(session: Session, *, dry_run: bool, fast: bool, quiet: bool, moved: bool) -> int:
    """Rebuild the state from the journal from zero, and put right whatever is not as it tells.

    With --moved, containers that ran where it came from count as ended. Not while it is used there still.
    """
    session.from_zero = not fast
    session.adopts = moved
    if dry_run:
        _foretell(session)
        return 0
    names = {subject.stream: called(subject) for subject in session.world.subjects()}
    first = session.last_event()
    if not quiet:
        echo(_read(session))
    engine = session.engine()
    failed = [subject.stream for subject in list(engine.world.subjects()) if not _mended(session, subject)]
    failed += _unwatched(session)
    if plan(engine.world.host, engine.places) is not None:  # a network went, the last of its kind
        _mended(session, engine.world.host)
    removed, stuck = orphans.remove(session, why="replay")
    engine.refresh()
    done = [event for event in session.events_after(first) if _is_told(event)]
    for line in session.told(done, names):
        echo(line)
    for path in removed:
        echo(f"removed {path}: no event tells of it")
    if not (done or removed or failed or stuck or quiet):
        echo("everything is as the journal tells: nothing to do")
    return 125 if failed or stuck else 0


def _is_told(event: Event) -> bool:
    """What is swept away is told file by file."""
    return not event.s.startswith("journal") and event.tag != "host.swept"


def _mended(session: Session, subject: Subject) -> bool:
    """One that cannot be mended is told, and keeps no other from being mended."""
    try:
        session.settler().mend(subject.stream, why="replay", leftovers=True)
    except (OSError, NoAnswer, Refused) as error:
        say(f"{called(subject)}: {line_of(error)}")
        return False
    mended = session.engine().world.subject(subject.stream)
    return not (isinstance(mended, Standing) and mended.error is not None)


def _unwatched(session: Session) -> list[str]:
    """Who has no monitor though all was mended: tried once more, and told. The streams of those that still have none."""
    containers = [c for c in session.engine().refresh().containers.values() if c.status in WATCHED]
    alone = [c for c in containers if not session.locks.is_held(c.id)]
    for c in alone:
        say(f"{c.name}: its monitor died at once: trying once more")
        _mended(session, c)
    still = session.engine().refresh().containers
    return [c.stream for c in alone if c.id in still and not session.locks.is_held(c.id)]


def _read(session: Session) -> str:
    world = session.world
    live = sum(c.status in LIVE for c in world.containers.values())
    images = sum(image.status == "published" for image in world.images.values())
    return (
        f"read {count_of(session.folded, 'event')}: {count_of(len(world.containers), 'container')} ({live} live), "
        f"{count_of(images, 'image')}, {count_of(len(world.jobs), 'job')} at work, {count_of(world.host.boots, 'boot')}"
    )


def _foretell(session: Session) -> None:
    world = session.world
    echo(_read(session))
    found = [line for subject in world.subjects() for line in _unsettled(session, subject)]
    lost = ((called(subject), THINGS[row.kind]) for subject, row in gone(world.subjects()))
    found += [f"{name}: would make {thing} again: gone from the kernel" for name, thing in lost]
    found += [f"would remove {path}: no event tells of it" for path in orphans.find(session)]
    for line in found or ["everything is as the journal tells: nothing to do"]:
        echo(line)


def _unsettled(session: Session, subject: Subject) -> list[str]:
    """What is not as its status calls for, and has no settler at work on it."""
    if session.locks.is_held(subject.stream.partition("/")[2]):
        return []
    name = called(subject)
    lines = [f"{name}: would undo {step.kind} again" for step in leftover_steps(subject)]
    if isinstance(subject, Container) and subject.status in LIVE:
        lines.append(
            f"{name}: {subject.status}, pid {pid(subject)}, but nobody watches it: would give it a monitor"
        )
    elif isinstance(subject, Container) and subject.status == "creating":
        lines.append(f"{name}: its creation was never finished: would finish or undo it")
    elif subject.status == "working":
        lines.append(f"{name}: its command has died: would undo what it began")
    elif session.places is not None and (step := plan(subject, session.places)) is not None:
        lines.append(f"{name}: would {step.verb} {step.kind}")
    return lines
