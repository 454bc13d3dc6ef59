"""What a monitor was given of the journal, and how it gets back to it after an append that failed. LEAN."""

from __future__ import annotations

import os

from cli import bootstrap
from eventstore import plainjson
from eventstore.cursor import Cursor
from eventstore.event import Actor
from machine.world import World

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from eventstore.journal import Journal
    from machine.engine import Engine
    from machine.subjects import Container


class Given:
    """One container as it was at the hand-over, and the place in the journal; from a command's request."""

    def __init__(self, request: dict[str, Any]) -> None:
        self.root, self._cursor = request["root"], request["cursor"]
        self.stream = f"container/{request['container']['id']}"
        self.actor = Actor({**request["by"], "pid": os.getpid()}, request["op"])
        # As text: the fold changes lists in place, and these must stay as they were.
        self._parts = plainjson.dumps(
            {"containers": [request["container"]], "host": request["host"], "journal": request["journal"]}
        )

    def read(self) -> tuple[Journal, World]:
        """The journal at that place, and the world as it was there. Raises JournalError."""
        needed, at = (self.stream, "host", "journal"), Cursor.load(self._cursor)
        journal = bootstrap.open_journal(self.root, cursor=at, only=needed, actor=self.actor)
        return journal, World.load(plainjson.loads(self._parts))

    def read_anew(self, engine: Engine, container: Container) -> None:
        """Fold again from there: the engine's world has got ahead of its journal. Whoever holds `container` sees it."""
        journal, world = self.read()
        journal.refresh(world)
        there = world.containers.get(container.id)
        if there is None:
            container.status = "removed"
        else:
            container.become(there)
            world.put(container)
        bootstrap.give(engine, journal, world)
