"""The world: the state of all subjects, and the folding of events into it. What a journal projects to."""

from __future__ import annotations

from machine.evolve import evolve
from machine.state import State

TYPE_CHECKING = False
if TYPE_CHECKING:
    from eventstore.event import Event


class World(State):
    """The projection that the engine keeps."""

    def apply(self, event: Event) -> None:
        """Fold one event in; total: it never raises on a recorded event."""
        evolve(self, event)
