"""What lies in the store although no event tells of it: the traces of a crash before its first append."""

from __future__ import annotations

import os

from cli.report import line_of, say
from cli.session import Session
from effects import failpoints
from effects.linux import LinuxHost
from machine import decide

FOLDERS = ("containers", "staging", "layers")


def find(session: Session) -> list[str]:
    """Paths of containers, jobs and layers that the journal does not know and that nobody holds."""
    found = []
    for folder in FOLDERS:
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


def remove(session: Session, *, why: str) -> tuple[list[str], list[str]]:
    """Note that they are to go, and remove them; (what was removed, what could not be, which is told).

    Each under its lock, unless somebody has come to need it meanwhile.
    """
    host, removed, failed = LinuxHost(), [], []
    found = find(session)
    session.engine().decide(decide.sweep, [path.removeprefix(f"{session.root}/") for path in found], why=why)
    for path in found:
        try:
            if _remove_one(session, host, path):
                removed.append(path)
        except OSError as error:  # a mount lies there, say: that keeps no other from being removed
            say(f"cannot remove {path}: {line_of(error)}")
            failed.append(path)
    return removed, failed


def _remove_one(session: Session, host: LinuxHost, path: str) -> bool:
    folder, name = path.split("/")[-2:]
    lock = session.locks.take(_subject(name))
    if lock is None:
        return False
    try:
        session.engine().refresh()
        if _is_known(session, folder, name):
            return False
        failpoints.step("remove a stray")
        host.remove_tree(path)
        return True
    finally:
        os.close(lock)


def _subject(name: str) -> str:
    """The id in a directory's name; one that is being removed is called .removing-<id>."""
    return name.rpartition("-")[2]


def _is_known(session: Session, folder: str, name: str) -> bool:
    world = session.world
    if folder == "layers":
        layer = world.layers.get(name)
        return layer is not None and layer.status != "removed"
    return name in (world.containers if folder == "containers" else world.jobs)
