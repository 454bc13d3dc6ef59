"""decide: one function a verb. Each takes the world and returns the events to append, or refuses.

Pure: ids, paths and times come in as arguments. The result is a list of (stream, event); an empty one
means that what was asked is so already. Legality is the table's (`machine.table`).
"""

from __future__ import annotations

from machine import events as ev
from machine import restarts
from machine.errors import (
    AmbiguousPrefix,
    IllegalTransition,
    NameInUse,
    NoSuchContainer,
    NoSuchImage,
)
from machine.settings import SHORT, SIGKILL
from machine.subjects import Container
from machine.table import TABLE, VERBS
from machine.world import World

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, TypeAlias

    from eventstore.event import Event
    from machine.leases import Holder
    from machine.ports import Busy

    Decision: TypeAlias = list[tuple[str, Event]]


def find(world: World, reference: str) -> Container:
    """The container by name, id, or unique id prefix, in this order.

    Raises NoSuchContainer, AmbiguousPrefix.
    """
    container_id = world.names.get(reference)
    if container_id is not None:
        return world.containers[container_id]
    known = (i for i, c in world.containers.items() if c.status != "absent")
    ids = [i for i in known if i.startswith(reference)] if reference else []
    ids = [i for i in ids if world.containers[i].status not in ("removing", "removed")] or ids
    if not ids or world.containers[ids[0]].status == "removed":
        raise NoSuchContainer(reference)
    if len(ids) > 1:
        raise AmbiguousPrefix(reference, ids)
    return world.containers[ids[0]]


def allowed(status: str) -> tuple[str, ...]:
    """The users' verbs that a container of that status accepts, `rm -f` included."""
    verbs = [verb for verb in VERBS if status in TABLE.get(verb, {})]
    if status in TABLE["rm_force"]:
        verbs.append("rm -f")
    return tuple(verbs)


def check(c: Container, trigger: str) -> None:
    """Raise IllegalTransition unless the table has the step."""
    if c.status not in TABLE.get(trigger, {}):
        raise IllegalTransition(trigger, name=c.name, status=c.status, allowed=allowed(c.status))


# --- containers --------------------------------------------------------------------------------------


def create(world: World, created: ev.ContainerCreated) -> Decision:
    """A new container; NameInUse if its name is taken, NoSuchImage if a layer has gone meanwhile."""
    owner = world.names.get(created.name)
    if owner is not None:
        raise NameInUse(created.name, owner)
    for digest in created.layers:
        layer = world.layers.get(digest)
        if layer is None or layer.status != "published":
            raise NoSuchImage(created.image, f"layer {digest[:SHORT]}")
    return [(f"container/{created.id}", created)]


def start(world: World, container_id: str, *, busy: Busy = ()) -> Decision:
    """With addresses and ports of its networks; `busy`: ports that processes of the host listen on.

    Raises what `machine.leases.for_start` does.
    """
    c = find(world, container_id)
    if c.status in ("running", "starting"):
        return []
    check(c, "start")
    return [(c.stream, ev.ContainerStartRequested(**leases_of(world, c, busy)))]


def leases_of(world: World, c: Container, busy: Busy = (), granted: Sequence[Holder] = ()) -> dict[str, Any]:
    if c.setting("network") in ("none", "host"):
        return {}
    from machine import leases  # what has no network does without

    return leases.for_start(world, c, busy, granted)


def stop(world: World, reference: str, *, timeout: int | None = None, signal: int | None = None) -> Decision:
    """Ask it to end; `timeout` ns until SIGKILL (-1: never). Nothing where it is not running.

    A second `stop` of a stopping container is one more signal with a new deadline.
    """
    c = find(world, reference)
    if c.status in ("created", "exited", "failed"):
        return []
    check(c, "stop")
    chosen = ev.ContainerStopRequested(
        signal=c.setting("stop_signal") if signal is None else signal,
        timeout=c.setting("stop_timeout") if timeout is None else timeout,
    )
    return [(c.stream, chosen)]


def overdue(world: World, container_id: str, now_up: int) -> Decision:
    """SIGKILL for a stopping container whose deadline (CLOCK_BOOTTIME ns) has passed."""
    c = world.containers.get(container_id)
    if c is None or c.status != "stopping" or not c.stop_deadline or now_up < c.stop_deadline:
        return []
    return [(c.stream, ev.ContainerKillRequested(signal=SIGKILL))]


def kill(world: World, reference: str, signal: int) -> Decision:
    c = find(world, reference)
    check(c, "kill")
    return [(c.stream, ev.ContainerKillRequested(signal=signal))]


def pause(world: World, reference: str) -> Decision:
    c = find(world, reference)
    check(c, "pause")
    return [(c.stream, ev.ContainerPauseRequested())]


