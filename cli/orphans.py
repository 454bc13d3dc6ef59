"""What lies in the store although no event tells of it: the traces of a crash before its first append."""

from __future__ import annotations

import os

from cli.report import line_of, say
from cli.session import Session
from effects import cgroup_tree, failpoints, net_links
from effects.linux import LinuxHost
from machine import decide_host, plan_network

TYPE_CHECKING = False
if TYPE_CHECKING:
    from effects.host import Link

LINK = "link "
FOLDERS = ("containers", "staging", "layers")


def find(session: Session) -> list[str]:
    """Paths of containers, jobs and layers that the journal does not know and that nobody holds; so for links.

    And ways into containers that are not there (any more).
    """
    found = [f"{LINK}{link['name']}" for link in _strays(session, LinuxHost())]
    found += [path for path, container_id in _ways(session) if not session.locks.is_held(container_id)]
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


def _strays(session: Session, host: LinuxHost) -> list[Link]:
    """Links that bear our mark, for a network or a container that holds none of that name."""
    if session.places is None:
        return []
    mark = plan_network.mark(session.places, "")
    return [
        link
        for link in net_links.ours(host, mark)
        if not _is_held(session, link) and not session.locks.is_held(link["alias"].rpartition(" ")[2])
    ]


def _is_held(session: Session, link: Link) -> bool:
    stream = link["alias"].partition(" ")[2].partition(" ")[2].replace(" ", "/")
    subject = session.world.subject(stream)
    rows = [*subject.held, *subject.leftovers] if subject is not None else []
    return any(
        link["name"] == row.spec.get("host_device" if row.kind == "endpoint" else "device") for row in rows
    )


def _ways(session: Session) -> list[tuple[str, str]]:
    """(ROOT/mnt/NAME, the container's id) of those that no container holds.

    Such a link may reach the disk before the journal tells of it, which is not synced for the sake of what a boot takes along.
    """
    if session.places is None:
        return []
    folder, via = f"{session.root}/mnt", f"{session.places.run}/{session.places.root_id}/mnt"
    try:
        paths = [f"{folder}/{name}" for name in sorted(os.listdir(folder))]
    except FileNotFoundError:
        return []
    found = [(path, _target(path).rpartition("/")) for path in paths]
    ways = [(path, container_id) for path, (above, _, container_id) in found if above == via]
    return [
        (path, container_id) for path, container_id in ways if not _is_way_of(session, path, container_id)
    ]


def _target(path: str) -> str:
    """Where a link leads to; "" for what is none, or is gone."""
    try:
        return os.readlink(path)
    except OSError:
        return ""


def _is_way_of(session: Session, path: str, container_id: str) -> bool:
    c = session.world.containers.get(container_id)
    rows = [*c.held, *c.leftovers] if c is not None else []
    return any(row.kind == "root_link" and row.spec.get("link") == path for row in rows)


def remove(session: Session, *, why: str) -> tuple[list[str], list[str]]:
    """Note that they are to go, and remove them; (what was removed, what could not be, which is told).

    Each under its lock, unless somebody has come to need it meanwhile.
    """
    host, removed, failed = LinuxHost(), [], []
    found = find(session)
    session.engine().decide(
        decide_host.sweep, [path.removeprefix(f"{session.root}/") for path in found], why=why
    )
    for path in found:
        try:
            if _remove_one(session, host, path):
                removed.append(path)
        except OSError as error:  # a mount lies there, say: that keeps no other from being removed
            say(f"cannot remove {path}: {line_of(error)}")
            failed.append(path)
    if session.places is not None:
        # Of a monitor that was killed once nothing was left to be undone.
        cgroup_tree.remove_unused(host, host.hierarchies(), session.places.cgroup, cgroup_tree.MONITORS)
    return removed, failed


def _remove_link(session: Session, host: LinuxHost, name: str) -> bool:
    session.engine().refresh()
    link = next((link for link in _strays(session, host) if link["name"] == name), None)
    if link is not None:
        failpoints.step("remove a stray")
        net_links.remove(host, link)
    return link is not None


def _remove_way(session: Session, host: LinuxHost, path: str) -> bool:
    lock = session.locks.take(os.path.basename(_target(path)) or "gone")
    if lock is None:
        return False
    try:
        session.engine().refresh()
        is_stray = any(path == way for way, _ in _ways(session))
        if is_stray:
            failpoints.step("remove a stray")
            host.remove_file(path)
        return is_stray
    finally:
        os.close(lock)


def _remove_one(session: Session, host: LinuxHost, path: str) -> bool:
    if path.startswith(LINK):
        return _remove_link(session, host, path.removeprefix(LINK))
    folder, name = path.split("/")[-2:]
    if folder == "mnt":
        return _remove_way(session, host, path)
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
