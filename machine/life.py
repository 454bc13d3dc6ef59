"""One container's life as far as it explains where it is now: who asked for what, what failed, what was lost. Pure."""

from __future__ import annotations

from machine.resources import LIVE
from machine.world import World

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from machine.subjects import Container


class Life:
    """`see` each event of the container's stream and of the host's, in order; then ask.

    All but `created`, `removal` and `renamed` is of its last run: a new start forgets what was before.
    `container` is its state, of a removed one too.
    """

    def __init__(self, stream: str) -> None:
        self.stream = stream
        self.container: Container | None = None
        self.created: Any = None
        self.renamed: list[tuple[str, Any]] = []  # the name it had, and the event that took it
        self.removal: Any = None
        self.status_before_removal = ""
        self.user_start: Any = None  # the last start that somebody asked for, not its policy
        self.ended_before: Any = None  # the end of the run before this one
        self.anomalies: list[Any] = []
        self.leftover_failures: dict[tuple[str, str], list[Any]] = {}
        self._world = World()
        self._forget_run()

    def _forget_run(self) -> None:
        self.start: Any = None
        self.exit: Any = None
        self.restart: Any = None
        self.pause: Any = None
        self.health: Any = None  # the last that its health check came to
        self.asks: list[Any] = []  # stops and kills
        self.monitors: list[Any] = []  # who watched it, one after the other
        self.failures: list[Any] = []
        self.lost: list[Any] = []

    def see(self, event: Any) -> None:
        """Take note of one event."""
        if event.s not in (self.stream, "host"):
            return
        status = self.container.status if self.container is not None else ""
        self._world.apply(event)
        self.container = self._world.containers.get(self.stream.partition("/")[2], self.container)
        if event.s != self.stream or self.container is None:
            return
        if event.n and event.n in self.container.anomalies[-1:]:
            self.anomalies.append(event)
            return
        if event.tag == "container.remove_requested" and self.removal is None:
            self.removal, self.status_before_removal = event, status
        note = _NOTES.get(event.tag)
        if note is not None:
            note(self, event)

    def _started(self, event: Any) -> None:
        self.ended_before = self.exit
        self._forget_run()
        self.start = event
        if event.why == "user":
            self.user_start = event

    def _renamed(self, event: Any) -> None:
        before = self.renamed[-1][1].name if self.renamed else self.created.name
        self.renamed.append((before, event))

    def _failed(self, event: Any) -> None:
        self.failures.append(event)
        if event.verb == "undo":
            self.leftover_failures.setdefault((event.kind, event.key), []).append(event)

    @property
    def is_live(self) -> bool:
        """Whether its processes may be there."""
        return self.container is not None and self.container.status in LIVE

    def asked_with(self, signal: int) -> Any:
        """The last stop or kill that sent this signal; None where nobody asked for it."""
        return next((ask for ask in reversed(self.asks) if ask.signal == signal), None)


def _set(name: str) -> Callable[[Life, Any], None]:
    def note(life: Life, event: Any) -> None:
        setattr(life, name, event)

    return note


def _add(name: str) -> Callable[[Life, Any], None]:
    def note(life: Life, event: Any) -> None:
        getattr(life, name).append(event)

    return note


_NOTES: dict[str, Callable[[Life, Any], None]] = {
    "container.created": _set("created"),
    "container.start_requested": Life._started,  # noqa: SLF001 - this module's own
    "container.monitored": _add("monitors"),
    "container.stop_requested": _add("asks"),
    "container.kill_requested": _add("asks"),
    "container.pause_requested": _set("pause"),
    "container.health_changed": _set("health"),
    "container.exited": _set("exit"),
    "container.restart_requested": _set("restart"),
    "container.renamed": Life._renamed,  # noqa: SLF001 - this module's own
    "effect.failed": Life._failed,  # noqa: SLF001 - this module's own
    "effect.lost": _add("lost"),
}
