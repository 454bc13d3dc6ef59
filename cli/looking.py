"""For the commands that look into a container which runs: its first process and its cgroup, or why it has none."""

from __future__ import annotations

from typing import Any

from cli.session import LIVE, Session
from effects import cgroup_tree, identity
from machine import decide
from machine.errors import IllegalTransition
from machine.projections import shown_status
from machine.subjects import Container


def is_live(container: Container) -> bool:
    """By the kernel's word, not by the journal's memory alone."""
    process = container.process_identity
    if container.status not in LIVE or process is None:
        return False
    return identity.alive({"pid": process["pid"], "start": process["start"], "boot": process["boot"]})


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


def cgroup_of(container: Container) -> dict[str, Any]:
    """The facts of its cgroup; {} while it has none."""
    row = container.holding("cgroup")
    return row.facts if row is not None and row.facts else {}


def directory_of(cgroup: dict[str, Any]) -> str:
    """A directory that lists its processes: they are in the leaves of all hierarchies alike."""
    where = cgroup_tree.places(cgroup)
    return next(iter([*where["dirs"].values(), where["cgroup2"]]), "")
