"""The one path of everything: decide, append, then settle: plan, record the intent, do, record the outcome.

The journal and the effects are given by `cli.bootstrap`. Recovery after a crash is `settle` again.
"""

from __future__ import annotations

from machine import decide
from machine.events import EffectChange, EffectDo, EffectDone, EffectFailed, EffectLost, EffectUndo
from machine.plan import Places, Step, leftover_steps, plan, wanted
from machine.resources import DISK, MAKES_ROOM, ONE_SHOT
from machine.subjects import Container, Held, Standing, Subject
from machine.world import World

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Protocol

    from eventstore.event import Actor, Event
    from eventstore.journal import Journal

    class Failure(Protocol):
        """What the kernel refused, as `effects.handler` tells it."""

        errno: int
        step: str
        message: str
        path: str

    class Effects(Protocol):
        """The handlers, bound to a host: facts on success, a Failure otherwise; never an OSError."""

        def probe(self, kind: str, spec: dict[str, Any], facts: dict[str, Any]) -> dict[str, Any] | None: ...
        def do(self, kind: str, spec: dict[str, Any]) -> dict[str, Any] | Failure: ...
        def undo(
            self, kind: str, spec: dict[str, Any], facts: dict[str, Any]
        ) -> dict[str, Any] | Failure: ...
        def change(self, kind: str, spec: dict[str, Any]) -> dict[str, Any] | Failure: ...
        def exit_status(self, facts: dict[str, Any]) -> int | None: ...
        def oom_kills(self, facts: dict[str, Any]) -> int: ...


class Engine:
    """A journal, the world folded from it, and the effects; for one actor."""

    def __init__(
        self, journal: Journal, world: World, effects: Effects, places: Places, actor: Actor
    ) -> None:
        self.journal = journal
        self.world = world
        self.effects = effects
        self.actor = actor
        self._places = places

    @property
    def places(self) -> Places:
        """Where things lie, as the world now has it: another command may have had that changed."""
        return self._places.noted(self.world.host)

    def refresh(self) -> World:
        """The world as the journal now tells it."""
        self.journal.refresh(self.world)
        return self.world

    def decide(
        self, verb: Callable[..., decide.Decision], *args: Any, why: str = "user", **more: Any
    ) -> list[Event]:
        """Decide on the newest state, under the journal's lock, and append; durable on return.

        Raises whatever the verb refuses with; then nothing was appended.
        """
        with self._transaction(why) as tx:
            return [_append(tx, stream, event) for stream, event in verb(self.world, *args, **more)]

    def settle(self, stream: str, *, why: str = "user", note: Event | None = None) -> Subject | None:
        """Carry out what the subject's status calls for, until nothing is left to do.

        `note` is appended first, with the first intent. Only its settler may call this: the holder of the subject's lock. Returns the subject, None if it is
        gone. Failures are outcomes: they are in the journal and in the subject's `error` or `leftovers`.
        """
        outcome = note
        while True:
            with self._transaction(why) as tx:
                if outcome is not None:
                    _append(tx, stream, outcome, sync=False)
                subject = self.world.subject(stream)
                step = plan(subject, self.places) if subject is not None else None
                if step is not None and not step.recorded:
                    _append(tx, stream, _intent(step), sync=step.kind in DISK)
            if step is None:
                return subject
            outcome = self._perform(step)

    def retry_leftovers(self, stream: str, *, why: str = "user") -> None:
        """Try once more to undo each thing that an earlier undo could not remove. After `settle`."""
        subject = self.refresh().subject(stream)
        if subject is None or subject.pending is not None:  # a second intent would hide the pending one
            return
        for step in leftover_steps(subject):
            self._record(stream, _intent(step), why=why, sync=True)
            self._record(stream, self._perform(step), why=why)

    def observe(self, stream: str, *, why: str) -> None:
        """Ask the kernel for each thing the status calls for; note as lost what it no longer has.

        A container whose first process is gone gets its exit noted, with a code only where somebody can
        still tell it. What is to be undone anyway is left to `settle`, which unmakes half gone things too.
        Raises OSError where the kernel does not tell.
        """
        subject = self.refresh().subject(stream)  # what its last settler wrote, whose lock is ours now
        if subject is None:
            return
        for row in list(subject.held):
            if row.stale or row.kind in DISK or (row.kind, row.key) not in wanted(subject):
                continue
            if not row.done:
                self._try_again(subject, row, why=why)
            elif self.effects.probe(row.kind, row.spec, row.facts) is None:
                # Lost before its gate was opened, its program never ran: `settle` makes it anew.
                if row.kind == "init" and isinstance(subject, Container) and subject.holding("release"):
                    self.note_exit(subject, self.effects.exit_status(row.facts), why=why)
                self._record(stream, EffectLost(kind=row.kind, key=row.key), why=why)

    def note_exit(self, c: Container, status: int | None, *, why: str, up: int = 0) -> None:
        """Its first process is gone, with this status (see `decide.ending`); `up`: CLOCK_BOOTTIME ns when that was seen."""
        oom = c.cgroup is not None and self.effects.oom_kills(c.cgroup) > 0
        self.decide(decide.note_exit, c.id, why=why, up=up, **decide.ending(status, oom=oom))

    def _try_again(self, subject: Subject, row: Held, *, why: str) -> None:
        """What could not be made under a live container, or for a network, may be possible by now."""
        if (
            isinstance(subject, (Container, Standing))
            and subject.error is not None
            and subject.pending is None
        ):
            self._record(subject.stream, EffectLost(kind=row.kind, key=row.key), why=why)

    def _perform(self, step: Step) -> Event:
        if step.verb == "do":
            result = self.effects.do(step.kind, step.spec)
        elif step.verb == "undo":
            result = self.effects.undo(step.kind, step.spec, step.facts)
        else:
            result = self.effects.change(step.kind, step.spec)
        if isinstance(result, dict):
            return EffectDone(verb=step.verb, kind=step.kind, key=step.key, facts=result)
        return EffectFailed(
            verb=step.verb,
            kind=step.kind,
            key=step.key,
            errno=result.errno,
            step=result.step,
            message=f"{result.message}: {result.path}" if result.path else result.message,
        )

    def _record(self, stream: str, event: Event, *, why: str, sync: bool = False) -> None:
        with self._transaction(why) as tx:
            _append(tx, stream, event, sync=sync)

    def _transaction(self, why: str) -> Any:
        return self.journal.transaction(self.world, by=self.actor.by, why=why, op=self.actor.op)


def _append(tx: Any, stream: str, event: Event, *, sync: bool = True) -> Event:
    appended: Event = tx.append(stream, event, sync=sync, reserve=_makes_room(event))
    return appended


def _makes_room(event: Event) -> bool:
    return event.tag in MAKES_ROOM or event.__dict__.get("kind") in ONE_SHOT


def _intent(step: Step) -> Event:
    if step.verb == "do":
        return EffectDo(kind=step.kind, key=step.key, spec=step.spec)
    if step.verb == "undo":
        return EffectUndo(kind=step.kind, key=step.key)
    return EffectChange(kind=step.kind, key=step.key, spec=step.spec)
