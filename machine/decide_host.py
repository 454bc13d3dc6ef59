"""decide, for the host: a new boot, and what was swept away. Pure."""

from __future__ import annotations

from machine import decide, restarts
from machine import events as ev
from machine.errors import MachineError, OtherRunDir
from machine.home import Here, at_home, is_there, run_dir
from machine.resources import LIVE, WATCHED
from machine.subjects import Container
from machine.table import TABLE
from machine.world import World

TYPE_CHECKING = False
if TYPE_CHECKING:
    from machine.decide import Decision

SWEPT_NAMED = 20  # paths that an event names; a line of the journal is no list of ten thousand


def sweep(_world: World, paths: list[str]) -> Decision:
    """The removal of what lies in the store unaccounted for: paths below ROOT."""
    return [("host", ev.HostSwept(paths=paths[:SWEPT_NAMED], count=len(paths)))] if paths else []


def refuse_other_run_dir(world: World, here: Here) -> None:
    """OtherRunDir where another one is asked for than what lives has its things in."""
    host = world.host
    if host.boot == here.boot and host.run and host.run != run_dir(host, here):
        names = [c.name for c in world.containers.values() if c.status in WATCHED]
        if names:
            raise OtherRunDir(here.path, used=host.run, asked=here.run, names=names)


def note_boot(world: World, here: Here, *, moved: bool = False) -> Decision:
    """The first command of a boot: what lived has died, in one append. Nothing in the same boot, unless `moved`.

    Containers that were to be removed at their end, and have ended or never begun, are removed. Another run directory
    in the same boot is noted too. OtherRunDir.
    """
    if at_home(world.host, here) and not moved:
        return []
    run = run_dir(world.host, here)
    if not moved:
        refuse_other_run_dir(world, here)
        if is_there(world.host, here):
            return [("host", ev.HostRunDirChanged(run=run))]
    decision: Decision = []
    if world.host.boot and (moved or world.host.boot != here.boot):
        for c in world.containers.values():
            if c.status in LIVE or (c.status == "removing" and c.holding("init") is not None):
                decision += decide.note_exit(
                    world, c.id, code=None, reason="lost: moved" if moved else "lost: reboot"
                )
            elif c.setting("auto_remove") and c.status in TABLE["rm"]:
                # Whoever would have started or removed it has died; its name must not stay taken.
                decision.append((c.stream, ev.ContainerRemoveRequested()))
            elif (again := restarts.after_boot(c)) is not None and _has_leases(world, c, again, decision):
                decision.append((c.stream, again))
    # Last: the exits are noted of what was held before, then the boot drops what died with the kernel.
    noted = ev.HostBooted(
        boot=here.boot,
        machine=here.machine,
        root=here.root,
        path=here.path,
        spaces=here.spaces,
        id=here.fresh if moved else world.host.id,
        run=run,
    )
    decision.append(("host", noted))
    return decision


def _has_leases(world: World, c: Container, again: ev.ContainerRestartRequested, so_far: Decision) -> bool:
    """Whether it can have what it needs of its networks, which it then gets: it had given that back at its end."""
    if c.setting("network") in ("none", "host"):
        return True
    from machine.leases import Holder

    granted = [Holder(stream, event) for stream, event in so_far if hasattr(event, "endpoints")]
    try:
        leases = decide.leases_of(world, c, granted=granted)
    except MachineError:
        return False
    again.endpoints, again.ports = leases.get("endpoints", []), leases.get("ports", [])
    return True
