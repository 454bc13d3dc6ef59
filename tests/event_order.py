"""The order that the events of every history keep: what may follow what, and what stands on what.

A second opinion, written down without the machine's own tables: random histories, golden journals and
crashed lives are all held to it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from eventstore.event import Event

# Tag -> in which phases of its life a container may see it, and the phase that follows ("": the same).
PHASES: dict[str, tuple[frozenset[str], str]] = {
    "container.created": (frozenset({"nothing"}), "idle"),
    "container.start_requested": (frozenset({"idle"}), "run"),
    "container.stop_requested": (frozenset({"run", "idle"}), ""),  # idle: it waits for a restart
    "container.kill_requested": (frozenset({"run"}), ""),
    "container.pause_requested": (frozenset({"run"}), ""),
    "container.unpause_requested": (frozenset({"run"}), ""),
    "container.restart_requested": (frozenset({"idle"}), ""),
    "container.exited": (frozenset({"run", "removing"}), "idle"),
    "container.remove_requested": (frozenset({"idle", "run"}), "removing"),
    "container.renamed": (frozenset({"idle", "run"}), ""),
    "container.updated": (frozenset({"idle", "run"}), ""),
    "container.health_changed": (frozenset({"run"}), ""),
    "container.monitored": (frozenset({"idle", "run", "removing"}), ""),
    "container.connected": (frozenset({"idle", "run"}), ""),
    "container.disconnected": (frozenset({"idle", "run"}), ""),
    "exec.started": (frozenset({"run"}), ""),
    "exec.exited": (frozenset({"run", "removing"}), ""),
}

# Kind -> what must be there while it is being made, and until it is unmade.
STANDS_ON = {
    "cgroup": "directory",
    "init": "cgroup",
    "endpoint": "init",
    "root_link": "init",
    "release": "init",
    "frozen": "release",
    "dns": "bridge",
}
DIE_WITH_THE_KERNEL = frozenset({
    *("cgroup", "init", "release", "frozen", "endpoint", "rules", "resolver", "bridge", "dns", "firewall", "forwarding"),
})  # fmt: skip


class Life:
    """One stream so far."""

    def __init__(self, stream: str) -> None:
        self.stream = stream
        self.kind = stream.partition("/")[0]
        self.phase = "nothing"
        self.version = 0
        self.runs = False  # since its last start, the program was let go
        self.held: set[tuple[str, str]] = set()
        self.leftovers: set[tuple[str, str]] = set()
        self.unmade: set[tuple[str, str]] = set()  # held, but their making failed: it may be tried again
        self.open: tuple[str, str, str] | None = None  # verb, kind, key of an intent without an outcome

    @property
    def is_over(self) -> bool:
        """Whether nothing may follow: removed, and nothing left."""
        return self.phase == "removing" and not (self.held or self.leftovers or self.open)

    def follow(self, event: Any) -> list[str]:
        """What is wrong with `event` coming next."""
        wrong = [] if event.v == self.version + 1 else [f"version {event.v} after {self.version}"]
        if self.is_over:
            wrong.append("comes after the end")
        self.version = event.v
        name = event.tag.removeprefix("effect.")
        if name != event.tag:
            return wrong + (getattr(self, f"_{name}")(event) or [])
        return wrong + (self._decision(event) if self.kind == "container" else self._other(event))

    def reboot(self) -> None:
        """What died needs no undoing."""
        self.held = {row for row in self.held if row[0] not in DIE_WITH_THE_KERNEL}
        self.leftovers = {row for row in self.leftovers if row[0] not in DIE_WITH_THE_KERNEL}
        if self.open is not None and self.open[1] in DIE_WITH_THE_KERNEL | {"signal"}:
            self.open = None

    def _decision(self, event: Any) -> list[str]:
        phases, following = PHASES[event.tag]
        self.runs = self.runs and event.tag != "container.start_requested"
        wrong = [] if self.phase in phases else [f"in phase {self.phase}"]
        if event.tag in ("container.exited", "container.remove_requested"):
            self.open = None if self.open is not None and self.open[1] == "signal" else self.open
        if not (event.tag == "container.exited" and self.phase == "removing"):
            self.phase = following or self.phase
        return wrong

    def _other(self, event: Any) -> list[str]:
        if event.tag == "layer.published":
            row = ("layer", event.digest)
            self.held.add(row)
            self.leftovers.discard(row)
            self.open = None
        return []

    def _do(self, event: Any) -> list[str]:
        row = (event.kind, event.key)
        wrong = self._intent(event)
        if event.kind == "signal":
            return wrong if self._has("release") else [*wrong, "before the program runs"]
        if row in self.held - self.unmade:
            wrong.append("is held already")
        below = STANDS_ON.get(event.kind)
        if below is not None and not self._has(below):
            wrong.append(f"without {below}")
        self.held.add(row)
        self.leftovers.discard(row)
        return wrong

    def _undo(self, event: Any) -> list[str]:
        wrong = self._intent(event)
        if (event.kind, event.key) not in self.held | self.leftovers:
            wrong.append("is not held")
        if (event.kind, event.key) in self.held:
            wrong += [
                f"under {above}"
                for above, below in STANDS_ON.items()
                if below == event.kind and self._has(above)
            ]
        return wrong

    def _change(self, event: Any) -> list[str]:
        wrong = self._intent(event)
        return wrong if (event.kind, event.key) in self.held else [*wrong, "is not held"]

    def _done(self, event: Any) -> list[str]:
        wrong = self._outcome(event)
        self.unmade.discard((event.kind, event.key))
        if event.kind == "forwarding":  # the firewall's rules depend on what had been off
            self.unmade |= {row for row in self.held if row[0] == "firewall"}
        self.runs = self.runs or (event.verb == "do" and event.kind == "release")
        if event.verb == "undo":
            self.held.discard((event.kind, event.key))
            self.leftovers.discard((event.kind, event.key))
        return wrong

    def _failed(self, event: Any) -> list[str]:
        wrong = self._outcome(event)
        row = (event.kind, event.key)
        if event.verb == "undo" and row in self.held:
            self.held.discard(row)
            self.leftovers.add(row)
        if event.verb == "do":
            self.unmade.add(row)
        if event.verb == "do" and event.kind == "directory" and self.phase == "idle":
            self.phase = "removing"
        elif event.verb == "do" and self.phase == "run" and not self.runs:
            self.phase = "idle"
        return wrong

    def _lost(self, event: Any) -> None:
        # Of what lies on disk some may still be there: it is unmade first.
        if event.kind in DIE_WITH_THE_KERNEL and (event.kind, event.key) not in self.unmade:
            self.held.discard((event.kind, event.key))
        if self.open is not None and self.open[1:] == (event.kind, event.key):
            self.open = None

    def _intent(self, event: Any) -> list[str]:
        mine = (event.tag.removeprefix("effect."), event.kind, event.key)
        was, self.open = self.open, mine
        # A making that a crash cut short needs no outcome where all is undone now, itself included.
        if was is None or was[1:] == mine[1:] or (was[0] != "undo" and mine[0] == "undo"):
            return []
        return [f"while {was} is open"]

    def _outcome(self, event: Any) -> list[str]:
        mine = (event.verb, event.kind, event.key)
        late_signal = event.kind == "signal" and self.open is None  # the container ended meanwhile
        wrong = [] if self.open == mine or late_signal else [f"answers {mine}, not {self.open}"]
        self.open = None
        return wrong

    def _has(self, kind: str) -> bool:
        return any(row[0] == kind for row in self.held)


def violations(events: Iterable[Event]) -> list[str]:
    """Everything that is out of order, as lines for people; [] for a history that is in order."""
    lives: dict[str, Life] = {}
    wrong: list[str] = []
    last = 0
    for event in events:
        life = lives.setdefault(event.s, Life(event.s))
        found = life.follow(event)
        if event.n != last + 1:
            found.append(f"number {event.n} after {last}")
        last = event.n
        wrong += [f"{event.n} {event.s[:14]} {event!r}: {what}" for what in found]
        if event.tag == "host.booted":
            for other in lives.values():
                other.reboot()
    return wrong
