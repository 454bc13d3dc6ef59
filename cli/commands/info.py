"""`mydocker info`."""

from __future__ import annotations

import os
import sys

from cli import __version__
from cli.declare import command, value
from cli.document import show
from cli.looking import is_live
from cli.session import Session, pass_session
from effects import hostinfo
from eventstore.errors import JournalMissing, Malformed
from machine.events import SCHEMA
from machine.home import USUAL_RUN_DIR
from machine.projections import shown_status, visible
from machine.resources import LIVE
from machine.subjects import Container

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

STATES = ("created", "running", "paused", "stopped", "exited", "failed")  # shown even if nobody is in them
TAIL = 128 << 10  # bytes that hold the last whole line: twice as many as a line may have


@command()
@value("form", "-f", "--format", metavar="FORM", help="json, or a template such as {{.RootId}}.")
@pass_session
def info(session: Session, form: str | None) -> None:
    """Print what this engine has and where, and what the kernel offers."""
    world = session.world
    places = session.places
    states = dict.fromkeys(STATES, 0)
    containers = visible(world)
    for container in containers:
        state = state_of(container)
        states[state] = states.get(state, 0) + 1
    document = {
        "Version": __version__,
        "Root": session.root,
        "RunDir": places.run if places is not None else session.run or USUAL_RUN_DIR,
        "RootId": places.root_id if places is not None else "",
        "Journal": journal(f"{session.root}/journal"),
        "Containers": len(containers),
        "ContainerStates": states,
        "Images": sum(image.status == "published" for image in world.images.values()),
        "Layers": sum(layer.status == "published" for layer in world.layers.values()),
        "Jobs": len(world.jobs),
        "Boots": world.host.boots,
        "Python": sys.version.partition(" ")[0],
        **hostinfo.host_info(),
    }
    show(document, form)


def state_of(container: Container) -> str:
    """By the kernel's word: one that has ended runs no more, whether that was noted or not."""
    unseen = container.status in LIVE and not is_live(container)
    return "exited" if unseen else shown_status(container)


def journal(directory: str) -> dict[str, Any]:
    """Events, Segments (and how many of them are Archived), Bytes on disk and Schema."""
    from eventstore.archive import all_numbers, archived_numbers
    from eventstore.segments import segment_numbers

    try:
        numbers = segment_numbers(directory)
    except JournalMissing:
        return {"Events": 0, "Segments": 0, "Archived": 0, "Bytes": 0, "Schema": SCHEMA.number}
    return {
        "Events": last_number(directory, numbers),
        "Segments": len(all_numbers(directory)),
        "Archived": len(archived_numbers(directory)),
        "Bytes": sum(_sizes(directory)),
        "Schema": SCHEMA.number,
    }


def last_number(directory: str, numbers: list[int]) -> int:
    """The number of the last whole line, which is the number of events."""
    from eventstore.codec import parse
    from eventstore.segments import open_segment

    for first in reversed(numbers):
        with open(open_segment(directory, first), "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - TAIL))
            lines = file.read().split(b"\n")[:-1]
        for line in reversed(lines):
            try:
                return int(parse(line)["n"])
            except (Malformed, KeyError, TypeError):
                continue  # torn by a power cut; the next writer cuts it off
    return 0


def _sizes(directory: str) -> list[int]:
    """Of the journal's own files, archived ones included; caches and locks left out."""
    sizes = []
    for folder in (directory, f"{directory}/archive"):
        try:
            with os.scandir(folder) as entries:
                sizes += [entry.stat().st_size for entry in entries if ".jsonl" in entry.name]
        except FileNotFoundError:
            continue
    return sizes