def unpause(world: World, reference: str) -> Decision:
    c = find(world, reference)
    check(c, "unpause")
    return [(c.stream, ev.ContainerUnpauseRequested())]


def note_exit(
    world: World, container_id: str, *, code: int | None, signal: int = 0, reason: str = "exit", up: int = 0
) -> Decision:
    """Observed: its first process is gone. Its removal or its next start is decided in the same breath."""
    c = world.containers.get(container_id)
    if c is None or c.status not in TABLE["exit"]:
        return []
    exited = ev.ContainerExited(code=code, signal=signal, reason=reason, up_at=up)
    decision: Decision = [(c.stream, exited)]
    if c.status == "removing":
        return decision
    if c.setting("auto_remove"):
        decision.append((c.stream, ev.ContainerRemoveRequested()))
    elif (restart := restarts.after_exit(c, exited)) is not None:
        restart.endpoints, restart.ports = c.endpoints, c.ports
        decision.append((c.stream, restart))
    return decision


def restart_now(world: World, container_id: str, now_up: int) -> Decision:
    """The start that a restart policy has put off, once it is due (CLOCK_BOOTTIME ns)."""
    c = world.containers.get(container_id)
    if c is None or c.status != "restarting" or now_up < c.restart_due:
        return []
    return [(c.stream, ev.ContainerStartRequested(endpoints=c.endpoints, ports=c.ports, netns=c.netns))]


def ending(status: int | None, *, oom: bool = False) -> dict[str, Any]:
    """Arguments of `note_exit` from a status as os.waitstatus_to_exitcode gives it.

    A shell's codes: 128 + n by signal n. None: nobody could learn it. `oom`: the kernel has killed in its cgroup.
    """
    if status is None:
        return {"code": None, "reason": "oom" if oom else "lost: monitor"}
    if status >= 0:
        return {"code": status, "reason": "oom" if oom and status else "exit"}
    return {"code": 128 - status, "signal": -status, "reason": "oom" if oom else "signal"}


def give_up(world: World, container_id: str) -> Decision:
    """After a failed start: remove the container if it was to be removed anyway.

    So too where `run` died before it could ask for the start; the caller holds the lock that it would hold.
    """
    c = world.containers.get(container_id)
    if c is None or not c.setting("auto_remove"):
        return []
    if c.status != "failed" and not (c.status == "created" and _made_by_run(c)):
        return []
    return [(c.stream, ev.ContainerRemoveRequested())]


def _made_by_run(c: Container) -> bool:
    """A `create --rm` waits for a `start`; what `run --rm` made and did not start, nobody will."""
    return c.asked is not None and str(c.asked["by"].get("cmd", "")).partition(" ")[0] == "run"


def remove(world: World, reference: str, *, force: bool = False) -> Decision:
    c = find(world, reference)
    if c.status == "removing":
        return []
    if not (force and c.status in TABLE["rm_force"]):
        check(c, "rm")
    if any(other.joins == c.id for other in world.containers.values()):
        _keep_netns(world, c)
    return [(c.stream, ev.ContainerRemoveRequested(force=force))]


def _keep_netns(world: World, c: Container) -> None:
    from machine.leases import in_network_of
    from machine.network_errors import NetnsInUse

    users = in_network_of(world, c)
    if users:
        raise NetnsInUse(c.name, users)


def rename(world: World, reference: str, name: str) -> Decision:
    c = find(world, reference)
    check(c, "rename")
    owner = world.names.get(name)
    if owner is not None:
        raise NameInUse(name, owner)
    return [(c.stream, ev.ContainerRenamed(name=name))]


def update(
    world: World,
    reference: str,
    *,
    limits: dict[str, Any],
    restart: dict[str, Any] | None,
    whole: bool = False,
) -> Decision:
    """New limits and restart policy, in place; limits not named stay, unless these are the `whole` of them."""
    c = find(world, reference)
    check(c, "update")
    settings: dict[str, Any] = {}
    if limits or whole:
        settings["limits"] = limits if whole else {**c.setting("limits"), **limits}
    if restart is not None:
        settings["restart"] = restart
    return [(c.stream, ev.ContainerUpdated(settings=settings))] if settings else []


def begin_exec(world: World, reference: str, started: ev.ExecStarted) -> Decision:
    c = find(world, reference)
    check(c, "exec")
    return [(c.stream, started)]


def end_exec(world: World, container_id: str, exec_id: str, code: int | None) -> Decision:
    """Nothing where the container's own end has closed the session already."""
    c = world.containers.get(container_id)
    if c is None or exec_id not in c.execs:
        return []
    return [(c.stream, ev.ExecExited(exec=exec_id, code=code))]


def note(_world: World, stream: str, event: Event) -> Decision:
    """A fact that no state forbids."""
    return [(stream, event)]
