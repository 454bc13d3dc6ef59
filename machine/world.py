"""The world: the state of all subjects, and the folding of events into it. What a journal projects to."""

from __future__ import annotations

from machine.evolve import evolve
from machine.state import State


class World(State):
    """The projection that the engine keeps."""

    apply = evolve  # no function around it: a replay calls it a million times
