"""What is planned for the container `c1` of a history."""

from __future__ import annotations

from machine.plan import Step, plan
from machine.subjects import Container
from tests.histories import PLACES, History, container_id

C1 = container_id("a")
STREAM = f"container/{C1}"
MAKE = ["do directory", "do cgroup", "do init", "do root_link", "do release"]
UNMAKE = ["undo release", "undo root_link", "undo init", "undo cgroup", "undo directory"]


def c1(history: History) -> Container:
    return history.world.containers[C1]


def kinds(history: History) -> list[str]:
    return [row.kind for row in c1(history).held]


def next_step(history: History, stream: str = STREAM) -> Step:
    subject = history.world.subject(stream)
    assert subject is not None
    step = plan(subject, PLACES)
    assert step is not None
    return step
