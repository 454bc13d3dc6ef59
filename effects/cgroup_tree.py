"""One leaf in every cgroup hierarchy: where it lies, how it is made, entered and removed. LEAN.

All hierarchies, the named ones too: a process left in its caller's cgroup of any of them would be
killed with the caller's session, and would keep that session's cgroup busy.
"""

from __future__ import annotations

import errno

from effects.failure import StepFailed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from effects.host import Facts, Hierarchy, Host

MONITORS = "monitors"  # the leaf beside the containers' that their monitors move to
SERVERS = "servers"  # and the one of the name servers
_TRIES = 50  # of making a directory whose parent others remove when they find it empty
_DYING = 10.0  # seconds that an ended process may hold its cgroup
_KILLING = 10.0
# While we make it and enter it, others may remove a leaf that they find empty: it is gone before we open a file of it,
# or after that; or somebody makes it again, and it takes nobody yet, since its cpuset is empty.
_SNATCHED = (errno.ENOENT, errno.ENODEV, errno.ENOSPC)
_V2_CONTROLLERS = ("cpuset", "cpu", "io", "memory", "pids")


def places(facts: Facts) -> dict[str, Any]:
    """What a cgroup's facts mean in full paths: {"dirs", "joins", "cgroup2"}.

    dirs     controller -> the directory with its files
    joins    the `tasks` files of version 1 that a process enters by writing "0" itself: a thread moves
             itself in 0.04 ms, while a write to cgroup.procs waits 12 ms for all CPUs on a quiet machine
    cgroup2  the version 2 directory, to be born in by CLONE_INTO_CGROUP; "" without one
    """
    leaf, v2 = facts["leaf"], facts["cgroup2"]
    mounts = [mount for mount in dict.fromkeys(facts["at"].values()) if mount != v2]
    return {
        "dirs": {controller: f"{mount}/{leaf}" for controller, mount in facts["at"].items()},
        "joins": [f"{mount}/{leaf}/tasks" for mount in mounts],
        "cgroup2": f"{v2}/{leaf}" if v2 else "",
    }


def facts_of(host: Host, hierarchies: list[Hierarchy], leaf: str) -> Facts:
    """{"leaf": path below each mount, "at": controller -> mount, "cgroup2": mount or ""}.

    Mounts, not directories: the journal keeps this for each start. `places` makes paths of it.
    """
    at, v2 = {}, ""
    for hierarchy in hierarchies:
        mount, controllers = hierarchy["path"], hierarchy["controllers"]
        if hierarchy["version"] == 2:  # noqa: PLR2004 - the kernel's own number
            v2 = mount
            controllers = host.read_file(f"{mount}/{leaf}/cgroup.controllers").decode().split()
        at.update(dict.fromkeys(controllers, mount))
    return {"leaf": leaf, "at": at, "cgroup2": v2}


def directories(hierarchies: list[Hierarchy], leaf: str, facts: Facts) -> list[str]:
    """Every directory the leaf may have: by what is mounted now, and by what was when it was made."""
    mounts = [hierarchy["path"] for hierarchy in hierarchies]
    mounts += [*facts.get("at", {}).values(), *filter(None, [facts.get("cgroup2", "")])]
    return [f"{mount}/{leaf}" for mount in dict.fromkeys(mounts)]


def make(host: Host, hierarchies: list[Hierarchy], parent: str, name: str, needs: dict[str, str]) -> None:
    """The leaf in every hierarchy, able to take a process; `needs`: controller -> the limit that needs it."""
    if not hierarchies:
        raise StepFailed("cgroup", errno.ENODEV, "no cgroup hierarchy is mounted", "/proc/self/mountinfo")
    for hierarchy in hierarchies:
        _make_leaf(host, hierarchy["path"], parent, name)
    # Only with all leaves in place, since they keep others from removing the parent meanwhile.
    for hierarchy in hierarchies:
        mount = hierarchy["path"]
        if hierarchy["version"] == 2:  # noqa: PLR2004 - the kernel's own number
            _enable(host, mount, parent, name, needs)
        elif "cpuset" in hierarchy["controllers"]:
            inherit_cpuset(host, mount, f"{mount}/{parent}/{name}")


def inherit_cpuset(host: Host, mount: str, directory: str) -> None:
    """A version 1 cpuset begins empty and takes no process (ENOSPC) before it has CPUs and memory nodes."""
    for file in ("cpuset.cpus", "cpuset.mems"):
        _inherited(host, mount, directory, file)


def enter(host: Host, parent: str, name: str) -> Facts:
    """Move the calling process, which must have one thread, to a leaf without limits; its facts.

    For a monitor, off any path that somebody waits for: on version 2 the move takes some 12 ms.
    """
    for attempt in range(_TRIES):
        try:
            return _entered(host, parent, name)
        except OSError as error:
            if error.errno not in _SNATCHED or isinstance(error, StepFailed) or attempt == _TRIES - 1:
                raise
    raise AssertionError


