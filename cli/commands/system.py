"""`mydocker system df` and `prune`."""

from __future__ import annotations

import sys
import time

from cli import archiving
from cli.declare import Misused, flag, value
from cli.disk import Disk, Portion
from cli.family import family, member
from cli.pruning import Doomed, Pruning
from cli.render import Column, human_size, listing
from cli.report import echo, put
from cli.session import Session, pass_session
from machine.errors import InvalidValue
from machine.moments import timestamp
from machine.settings import SHORT

PORTIONS = [
    Column("Type", "TYPE"),
    Column("TotalCount", "TOTAL"),
    Column("Active", "ACTIVE"),
    Column("Size", "SIZE"),
    Column("Reclaimable", "RECLAIMABLE"),
]


@family()
def system() -> None:
    """See what takes the disk, and have back what nothing needs."""


@member(system)
@flag("verbose", "-v", "--verbose", help="Each image, layer and container.")
@value("form", "--format", metavar="FORM", help="json, table, or a template such as {{.Type}}: {{.Size}}.")
@pass_session
def df(session: Session, form: str | None, *, verbose: bool) -> None:
    """Tell what takes how much of the disk, and what of it `system prune -a` would give back."""
    disk = Disk(session)
    if verbose:
        from cli.disk_rows import tell

        tell(disk, form)
        return
    for line in listing(map(_row, disk.portions()), PORTIONS, form or ""):
        echo(line)


def _row(portion: Portion) -> dict[str, str]:
    share = f" ({100 * portion.reclaimable // portion.size}%)" if portion.size else ""
    return {
        "Type": portion.name,
        "TotalCount": str(portion.total),
        "Active": str(portion.active),
        "Size": human_size(portion.size),
        "Reclaimable": f"{human_size(portion.reclaimable)}{share}",
    }


def _until(text: str, option: str) -> int:
    """`until=TIME` as ns since the epoch."""
    name, _, when = text.partition("=")
    if name != "until":
        raise InvalidValue(option, text, "the only filter is until=TIME")
    return timestamp(when, time.time_ns(), f"{option} until")


@member(system)
@flag(
    "every", "-a", "--all", help="Images that no container was made from as well, with their ROOT/NAME.tar."
)
@flag("force", "-f", "--force", help="Without asking.")
@flag("dry_run", "--dry-run", help="Only say what would go.")
@value(
    "until",
    "--filter",
    parse=_until,
    metavar="until=TIME",
    help="Only what was created before: a time, or 24h (ago).",
)
@pass_session
def prune(session: Session, until: int | None, *, every: bool, force: bool, dry_run: bool) -> int:
    """Remove what nothing needs: ended containers, unused layers, and whatever no event tells of.

    Sealed segments of the journal are compressed; every command reads them as before.
    """
    doomed = Doomed(session, images=every, until=until)
    if dry_run:
        _foretell(session.root, doomed)
        return 0
    if not force and not _agreed(every=every):
        return 0
    pruning = Pruning(session, doomed)
    before = doomed.size()
    pruning.run()
    for title, names in pruning.removed.items():
        _list(f"Deleted {title}:", names)
    _list("Archived segments of the journal, which are read as before:", pruning.archived)
    left = Doomed(session, images=every, until=until)
    echo(f"Total reclaimed space: {human_size(max(before - left.size(), 0) + pruning.saved)}")
    return 125 if pruning.failed else 0


class NotAsked(Misused):
    """Nobody is there to agree."""


def _agreed(*, every: bool) -> bool:
    """Ask whoever sits at the terminal. NotAsked where nobody does."""
    if not sys.stdin.isatty():
        raise NotAsked("nothing is removed unasked [say --force, or --dry-run to see what would go]")
    echo("WARNING! This will remove:")
    echo("  - all containers that do not run")
    if every:
        echo("  - all images that no container was made from, with their ROOT/NAME.tar")
    echo("  - all layers that nothing stands on")
    echo("  - whatever lies in the store and no event tells of")
    echo("and compress sealed segments of the journal, which are read as before")
    put("\nAre you sure you want to continue? [y/N] ")
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _foretell(root: str, doomed: Doomed) -> None:
    _list("Would delete containers:", [f"{c.id[:SHORT]} {c.name}" for c in doomed.containers])
    _list("Would delete images:", [image.name for image in doomed.images])
    _list("Would delete layers:", doomed.layers)
    _list("Would delete, as no event tells of it:", doomed.strays)
    packable = archiving.found(root, doomed.archived_before) if doomed.archived_before else []
    _list("Would archive, as segments of the journal that are read as before:", packable)
    saved = archiving.saved(root, doomed.archived_before) if packable else 0
    echo(f"Total reclaimable space: {human_size(doomed.size() + saved)}")


def _list(title: str, names: list[str]) -> None:
    if names:
        echo(title)
        for name in names:
            echo(name)
        echo()
