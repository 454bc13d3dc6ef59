"""Settling what is not settled: by ourselves where nobody holds it, else by asking its monitor."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable

from cli import early, handover
from effects import control
from machine import decide
from machine.subjects import Container, Job

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from cli.session import Session

WATCHED = ("starting", "running", "paused", "stopping", "restarting")
ANSWER = 60.0  # seconds a new monitor may take to say that it runs the container


def mend(session: Session, stream: str, *, why: str, leftovers: bool = False) -> bool:
    """Take the subject's lock and settle it; False where a living settler holds it.

    A live container gets a new monitor, which settles it; everything else is settled here.
    """
    engine = session.engine()
    subject_id = stream.partition("/")[2]
    lock = session.locks.take(subject_id)
    if lock is None:
        return leftovers and _have_observed(session, subject_id)
    try:
        engine.refresh()
        subject = engine.world.subject(stream)
        if isinstance(subject, Container) and subject.status in WATCHED:
            companion = give_monitor(session, subject, lock, why=why, observe=True)
            await_start(companion.connection, companion.pid)
            companion.close()
            return True
        if isinstance(subject, Container) and subject.status == "creating":
            engine.decide(decide.abandon, subject.id, why=why)
        if isinstance(subject, Job):
            engine.decide(decide.abandon_job, subject.id, "its command died", why=why)
        engine.observe(stream, why=why)
        engine.settle(stream, why=why)
        if leftovers:
            engine.retry_leftovers(stream, why=why)
        return True
    finally:
        os.close(lock)


def _have_observed(session: Session, container_id: str) -> bool:
    """Have a living monitor compare the kernel with the journal, and mend; False where none answers."""
    connection = control.connect(f"{session.root}/containers/{container_id}")
    if connection is None:
        return False
    try:
        connection.send({"op": "settle", "observe": True})
        return bool(await_start(connection, 0)["event"] == "settled")
    except (BrokenPipeError, ConnectionResetError):
        return False
    finally:
        connection.close()


def give_monitor(
    session: Session, container: Container, lock: int, *, why: str, observe: bool = False, attach: Any = None
) -> early.Companion:
    """Hand a container with its lock to a monitor. `attach`: the message that makes us its first client."""
    engine = session.engine()
    companion = early.take("cli.monitor")
    request = {
        "root": session.root,
        "run": session.run,
        "container": container.dump(),
        "host": engine.world.host.dump(),
        "journal": engine.world.journal,
        "cursor": engine.journal.cursor.dump(),
        "by": engine.actor.by,
        "op": engine.actor.op,
        "why": why,
        "observe": observe,
        "attach": attach,
    }
    handover.give(companion.connection.sock, request, [lock])
    return companion


def await_start(connection: control.Connection, pid: int) -> dict[str, Any]:
    """The monitor's first word: {"event": "started" | "failed" | "exit", ...}; "lost" where it died."""
    while True:
        ready, _, _ = select.select([connection], [], [], ANSWER)
        if not ready:
            return {"event": "lost", "message": f"monitor {pid} has not answered in {ANSWER:.0f} s"}
        packet = connection.receive()
        if packet is None:
            continue
        kind, payload, fds = packet
        for fd in fds:
            os.close(fd)
        if kind == control.CLOSED:
            return {"event": "lost", "message": f"monitor {pid} died"}
        if kind == control.JSON:
            return dict(payload)


def ask_monitor(
    session: Session, container_id: str, until: Callable[[Container | None], bool], end: float
) -> bool:
    """Tell the container's settler to look at the journal; True when something may have changed, False at `end`.

    Waits for its answers, its end, or for `until` to hold by the journal.
    """
    connection = control.connect(f"{session.root}/containers/{container_id}")
    if connection is None:
        # Held, but nobody listens yet: a command that creates it, or a monitor that starts or ends.
        time.sleep(0.005)
        return time.monotonic() < end
    try:
        connection.send({"op": "settle"})
        return _await_change(
            session, connection, lambda: until(session.world.containers.get(container_id)), end
        )
    except (BrokenPipeError, ConnectionResetError):
        return True  # it ended while we spoke: look again
    finally:
        connection.close()


def _await_change(
    session: Session, connection: control.Connection, done: Callable[[], bool], end: float
) -> bool:
    while (left := end - time.monotonic()) > 0:
        ready, _, _ = select.select([connection], [], [], left)
        if ready and (packet := connection.receive()) is not None and packet[0] == control.CLOSED:
            return True
        session.refresh()
        if done():
            return True
    return False