def leave(host: Host, facts: Facts) -> None:
    """Move the calling process from what it had entered to the top of every hierarchy; unused leaves go."""
    where = places(facts)
    for mount in dict.fromkeys(facts["at"].values()):
        if mount != facts["cgroup2"]:
            host.write_control(f"{mount}/tasks", "0")
    if where["cgroup2"]:
        host.write_control(f"{facts['cgroup2']}/cgroup.procs", "0")
    for leaf in directories([], facts["leaf"], facts):
        if _unused_removed(host, leaf):
            _removed(host, leaf.rpartition("/")[0])


def remove(host: Host, leaves: list[str]) -> None:
    """Remove the leaves; whatever still runs in them is killed. Then their parents, where empty."""
    busy = [leaf for leaf in leaves if not _removed(host, leaf)]
    if busy:
        thaw(host, busy)
        host.kill_all(busy, _KILLING)
        for leaf in busy:
            _remove_below(host, leaf)
    for leaf in leaves:
        parent = leaf.rpartition("/")[0]
        if _removed(host, parent):
            continue
        if not _unused_removed(host, f"{parent}/{MONITORS}"):
            return  # others live; where they live in one hierarchy, they live in all
        if _unused_removed(host, f"{parent}/{SERVERS}"):
            _removed(host, parent)


def remove_unused(host: Host, hierarchies: list[Hierarchy], parent: str, name: str) -> None:
    """A leaf that nobody is in any more; their parents too, where empty."""
    for hierarchy in hierarchies:
        directory = f"{hierarchy['path']}/{parent}"
        if _unused_removed(host, f"{directory}/{name}"):
            _removed(host, directory)


def thaw(host: Host, leaves: list[str]) -> None:
    """A process that version 1's freezer holds does not even die."""
    for leaf in leaves:
        if host.exists(f"{leaf}/freezer.state"):
            host.write_control(f"{leaf}/freezer.state", "THAWED")


def _entered(host: Host, parent: str, name: str) -> Facts:
    hierarchies = host.hierarchies()
    make(host, hierarchies, parent, name, {})
    facts = facts_of(host, hierarchies, f"{parent}/{name}")
    where = places(facts)
    for file in where["joins"]:
        host.write_control(file, "0")
    if where["cgroup2"]:
        host.write_control(f"{where['cgroup2']}/cgroup.procs", "0")
    return facts


def _make_leaf(host: Host, mount: str, parent: str, name: str) -> None:
    """The leaf, and its parent where it is missing: neighbours remove it whenever they leave it empty."""
    for attempt in range(_TRIES):
        try:
            host.make_dir(f"{mount}/{parent}/{name}", 0o755)
        except FileNotFoundError:
            if attempt == _TRIES - 1:
                raise
            _make_parent(host, f"{mount}/{parent}")
        else:
            return


def _make_parent(host: Host, directory: str) -> None:
    try:
        host.make_dir(directory, 0o755)
    except FileNotFoundError:
        return  # removed as soon as it was made: the leaf's next attempt finds out


def _inherited(host: Host, mount: str, directory: str, file: str) -> str:
    path = f"{directory}/{file}"
    value = host.read_file(path).decode().strip()
    if not value and directory != mount:
        value = _inherited(host, mount, directory.rpartition("/")[0], file)
        host.write_control(path, value)
    return value


def _enable(host: Host, mount: str, parent: str, name: str, needs: dict[str, str]) -> None:
    """Hand version 2's controllers down to the leaf: all of our list for `stats`, or at least the needed."""
    offered = host.read_file(f"{mount}/cgroup.controllers").decode().split()
    have = host.read_file(f"{mount}/{parent}/{name}/cgroup.controllers").decode().split()
    for controller in _V2_CONTROLLERS:
        if controller not in offered or controller in have:
            continue
        try:
            for directory in (mount, f"{mount}/{parent}"):
                host.write_control(f"{directory}/cgroup.subtree_control", f"+{controller}")
        except OSError as error:
            # In a container of somebody else's our root has processes: EBUSY. What nobody asked for may
            # be missing, and the facts show that it is.
            if controller in needs:
                raise StepFailed(
                    f"cgroup {controller}",
                    error.errno or 0,
                    f"{needs[controller]}: the {controller} controller cannot be enabled: {error.strerror}",
                    error.filename,
                ) from error


def _unused_removed(host: Host, leaf: str) -> bool:
    """A leaf that several share, once nobody is in it: who was just killed is listed no more, and may hold it still."""
    return _removed(host, leaf) or (not host.pids_in(leaf) and _removed(host, leaf, _DYING))


def _removed(host: Host, directory: str, seconds: float = 0) -> bool:
    try:
        host.remove_cgroup(directory, seconds)
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        return False
    return True


def _remove_below(host: Host, directory: str) -> None:
    for below in host.subdirs(directory):
        _remove_below(host, below)
    host.remove_cgroup(directory, _DYING)
