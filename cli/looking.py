"""For the commands that look into a container and leave it as it is: its first process, its cgroup, its files."""

from __future__ import annotations

import os
from contextlib import contextmanager

from cli.session import Session
from effects import cgroup_tree, identity
from machine import decide
from machine.errors import EffectFailure, IllegalTransition
from machine.projections import shown_status
from machine.resources import LIVE
from machine.subjects import Container

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


def is_live(container: Container) -> bool:
    """By the kernel's word, not by the journal's memory alone."""
    process = container.process_identity
    if container.status not in LIVE or process is None:
        return False
    return identity.alive(identity.of(process))


def open_process(container: Container) -> int | None:
    """A pidfd of its first process, the caller's to close; None if it does not run."""
    process = container.process_identity
    if container.status not in LIVE or process is None:
        return None
    return identity.open_identity(identity.of(process))


@contextmanager
def files_of(session: Session, container: Container) -> Iterator[int]:
    """A directory (O_PATH) of its own files, read-only, without what is mounted in it. It may go on changing them."""
    from cli.filesystem import lower
    from effects import fsview

    process = open_process(container)
    if process is None:
        view = fsview.overlay_view([f"{session.directory(container)}/upper", *lower(session, container)])
    else:
        try:
            view = fsview.running_view(process)
        finally:
            os.close(process)
    try:
        yield view
    finally:
        os.close(view)


def existing(session: Session, name: str, verb: str) -> Container:
    """The container, whose directory is there. Raises IllegalTransition, NoSuchContainer, AmbiguousPrefix."""
    container = session.find(name)
    row = container.holding("directory")
    if row is None or not row.done or container.status == "removing":
        raise IllegalTransition(
            verb, name=container.name, status=container.status, allowed=decide.allowed(container.status)
        )
    return container


def running(session: Session, name: str, verb: str) -> Container:
    """The container, which lives. Raises IllegalTransition, NoSuchContainer, AmbiguousPrefix."""
    container = session.find(name)
    if not is_live(container):
        unseen = container.status in LIVE  # it ended, and nobody has noted that yet
        raise IllegalTransition(
            verb,
            name=container.name,
            status="exited" if unseen else shown_status(container),
            allowed=decide.allowed("exited" if unseen else container.status),
        )
    return container


def directory_of(container: Container) -> str:
    """A directory that lists its processes: they are in the leaves of all hierarchies alike. Raises EffectFailure."""
    if container.cgroup is None:
        attempted = f"cannot list the processes of {container.name}"
        raise EffectFailure(attempted, "cgroup", "it is gone [mydocker replay]")
    where = cgroup_tree.places(container.cgroup)
    return next(iter([*where["dirs"].values(), where["cgroup2"]]), "")
