"""What is planned for the container `c1` of a history."""

from __future__ import annotations

from machine.plan import Step, plan
from tests.histories import PLACES, STREAM, History, c1

MAKE = ["do directory", "do cgroup", "do init", "do root_link", "do release"]
UNMAKE = ["undo release", "undo root_link", "undo init", "undo cgroup", "undo directory"]


def kinds(history: History) -> list[str]:
    return [row.kind for row in c1(history).held]


def next_step(history: History, stream: str = STREAM) -> Step:
    subject = history.world.subject(stream)
    assert subject is not None
    step = plan(subject, PLACES)
    assert step is not None
    return step
