"""From a created container to a running one: the decision, the hand-over to its monitor, the monitor's answer."""

from __future__ import annotations

import os
import sys
import time

from cli import early, terminal
from cli.answers import monitor_pid
from cli.attachment import Attached, attach, await_attached
from cli.network_options import ALONE
from cli.relay import Outcome, relay
from cli.session import Session
from cli.settler import await_start, poke
from effects import control, defects
from machine import decide
from machine.errors import IllegalTransition, MachineError, NoSuchContainer
from machine.projections import UNKNOWN_EXIT
from machine.subjects import Container

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

LOCK_WAIT = 30.0  # seconds for the last run's monitor to end


class StartFailed(MachineError):
    """The monitor's own words; the exit code is 125, 126 or 127."""

    def __init__(self, message: str, exit_code: int) -> None:
        self.exit_code = exit_code
        super().__init__(message)


class Lost(MachineError):
    exit_code = UNKNOWN_EXIT

    def __init__(self, name: str) -> None:
        super().__init__(f"the monitor of {name} has died [mydocker history {name} tells more; replay mends]")


def attach_request(*, stdin: bool, tty: bool) -> dict[str, Any]:
    """What makes us the new monitor's first client: all output from this run's first byte on."""
    size = terminal.size(1, 0) if tty else None
    return {"op": "attach", "stdin": stdin, "size": list(size) if size else None}


def start(
    session: Session, container: Container, *, lock: int | None = None, request: dict[str, Any] | None = None
) -> early.Companion | None:
    """Start a container that is not live. None where it runs already or another command starts it.

    `lock` is the container's, if held already; it is given away. Raises StartFailed.
    """
    engine = session.engine()
    if not _decided(session, container):
        return None
    if lock is None:
        lock = _wait_for_lock(session, container.id)
        if lock is None:
            return None
    try:
        engine.refresh()
        companion = session.settler().give_monitor(
            engine.world.containers[container.id], lock, why="user", attach=request
        )
    finally:
        os.close(lock)
    answer = await_start(companion.connection, companion.pid)
    if answer["event"] == "started":
        return companion
    if answer["event"] == "failed":
        raise StartFailed(answer["message"], answer["code"])
    if answer["event"] == "exit":
        raise StartFailed(f"cannot start {container.name}: it was told to end meanwhile", 125)
    why = f"{answer.get('message', answer['event'])}{defects.hint(session.root)}"
    raise StartFailed(f"cannot start {container.name}: {why}", 125)


def _decided(session: Session, container: Container) -> bool:
    """Whether it is to be started, with all that it needs of its networks."""
    engine = session.engine()
    if container.setting("network") in ALONE:
        return bool(engine.decide(decide.start, container.id))
    from cli import networking  # what has no network does without
    from machine.network_errors import PortBusy

    more = networking.before_start(session, container)
    try:
        return bool(engine.decide(decide.start, container.id, **more))
    except PortBusy as error:
        raise networking.with_owner(error, more.get("busy", {})) from None


def _wait_for_lock(session: Session, container_id: str) -> int | None:
    """The lock, once the last run's monitor has ended; None if somebody else has started it meanwhile."""
    end = time.monotonic() + LOCK_WAIT
    pause = 0.001
    while time.monotonic() < end:
        lock = session.locks.take(container_id)
        container = session.engine().refresh().containers.get(container_id)
        if container is None:
            raise NoSuchContainer(container_id)
        if lock is not None:
            if container.status == "starting":
                return lock
            os.close(lock)
        if container.status != "starting":
            return None
        _poke(session, container)
        time.sleep(pause)
        pause = min(pause * 2, 0.05)
    raise session.settler().still_busy(container_id, "starting")


def _poke(session: Session, container: Container) -> None:
    """A monitor that waits with a restart takes the start over."""
    connection = control.connect(session.directory(container))
    if connection is not None:
        try:
            connection.send(poke())
        except (BrokenPipeError, ConnectionResetError):
            return  # it is ending; the lock will be free
        finally:
            connection.close()


def follow(
    session: Session, container: Container, connection: control.Connection, attached: Attached, **how: Any
) -> int:
    """Relay a running container in the foreground; the exit code that the command ends with."""

    def signal_container(number: int) -> None:
        try:
            session.engine().decide(decide.kill, container.id, number)
        except (IllegalTransition, NoSuchContainer):
            return  # it has ended already, which the relay is about to hear
        try:
            # Where the socket is full, the packets before it make the monitor look at the journal late, not never:
            # every settle carries out all that is decided.
            connection.send({"op": "settle"})
        except (BrokenPipeError, ConnectionResetError):
            return  # it has just gone, which the relay is about to hear

    return _ended(container, relay(connection, attached, signal_container=signal_container, **how))


def attach_to(
    session: Session, container: Container, *, stdin: bool, detach_keys: bytes, redraw: bool = True
) -> int:
    """Join a container that runs already."""
    connection = control.connect(session.directory(container))
    if connection is None:
        raise Lost(container.name)
    try:
        attached = attach(connection, stdin=stdin, pid=monitor_pid(container))
        return follow(
            session, container, connection, attached, stdin=stdin, detach_keys=detach_keys, redraw=redraw
        )
    finally:
        connection.close()


def follow_new(
    session: Session, container: Container, companion: early.Companion, *, stdin: bool, detach_keys: bytes
) -> int:
    """Relay a container that we have just started, from its first byte on."""
    attached = await_attached(companion.connection, companion.pid)
    return follow(
        session, container, companion.connection, attached, stdin=stdin, detach_keys=detach_keys, pace=True
    )


def _ended(container: Container, outcome: Outcome) -> int:
    if outcome.kind == "lost":
        raise Lost(container.name)
    if outcome.kind == "detached":
        sys.stderr.write("\n")
    return outcome.code
