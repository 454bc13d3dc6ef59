"""Settling what is not settled: by ourselves where nobody holds it, else by its monitor."""

from __future__ import annotations

import os
import select
import time

from cli import early, handover
from cli.answers import NoAnswer, await_packet, monitor_pid
from cli.request import request_of
from cli.succession import HELPER
from effects import control, interpreter
from effects.locks import Locks
from machine import decide
from machine.engine import Engine
from machine.errors import MachineError
from machine.plan import plan
from machine.resources import WATCHED
from machine.settings import SHORT
from machine.subjects import Container, Job

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from cli.each import Wait

_LONGEST = 86400.0  # seconds at a time: poll(2) counts milliseconds in an int, which is 24 days
PATIENCE = 30.0  # seconds for a decision to be carried out that waits for nothing but its settler
DYING = 1.0  # seconds for a process that has closed its connections to let go of its lock


class StillBusy(MachineError):
    """The settler of a container did not answer in time."""

    def __init__(self, name: str, what: str, pid: int | None) -> None:
        self.name, self.what, self.pid = name, what, pid
        who = f"process {pid}" if pid else "another process"
        super().__init__(f"{what} {name}: {who} holds it and has not answered")


class Refused(MachineError):
    """A monitor said why it cannot do what it was asked."""

    def __init__(self, name: str, message: str) -> None:
        self.name = name
        super().__init__(f"cannot look after {name}: {message}")


