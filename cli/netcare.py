"""That the networks of a container are whole when its restart policy starts it again: looked at here, mended by a helper. LEAN.

A monitor knows its own container alone, and loads as little as it can. What somebody else broke is mended as a
command would (`cli.networking`), by a process that has the whole world, for as long as that takes.
"""

from __future__ import annotations

import os
import select
import sys

from cli import lookout
from effects import defects, interpreter, syscalls
from machine import plan, plan_network

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cli.lookout import Rows
    from machine.engine import Engine
    from machine.subjects import Container

WAIT = 20_000  # milliseconds for the helper, which may have to wait for another command


def mend(engine: Engine, c: Container) -> None:
    """Return once its networks are whole, or cannot be made so now: the start will tell why."""
    if lookout.is_whole(engine.effects, stands_on(engine, c)):
        return
    places, by = engine.places, str(engine.actor.by["cmd"])
    ids = [one["network"] for one in plan_network.open_endpoints(c)]
    try:
        pid = interpreter.spawn("cli.netcare", [], places.root, by, *ids, new_session=True)
    except OSError:
        return  # no process more is to be had
    pidfd = os.pidfd_open(pid)
    try:
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        if not poll.poll(WAIT):
            syscalls.pidfd_send_signal(pidfd, syscalls.SIGKILL)
    finally:
        os.close(pidfd)
    os.waitpid(pid, 0)


def stands_on(engine: Engine, c: Container) -> Rows:
    """What has to be there before the container's own part, as far as its leases tell of it."""
    rows = lookout.rows_of([engine.world.host])
    for one in plan_network.open_endpoints(c):
        net = plan_network.of_lease(one)
        for kind, key in plan.wanted(net):
            rows.append([kind, plan.maker(kind)(net, engine.places, key), {}])
    return rows


def main() -> int:
    """In the helper: see that these networks of a root are whole. What keeps it from that is in the journal."""
    from cli.report import exit_code_of

    root, command, *ids = sys.argv[1:]
    try:
        _see(root, command, ids)
    except Exception as error:
        code = exit_code_of(error)
        if code is not None:
            return code  # the world's doing
        # Our stderr is nobody's.
        defects.note(root, f"helper that mends the networks {' '.join(ids)}")
        raise
    return 0


def _see(root: str, command: str, ids: list[str]) -> None:
    from cli import networking
    from cli.session import Session
    from machine import networks

    session = Session(root, "", command)
    found = (session.engine().world.networks.get(network_id) for network_id in ids)
    networking.ready(session, [net for net in found if net is not None and networks.exists(net)])
