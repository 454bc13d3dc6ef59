"""Before a command writes to a root: is it at home here? One that is not stays as it is, a torn end and all."""

from __future__ import annotations

from cli import bootstrap
from eventstore.cursor import Cursor
from eventstore.snapshots import Snapshots
from machine import home
from machine.errors import ForeignRoot
from machine.events import SCHEMA
from machine.resources import LIVE
from machine.world import World

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from eventstore.event import Event
    from machine.home import Here


def look_around(root: str, world: World, *, run: str = "", adopts: bool) -> tuple[Here, str]:
    """What is here, and why the root is strange to it, if it is. ForeignRoot, unless somebody `adopts` it."""
    here = bootstrap.here(root, world.host, run)
    strange = home.strange(world.host, here, live=any(c.status in LIVE for c in world.containers.values()))
    if strange and not adopts:
        raise ForeignRoot(root, strange)
    return here, strange


def refuse_foreign(root: str, code: str, decode: Callable[[bytes], list[Event]]) -> None:
    """ForeignRoot for a root that is not at home here, be its journal damaged; no file is touched.

    `code`: of the snapshots that may be used. JournalMissing, NotReadable, NewerSchema.
    """
    from eventstore.reader import sound_events

    directory = f"{root}/journal"
    found = Snapshots(directory).load(code)
    at, world = (found[0], World.unpack(found[1])) if found is not None else (Cursor(), World())
    for event in sound_events(directory, SCHEMA, at=at, decode=decode):
        world.apply(event)
    look_around(root, world, adopts=False)