class Settler:
    """The writing half of a command's session: the engine, and who may settle what."""

    def __init__(self, engine: Engine, locks: Locks) -> None:
        self.engine = engine
        self.locks = locks

    def mend(self, stream: str, *, why: str = "recovery", leftovers: bool = False) -> bool:
        """Finish or undo what a dead holder left undone; False where a living settler holds the subject.

        A container that needs a monitor gets a new one, which settles it; all else is settled here.
        `leftovers`: try them once more, and have a living monitor compare the kernel with the journal; one that dies of
        it has a successor when this returns. NoAnswer, Refused.
        """
        subject_id = self.lock_of(stream)
        lock = self.locks.take(subject_id)
        if lock is None and leftovers:
            answer = self._have_observed(subject_id)
            if answer is not None and answer["event"] != "lost":
                return True
            lock = None if answer is None else self._lock_of_the_dying(subject_id)
        if lock is None:
            return False
        try:
            self.engine.refresh()
            subject = self.engine.world.subject(stream)
            if isinstance(subject, Container) and subject.status in WATCHED:
                companion = self.give_monitor(subject, lock, why=why, observe=True)
                await_start(companion.connection, companion.pid)
                companion.close()
            else:
                self._settle(stream, why=why, leftovers=leftovers)
            return True
        finally:
            os.close(lock)

    def _lock_of_the_dying(self, subject_id: str) -> int | None:
        """The lock of a settler that hung up on us instead of answering, once it is dead; None where it lives on."""
        end = time.monotonic() + DYING
        while (lock := self.locks.take(subject_id)) is None and time.monotonic() < end:
            time.sleep(0.01)
        return lock

    @staticmethod
    def lock_of(stream: str) -> str:
        """The name of a subject's lock: its id, or `host`."""
        return stream.partition("/")[2] or stream

    def _settle(self, stream: str, *, why: str, leftovers: bool) -> None:
        engine, subject = self.engine, self.engine.world.subject(stream)
        if isinstance(subject, Job):
            from cli.publishing import finish_publishing
            from machine import decide_store

            if not finish_publishing(engine, subject.id, why=why):
                engine.decide(decide_store.abandon_job, subject.id, "its command died", why=why)
        engine.observe(stream, why=why)
        engine.settle(stream, why=why)
        if isinstance(subject, Container) and engine.decide(decide.give_up, subject.id, why=why):
            engine.settle(stream, why=why)
        if leftovers:
            engine.retry_leftovers(stream, why=why)

    def touch(self, reference: str) -> Container:
        """The container a command is about to change, with whatever a dead holder left on it mended first.

        Raises NoSuchContainer, AmbiguousPrefix.
        """
        container = decide.find(self.engine.world, reference)
        unsettled = container.status in WATCHED or plan(container, self.engine.places) is not None
        if unsettled and self.mend(container.stream):
            return decide.find(self.engine.refresh(), reference)
        return container

    def begin(
        self, container_id: str, until: Callable[[Container | None], bool], seconds: float, what: str
    ) -> Wait:
        """After a decision: tell the container's monitor, if it has one. The wait is as `carry_out`."""
        try:
            told = self._tell_monitor(container_id)
        except TimeoutError:
            told = None  # it takes no more connections: `carry_out` will say so

        def wait() -> None:
            end = time.monotonic() + seconds
            self.engine.refresh()
            if told is not None:
                self._hear(told, lambda: until(self.engine.world.containers.get(container_id)), end)
            self.carry_out(container_id, until, max(0.0, end - time.monotonic()), what)

        return wait

    def carry_out(
        self, container_id: str, until: Callable[[Container | None], bool], seconds: float, what: str
    ) -> None:
        """After a decision: see that it is done, by the container's monitor or by ourselves.

        Returns when `until` holds. StillBusy at the deadline.
        """
        end = time.monotonic() + seconds

        def done() -> bool:
            return until(self.engine.world.containers.get(container_id))

        while not done():
            mended = self.mend(f"container/{container_id}", why="user")
            if time.monotonic() >= end or not (mended or self._ask_monitor(container_id, done, end)):
                raise self.still_busy(container_id, what)
            self.engine.refresh()

    def still_busy(self, container_id: str, what: str) -> StillBusy:
        """The error that names who holds the container."""
        container = self.engine.world.containers.get(container_id)
        monitor = container.monitor if container is not None else None
        name = container.name if container is not None else container_id[:SHORT]
        return StillBusy(name, what, monitor["pid"] if monitor else None)

    def give_monitor(
        self, container: Container, lock: int, *, why: str, observe: bool = False, attach: Any = None
    ) -> early.Companion:
        """Hand a container with its lock to a monitor. `attach`: the message that makes us its first client."""
        companion = early.take("cli.monitor")
        request = request_of(self.engine, container, why=why, observe=observe, attach=attach)
        handover.give(companion.connection, request, [lock])
        return companion

    def _ask_monitor(self, container_id: str, done: Callable[[], bool], end: float) -> bool:
        """Tell the settler to look at the journal; True when something may have changed, False at `end`."""
        try:
            connection = self._tell_monitor(container_id)
        except TimeoutError:
            return False  # it takes no more connections
        if connection is None:
            # Held, but nobody listens: a command that creates it, or a monitor that starts or ends.
            time.sleep(0.005)
            return time.monotonic() < end
        return self._hear(connection, done, end)

    def _tell_monitor(self, container_id: str) -> control.Connection | None:
        """Have it look at the journal; None where nobody listens (any more). TimeoutError."""
        connection = control.connect(self.engine.places.container(container_id))
        if connection is None:
            return None
        try:
            connection.send(poke())
        except (BrokenPipeError, ConnectionResetError):
            connection.close()
            return None
        return connection

    def _hear(self, connection: control.Connection, done: Callable[[], bool], end: float) -> bool:
        """What comes of it; True when something may have changed, False at `end`."""
        try:
            return done() or self._await_change(connection, done, end)
        except ConnectionResetError:
            return True  # it ended while we listened: look again
        finally:
            connection.close()

    def _await_change(self, connection: control.Connection, done: Callable[[], bool], end: float) -> bool:
        # Not select(2), which knows descriptors up to 1023 only: our caller may have left us more.
        poller = select.poll()
        poller.register(connection, select.POLLIN)
        while (left := end - time.monotonic()) > 0:
            ready = poller.poll(min(left, _LONGEST) * 1000)
            if ready and (packet := connection.receive()) is not None and packet[0] == control.CLOSED:
                return True
            self.engine.refresh()
            if done():
                return True
        return False

    def _have_observed(self, container_id: str) -> dict[str, Any] | None:
        """Have a living monitor compare the kernel with the journal, and mend: its answer, {"event": "lost"} if it
        died of that, None where none listens. NoAnswer, Refused.
        """
        container = self.engine.world.containers.get(container_id)
        name, pid = (container.name, monitor_pid(container)) if container is not None else (container_id, 0)
        connection = control.connect(self.engine.places.container(container_id))
        if connection is None:
            return None
        try:
            connection.send(poke(observe=True))
            while True:
                kind, payload, _ = await_packet(connection, f"cannot look after {name}", pid)
                if kind == control.CLOSED:
                    return {"event": "lost"}
                if kind == control.JSON and payload["event"] == "error":
                    raise Refused(name, payload["message"])
                if kind == control.JSON:
                    return dict(payload)
        except (BrokenPipeError, ConnectionResetError):
            return {"event": "lost"}
        finally:
            connection.close()


def poke(*, observe: bool = False) -> dict[str, Any]:
    """What has a monitor look at the journal, and tells it where there is code that can read that."""
    return {"op": "settle", "observe": observe, "code": interpreter.command(HELPER)}


def await_start(connection: control.Connection, pid: int) -> dict[str, Any]:
    """The monitor's first word: {"event": "started" | "failed" | "exit", ...}; "lost" where it died."""
    while True:
        try:
            kind, payload, fds = await_packet(connection, f"monitor {pid}", pid)
        except NoAnswer as error:
            return {"event": "lost", "message": str(error)}
        for fd in fds:
            os.close(fd)
        if kind == control.CLOSED:
            return {"event": "lost", "message": f"monitor {pid} died"}
        if kind == control.JSON:
            return dict(payload)
