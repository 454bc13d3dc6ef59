"""What lies in the store although no event tells of it: the traces of a crash before its first append."""

from __future__ import annotations

import os

from cli.session import Session
from effects.linux import LinuxHost


def find(session: Session) -> list[str]:
    """Paths of containers, jobs and layers that the journal does not know and that nobody holds."""
    found = []
    for folder in ("containers", "staging", "layers"):
        try:
            names = os.listdir(f"{session.root}/{folder}")
        except FileNotFoundError:
            continue
        found += [
            f"{session.root}/{folder}/{name}"
            for name in sorted(names)
            if not _is_known(session, folder, name) and not session.locks.is_held(_subject(name))
        ]
    return found


def remove(session: Session) -> list[str]:
    """Remove them, each under its lock, unless somebody has come to need it meanwhile; what was removed."""
    host, removed = LinuxHost(), []
    for path in find(session):
        folder, name = path.split("/")[-2:]
        lock = session.locks.take(_subject(name))
        if lock is None:
            continue
        try:
            session.engine().refresh()
            if not _is_known(session, folder, name):
                host.remove_tree(path)
                removed.append(path)
        finally:
            os.close(lock)
    return removed


def _subject(name: str) -> str:
    """The id in a directory's name; one that is being removed is called .removing-<id>."""
    return name.rpartition("-")[2]


def _is_known(session: Session, folder: str, name: str) -> bool:
    world = session.world
    if folder == "layers":
        layer = world.layers.get(name)
        return layer is not None and layer.status != "removed"
    return name in (world.containers if folder == "containers" else world.jobs)
