"""Where a root is at home: the machine, the boot, the directory, the namespaces. Pure. LEAN.

A root that is found elsewhere is written to only after somebody has adopted it: its containers' processes
and devices are another's, and what its journal names by path may still be there, and another's too.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from machine.state import State
    from machine.subjects import Host

USUAL_RUN_DIR = "/run/mydocker"
NOWHERE = ("", "uninitialized")  # machine-id(5): what is no id


class Here:
    """What a command sees: boot id, machine id, the root's path and the inode of its journal, the inodes of the pid
    and the network namespace. `reached`: the path that was noted last leads to this root, too. `fresh`: what the root
    is called in names of cgroups and devices once it is adopted; what it was called may be another's. `run`: the run
    directory that was asked for, "" where none was.
    """

    __slots__ = ("boot", "fresh", "machine", "path", "reached", "root", "run", "spaces")

    def __init__(
        self,
        boot: str,
        machine: str,
        *,
        root: int,
        path: str,
        spaces: list[int],
        reached: bool = True,
        fresh: str = "",
        run: str = "",
    ) -> None:
        self.boot, self.machine, self.root, self.path = boot, machine, root, path
        self.spaces, self.reached, self.fresh = spaces, reached, fresh
        self.run = run


def strange(host: Host, here: Here, *, live: bool) -> str:
    """Why nobody may write to the root from here, in words; empty if it is at home. `live`: containers are."""
    if host.machine not in NOWHERE and here.machine not in NOWHERE and host.machine != here.machine:
        return f"it was last used on the machine with id {host.machine}, this one has {here.machine}"
    if host.root and host.root != here.root:
        return f"it is a copy of the one that was used in {host.path}"
    if host.path and not here.reached:
        return f"it was moved here from {host.path}"
    if live and host.boot == here.boot and host.spaces and host.spaces != here.spaces:
        return "its containers live in another pid or network namespace of this machine"
    return ""


def at_home(host: Host, here: Here) -> bool:
    """Whether there is nothing new to note."""
    return is_there(host, here) and host.run == run_dir(host, here)


def is_there(host: Host, here: Here) -> bool:
    """Whether it is the boot and the namespaces that were noted last."""
    return host.boot == here.boot and (not host.spaces or host.spaces == here.spaces)


def run_dir(host: Host, here: Here) -> str:
    """The run directory from now on: the one asked for, else that of this boot, else the usual one.

    That of another boot means nothing: what it lay in may be anybody's by now.
    """
    return here.run or (host.run if host.boot == here.boot else "") or USUAL_RUN_DIR


def has_moved(host: Host, event: Any) -> bool:
    """Whether a `host.booted` tells of another place than the last one did."""
    pairs = ((host.machine, event.machine), (host.root, event.root), (host.path, event.path))
    return any(old and new and old != new for old, new in pairs)


def relocate(world: State, old: str, new: str) -> None:
    """What subjects hold below `old` is below `new`; and their directories are to be made fit for it."""
    for subject in list(world.subjects()):
        for row in (*subject.held, *subject.leftovers):
            row.spec, row.facts = _moved(row.spec, old, new), _moved(row.facts, old, new)
            if row.kind == "root_link":
                row.spec["left"] = True  # what it leads over is in a run directory
    for layer in world.layers.values():
        layer.path = _moved(layer.path, old, new)
    for job in world.jobs.values():
        job.staging = _moved(job.staging, old, new)
    for container in world.containers.values():
        container.changed = ["directory"] if container.holding("directory") is not None else []


def _moved(value: Any, old: str, new: str) -> Any:
    if isinstance(value, str):
        return new + value[len(old) :] if value == old or value.startswith(f"{old}/") else value
    if isinstance(value, list):
        return [_moved(inner, old, new) for inner in value]
    if isinstance(value, dict):
        return {key: _moved(inner, old, new) for key, inner in value.items()}
    return value
