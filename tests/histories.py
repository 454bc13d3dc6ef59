"""Events stamped as a journal would stamp them, folded into a world: lives of containers without any kernel."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from eventstore.event import Event
from machine import decide, decide_host
from machine import events as ev
from machine.home import Here
from machine.lifecycle import STATUSES
from machine.plan import Places, Step, plan
from machine.subjects import Container
from machine.world import World

PLACES = Places("/root", "/run/mydocker", "0badcafe")
LIMIT = 200  # steps of one settling; a whole life takes some twenty
SECOND = 1_000_000_000
BOOT = "boot-1"
MACHINE = "machine-1"
LAYER = "sha256-of-a-layer"

Outcome = Callable[[Step], dict[str, Any] | None]


def container_id(digit: str) -> str:
    """64 digits, as long as a real one."""
    return digit * 64


C1 = container_id("a")  # of the container `c1` that `created`, `alive` and `in_status` make
STREAM = f"container/{C1}"


def c1(history: History) -> Container:
    return history.world.containers[C1]


def events(decision: decide.Decision) -> list[Event]:
    return [event for _, event in decision]


def tags(decision: decide.Decision) -> list[str]:
    return [event.tag for event in events(decision)]


def created(name: str, digit: str = "a", **settings: Any) -> ev.ContainerCreated:
    """A container called `name` without an image, all settings at their defaults but those given."""
    return ev.ContainerCreated(
        id=container_id(digit),
        name=name,
        image="busybox",
        layers=[],
        command=["sh"],
        process="process-0.json",
        env_keys=["PATH"],
        settings=settings,
    )


def facts_of(step: Step) -> dict[str, Any]:
    """What a handler would answer: enough for the steps that build on it."""
    if step.kind == "init":
        return {"pid": 4711, "start": 99, "boot": BOOT, "mounts": []}
    if step.kind == "cgroup":
        return {"joins": ["/cg/tasks"], "cgroup2": ""}
    return {}


def intent(step: Step) -> Event:
    """The intent of a step, as the engine records it."""
    if step.verb == "do":
        return ev.EffectDo(kind=step.kind, key=step.key, spec=step.spec)
    if step.verb == "undo":
        return ev.EffectUndo(kind=step.kind, key=step.key)
    return ev.EffectChange(kind=step.kind, key=step.key, spec=step.spec)


def outcome(step: Step, facts: dict[str, Any] | None) -> Event:
    """Success with these facts, or a failure where there are none."""
    if facts is not None:
        return ev.EffectDone(verb=step.verb, kind=step.kind, key=step.key, facts=facts)
    return ev.EffectFailed(
        verb=step.verb, kind=step.kind, key=step.key, errno=5, step=step.kind, message="broken"
    )


def well(step: Step) -> dict[str, Any]:
    """Everything succeeds."""
    return facts_of(step) if step.verb != "undo" else {}


def failing(*which: tuple[str, str]) -> Outcome:
    """Success, but for these (verb, kind)."""
    return lambda step: None if (step.verb, step.kind) in which else well(step)


def here(boot: str, machine: str = MACHINE, *, run: str = "") -> Here:
    """A place of which no more is known than which boot of which machine it is; `run`: the run directory asked for."""
    return Here(boot, machine, root=0, path="", spaces=[], run=run)


class History:
    """What has happened so far, and the world it led to."""

    def __init__(self, *decisions: decide.Decision) -> None:
        self.world = World()
        self.events: list[Event] = []
        self.now = 0
        self.why = "user"  # of the events that come
        for decision in decisions:
            self.record(decision)

    def note(self, stream: str, event: Event) -> Event:
        """Stamp and fold one event; a second after the one before."""
        self.now += SECOND
        event.n, event.ts, event.up = len(self.events) + 1, 10**18 + self.now, self.now
        event.s, event.v = stream, self.world.version(stream) + 1
        event.op, event.by, event.why = "op-1", {"uid": 0, "cmd": "test"}, self.why
        self.events.append(event)
        self.world.apply(event)
        return event

    def record(self, decision: decide.Decision) -> None:
        """What was decided, as one append."""
        for stream, event in decision:
            self.note(stream, event)

    def decide(self, verb: Callable[..., decide.Decision], *args: Any, **more: Any) -> decide.Decision:
        """Decide on the world as it is, and record that."""
        decision = verb(self.world, *args, **more)
        self.record(decision)
        return decision

    def decide_as(
        self, why: str, verb: Callable[..., list[tuple[str, Event]]], *args: Any, **more: Any
    ) -> list[tuple[str, Event]]:
        """The same, for that cause."""
        before, self.why = self.why, why
        try:
            return self.decide(verb, *args, **more)
        finally:
            self.why = before

    def step(self, stream: str, how: Outcome = well) -> Step | None:
        """One turn of settling: intent and outcome; the step, or None where nothing is left to do."""
        subject = self.world.subject(stream)
        step = plan(subject, PLACES.noted(self.world.host)) if subject is not None else None
        if step is not None:
            self.begin(stream, step)
            self.note(stream, outcome(step, how(step)))
        return step

    def begin(self, stream: str, step: Step) -> None:
        """The intent alone, unless it is in the journal already."""
        if not step.recorded:
            self.note(stream, intent(step))

    def settle(self, stream: str, how: Outcome = well) -> list[str]:
        """All turns until nothing is left to do: "do directory", "undo init" ..."""
        done: list[str] = []
        while (step := self.step(stream, how)) is not None:
            done.append(f"{step.verb} {step.kind}")
            assert len(done) < LIMIT, f"the plan does not come to rest: {done[-6:]}"
        return done

    def settle_all(self, how: Outcome = well) -> None:
        """Every subject that there is."""
        for subject in list(self.world.subjects()):
            self.settle(subject.stream, how)


IN_LIFE = [status for status in STATUSES if status not in ("absent", "removed")]


def in_status(status: str, **settings: Any) -> History:
    """A container `c1` that came to `status` by legal steps, settled or in the midst of settling."""
    stream = f"container/{container_id('a')}"
    history = History()
    history.decide(decide_host.note_boot, here(BOOT, MACHINE))
    history.decide(decide.create, created("c1", **settings))
    if status == "creating":
        return history
    history.settle(stream)
    way: dict[str, Callable[[], object]] = {
        "created": lambda: None,
        "starting": lambda: None,
        "running": lambda: history.settle(stream),
        "paused": lambda: (history.settle(stream), history.decide(decide.pause, "c1")),
        "stopping": lambda: (history.settle(stream), history.decide(decide.stop, "c1")),
        "exited": lambda: (
            history.settle(stream),
            history.decide(decide.note_exit, container_id("a"), code=0),
        ),
        "restarting": lambda: (
            history.settle(stream),
            history.decide(decide.note_exit, container_id("a"), code=1),
            history.note(stream, ev.ContainerRestartRequested()),
        ),
        "failed": lambda: history.settle(stream, lambda step: None if step.kind == "init" else {}),
        "removing": lambda: history.decide(decide.remove, "c1", force=True),
    }
    if status != "created":
        history.decide(decide.start, "c1")
    way[status]()
    assert history.world.containers[container_id("a")].status == status
    return history


def alive(name: str = "c1", digit: str = "a", **settings: Any) -> History:
    """A container that runs."""
    history = History()
    history.decide(decide_host.note_boot, here(BOOT, MACHINE))
    history.decide(decide.create, created(name, digit, **settings))
    history.settle(f"container/{container_id(digit)}")
    history.decide(decide.start, name)
    history.settle(f"container/{container_id(digit)}")
    return history


def fold(events: Iterable[Event]) -> World:
    """The world that these events lead to."""
    world = World()
    for event in events:
        world.apply(event)
    return world
