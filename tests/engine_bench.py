"""An engine on a journal in memory, with effects that are sets of kinds: for tests of the engine alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from eventstore.event import Actor
from machine import decide
from machine.engine import Engine
from machine.events import SCHEMA
from machine.world import World
from tests.histories import BOOT, C1, PLACES, STREAM, created
from tests.memory_journal import Clock, Lines, MemoryJournal

LIMIT = 100  # effects; no test here needs half of them
FACTS: dict[str, dict[str, Any]] = {
    "init": {"pid": 4711, "start": 1, "boot": BOOT},
    "cgroup": {"leaf": "a leaf"},
}


class Refusal:
    """What the kernel refused."""

    def __init__(self, path: str = "") -> None:
        self.errno, self.step, self.message, self.path = 5, "a step", "input/output error", path


class FakeEffects:
    """Resources as a set of (kind, key of the specification); `broken` (verb, kind) fail."""

    def __init__(self) -> None:
        self.there: set[str] = set()
        self.broken: dict[tuple[str, str], Refusal] = {}
        self.asked: list[str] = []
        self.undone: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {}  # kind -> specification, facts
        self.status: int | None = None
        self.ooms = 0
        self.before: Callable[[], None] = lambda: None  # called before each effect

    def probe(self, kind: str, spec: dict[str, Any], facts: dict[str, Any]) -> dict[str, Any] | None:
        if ("probe", kind) in self.broken:
            raise OSError(5, "input/output error")
        return {} if kind in self.there else None

    def do(self, kind: str, spec: dict[str, Any]) -> Any:
        return self._answer("do", kind, dict(FACTS.get(kind, {})))

    def undo(self, kind: str, spec: dict[str, Any], facts: dict[str, Any]) -> Any:
        self.undone[kind] = (spec, facts)
        return self._answer("undo", kind, {})

    def change(self, kind: str, spec: dict[str, Any]) -> Any:
        return self._answer("change", kind, {})

    def exit_status(self, facts: dict[str, Any]) -> int | None:
        return self.status

    def oom_kills(self, facts: dict[str, Any]) -> int:
        return self.ooms if facts == FACTS["cgroup"] else 0

    def _answer(self, verb: str, kind: str, facts: dict[str, Any]) -> Any:
        self.before()
        self.asked.append(f"{verb} {kind}")
        assert len(self.asked) < LIMIT, f"it does not come to rest: {self.asked[-3:]}"
        if (verb, kind) in self.broken:
            return self.broken[verb, kind]
        self.there.discard(kind) if verb == "undo" else self.there.add(kind)
        return facts


class Bench:
    """An engine, its journal's lines, and the effects it was given."""

    def __init__(self, lines: Lines | None = None) -> None:
        self.lines = lines or Lines()
        self.effects = FakeEffects()
        journal: Any = MemoryJournal(SCHEMA, self.lines, Clock())
        self.engine = Engine(journal, World(), self.effects, PLACES, Actor({"uid": 7}, "op-7"))
        self.engine.refresh()

    def running(self) -> Bench:
        self.engine.decide(decide.create, created("c1"))
        self.engine.settle(STREAM)
        self.engine.decide(decide.start, "c1")
        self.engine.settle(STREAM)
        return self

    @property
    def events(self) -> list[Any]:
        return self.lines.events(SCHEMA)

    def since(self, before: int) -> list[str]:
        """Tags, with verb and kind where it is an effect."""
        return [
            " ".join(
                [event.tag, *(getattr(event, name) for name in ("verb", "kind") if name in event.fields)]
            )
            for event in self.events[before:]
        ]

    @property
    def status(self) -> str:
        return self.engine.world.containers[C1].status
