"""How networks come and go, and what containers have of them: leases of addresses and ports.

A lease lasts while its container is watched (a restart policy needs no new one), and until what stands for it
in the kernel has been undone: only then may somebody else have the address.
"""

from __future__ import annotations

from machine.evolve_effects import EFFECTS, move
from machine.resources import NETWORKING, WATCHED
from machine.subjects import Network

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from machine.state import State
    from machine.subjects import Container


# --- networks ----------------------------------------------------------------------------------------


def network(world: State, key: str, event: Any) -> None:
    """Fold one event of a network's stream."""
    net = world.networks.get(key)
    if net is None:
        net = world.networks[key] = Network(key)
    net.version = event.v
    if event.tag == "network.created" and net.status == "absent":
        net.status = "active"
        net.name, net.driver, net.device = event.name, event.driver, event.device
        net.subnets, net.internal, net.labels = event.subnets, event.internal, event.labels
        net.created = event.ts
        _now_there(world, net)
    elif event.tag == "network.remove_requested" and net.status == "active":
        net.status, net.error = "removing", None
    elif event.tag in EFFECTS and net.status != "absent":
        EFFECTS[event.tag](net, event)
    else:
        net.anomalies.append(event.n)
    forget_removed(world, net)


def _now_there(world: State, net: Network) -> None:
    families = [6 if ":" in str(one.get("subnet")) else 4 for one in net.subnets]
    world.host.networks[net.id] = [] if net.internal else families
    world.host.status, world.host.error = "networked", None


def forget_removed(world: State, net: Network) -> None:
    """A network goes once it leaves nothing behind; the host is to be as it is with networks as long as any is there."""
    if net.status == "removing" and not net.held and net.pending is None:
        net.status = "removed"
    if net.status == "removed" and not net.leftovers:
        world.networks.pop(net.id, None)
        world.host.networks.pop(net.id, None)
        if not world.host.networks:
            world.host.status, world.host.error = "idle", None


# --- leases ------------------------------------------------------------------------------------------


def lease(c: Container, e: Any) -> None:
    """What its start, or its restart by a policy, has got for it."""
    c.endpoints, c.ports = list(e.endpoints), list(e.ports)
    _remember(c)


def give_back(c: Container) -> None:
    """Leases of a container that is not watched any more end, once nothing in the kernel stands for them."""
    watched = c.status in WATCHED
    rows = [(row.kind, row.key) for row in (*c.held, *c.leftovers) if row.kind in NETWORKING]
    led = _led_elsewhere(c)
    if not watched or any("leaving" in one for one in c.endpoints):
        c.endpoints = [
            one
            for one in c.endpoints
            if (watched and "leaving" not in one)
            or ("endpoint", one.get("network")) in rows
            or one.get("network") in led
        ]
    if not watched and ("rules", c.id) not in rows:
        c.ports = []


def _led_elsewhere(c: Container) -> list[Any]:
    """Networks whose names it may still ask a server of its own for: so would the next who has its address."""
    rows = (row for row in (*c.held, *c.leftovers) if row.kind == "resolver")
    return [network for row in rows for network in row.spec.get("networks", ())]


def _remember(c: Container) -> None:
    if c.endpoints or c.ports:
        c.last = {"endpoints": c.endpoints, "ports": c.ports}


def _connected(c: Container, e: Any) -> None:
    if not move(c, "connect", e):
        return
    c.settings["connections"] = [*c.setting("connections"), e.connection]
    c.note_requests()
    if e.endpoint:
        c.endpoints = [*c.endpoints, e.endpoint]
        _known_names(c)
        _ports_now(c, e.ports)


def _disconnected(c: Container, e: Any) -> None:
    if not move(c, "disconnect", e):
        return
    c.settings["connections"] = [one for one in c.setting("connections") if one.get("network") != e.network]
    c.note_requests()
    c.endpoints = [
        {**one, "leaving": True} if one.get("network") == e.network else one for one in c.endpoints
    ]
    staying = next((one for one in c.endpoints if "leaving" not in one and not one.get("internal")), None)
    if staying is not None:  # it may have to become the way out
        _change(c, f"endpoint/{staying.get('network')}")
    _known_names(c)
    _ports_now(c, e.ports)


def _known_names(c: Container) -> None:
    """It is on other networks now: its files tell where it is and whom to ask, and whom it asks knows other names."""
    for kind in ("resolver", "init"):
        if c.holding(kind) is not None:
            _change(c, kind)


def _ports_now(c: Container, ports: list[dict[str, Any]]) -> None:
    c.ports = list(ports)
    _remember(c)
    if c.holding("rules") is not None:
        _change(c, "rules")


def renamed(c: Container, name: str) -> None:
    """Other containers find it by its new name from now on, and no more by its old one."""
    old = c.name
    c.endpoints = [{**one, "names": [name if n == old else n for n in _names(one)]} for one in c.endpoints]
    for one in c.endpoints:
        if c.holding("endpoint") is not None:
            _change(c, f"endpoint/{one.get('network')}")


def _names(one: dict[str, Any]) -> list[str]:
    names = one.get("names")
    return names if isinstance(names, list) else []


def _change(c: Container, what: str) -> None:
    if what not in c.changed:
        c.changed.append(what)


CONNECTIONS: dict[str, Callable[[Any, Any], None]] = {
    "container.connected": _connected,
    "container.disconnected": _disconnected,
}
