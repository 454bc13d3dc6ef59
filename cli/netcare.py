"""That the networks of a container are whole when its restart policy starts it again: looked at here, mended by a helper. LEAN.

A monitor knows its own container alone, and loads as little as it can. What somebody else broke is mended as a
command would (`cli.networking`), by a process that has the whole world, for as long as that takes.
"""

from __future__ import annotations

import os
import select
import sys

from effects import interpreter, syscalls
from machine import plan_network

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from machine.engine import Engine
    from machine.places import Places
    from machine.subjects import Container

WAIT = 20_000  # milliseconds for the helper, which may have to wait for another command
_SIGKILL = 9


def mend(engine: Engine, c: Container) -> None:
    """Return once its networks are whole, or cannot be made so now: the start will tell why."""
    leases = plan_network.open_endpoints(c)
    stand_on = [(row.kind, row.spec) for row in engine.world.host.held]
    stand_on += [spec for one in leases for spec in _specs(engine.places, one)]
    if all(_is_there(engine, kind, spec) for kind, spec in stand_on):
        return
    places, by = engine.places, str(engine.actor.by["cmd"])
    ids = [one["network"] for one in leases]
    pid = interpreter.spawn("cli.netcare", [], places.root, places.run, by, *ids, new_session=True)
    pidfd = os.pidfd_open(pid)
    try:
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        if not poll.poll(WAIT):
            syscalls.pidfd_send_signal(pidfd, _SIGKILL)
    finally:
        os.close(pidfd)
    os.waitpid(pid, 0)


def _is_there(engine: Engine, kind: str, spec: dict[str, Any]) -> bool:
    try:
        return engine.effects.probe(kind, spec, {}) is not None
    except OSError:
        return False  # the helper finds out more


def _specs(places: Places, lease: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """What a start stands on, as far as a lease tells of it."""
    lengths = [text.partition("/")[2] for text in lease["addresses"]]
    mine = plan_network.mark(places, f"network {lease['network']}")
    bridge = {
        "device": lease["bridge"],
        "gateways": [f"{one}/{length}" for one, length in zip(lease["gateways"], lengths, strict=True)],
        "mark": mine,
    }
    network = {"device": lease["bridge"], "subnets": [], "internal": lease["internal"]}
    rules = {
        "table": plan_network.table(places),
        "networks": [network],
        "hosts": [],
        "ports": [],
        "mark": mine,
    }
    directory = plan_network.names_directory(places, lease["network"])
    return [("bridge", bridge), ("rules", rules), ("dns", {"directory": directory})]


def main() -> int:
    """In the helper: see that these networks of a root are whole. What keeps it from that is in the journal."""
    from cli import networking
    from cli.session import Session
    from machine import networks
    from machine.errors import MachineError

    root, run, command, *ids = sys.argv[1:]
    session = Session(root, run, command)
    found = (session.engine().world.networks.get(network_id) for network_id in ids)
    try:
        networking.ready(session, [net for net in found if net is not None and networks.exists(net)])
    except MachineError:
        return 1
    return 0
