"""A container's files, whatever it does meanwhile: running, frozen for a job, or stopped."""

from __future__ import annotations

import os
from contextlib import ExitStack, contextmanager

from cli.answers import await_packet, monitor_pid
from cli.session import Session
from effects import control, fsview, identity
from machine.errors import EffectFailure, MachineError
from machine.resources import LIVE
from machine.subjects import Container

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

LOCK_WAIT = 30.0  # seconds for whoever settles a stopped container


class NotRunning(MachineError):
    def __init__(self, name: str) -> None:
        super().__init__(f"{name} has just ended [try again]")


@contextmanager
def at_rest(session: Session, container: Container) -> Iterator[int]:
    """A directory of the container's own files, read-only, without its mounts; nothing changes in it meanwhile.

    A running container is frozen until the end, by its monitor, on a connection whose end thaws: our death
    does so too. A paused one stays paused. A stopped one cannot be started meanwhile.
    """
    with ExitStack() as stack:
        if container.status in LIVE:
            stack.enter_context(_frozen(session, container))
            view = fsview.running_view(_pidfd(stack, container))
        else:
            lock = session.locks.wait(container.id, LOCK_WAIT)
            stack.callback(os.close, lock)
            upper = f"{session.directory(container)}/upper"
            view = fsview.overlay_view([upper, *lower(session, container)])
        stack.callback(os.close, view)
        yield view


@contextmanager
def root_of(session: Session, container: Container, *, writing: bool) -> Iterator[int]:
    """The container's root directory as it sees it, for `cp`: its mounts and volumes are there while it runs."""
    with ExitStack() as stack:
        if container.status in LIVE:
            process = container.process_identity
            if process is None:
                raise NotRunning(container.name)
            root = fsview.root_handle(identity.of(process))
        else:
            stack.callback(os.close, session.locks.wait(container.id, LOCK_WAIT))
            here = session.directory(container)
            layers = lower(session, container)
            if writing:
                root = fsview.overlay_rw_view(layers, f"{here}/upper", f"{here}/work")
            else:
                root = fsview.overlay_view([f"{here}/upper", *layers])
        stack.callback(os.close, root)
        yield root


def lower(session: Session, container: Container) -> list[str]:
    """Its image's layers, uppermost first."""
    return [f"{session.root}/layers/{digest}/fs" for digest in container.layers]


def _pidfd(stack: ExitStack, container: Container) -> int:
    process = container.process_identity
    pidfd = identity.open_identity(identity.of(process)) if process is not None else None
    if pidfd is None:
        raise NotRunning(container.name)
    stack.callback(os.close, pidfd)
    return pidfd


@contextmanager
def _frozen(session: Session, container: Container) -> Iterator[None]:
    connection = control.connect(session.directory(container))
    if connection is None:
        raise NotRunning(container.name)
    try:
        _freeze(connection, container)
        yield
    finally:
        connection.close()


def _freeze(connection: control.Connection, container: Container) -> None:
    try:
        connection.send({"op": "freeze"})
    except (BrokenPipeError, ConnectionResetError):
        raise NotRunning(container.name) from None
    what, pid = f"cannot freeze {container.name}", monitor_pid(container)
    while True:
        kind, payload, _ = await_packet(connection, what, pid)
        if kind == control.CLOSED or (kind == control.JSON and payload["event"] == "exit"):
            raise NotRunning(container.name)
        if kind == control.JSON and payload["event"] == "error":
            raise EffectFailure(what, "freezer", payload["message"])
        if kind == control.JSON and payload["event"] == "frozen":
            return
