"""decide, for networks: which there are, and who is on them. Pure; `machine.leases` has what a start gets of them.

Addresses, ports and names are projections of the journal: whoever holds a lease (`Container.endpoints`,
`Container.ports`) has it, and nothing else is written down anywhere.
"""

from __future__ import annotations

from machine import addresses, decide
from machine import events as ev
from machine.addresses import V4, V6, Subnet
from machine.errors import AmbiguousPrefix, InvalidValue
from machine.leases import DEFAULT, Leases, ports_of
from machine.network_errors import (
    Connected,
    DeviceExists,
    NetworkExists,
    NetworkInUse,
    NoNetworkOfItsOwn,
    NoPool,
    NoSuchNetwork,
    NotConnected,
    SubnetTaken,
)
from machine.resources import GONE, WATCHED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from typing import Any

    from machine.decide import Decision
    from machine.ports import Busy
    from machine.subjects import Network
    from machine.world import World

# The last two also are what the kernel calls settings of all links: none can be called so (devinet.c).
RESERVED = frozenset({"none", "host", "container", DEFAULT, "default", "all"})
MAX_DEVICE = 15  # IFNAMSIZ less its NUL, netdevice(7)
_UNIQUE_LOCAL = 0xFD << 120  # fd00::/8, RFC 4193: the next 40 bits are random
_GLOBAL_BITS, _SITE = 40, 48
_PREFIX = 64  # what hosts of a link share, RFC 4291


def exists(net: Network) -> bool:
    """Whether it is there for a user."""
    return net.status == "active"


def named(world: World, name: str) -> Network | None:
    """The network of that name; None where there is none."""
    return next((net for net in world.networks.values() if net.name == name and exists(net)), None)


def find(world: World, reference: str) -> Network:
    """The network by name, id, or unique id prefix. Raises NoSuchNetwork, AmbiguousPrefix."""
    found = named(world, reference)
    if found is not None:
        return found
    ids = [i for i, net in world.networks.items() if exists(net) and reference and i.startswith(reference)]
    if not ids:
        raise NoSuchNetwork(reference)
    if len(ids) > 1:
        raise AmbiguousPrefix(reference, ids)
    return world.networks[ids[0]]


def users(world: World, net: Network) -> list[str]:
    """The names of containers that have an address there, or may not have given it back."""
    return [c.name for c in world.containers.values() if any(e["network"] == net.id for e in c.endpoints)]


def wanted_by(world: World, net: Network) -> list[str]:
    """The names of all containers that are connected to it, live or not."""
    return [
        c.name
        for c in world.containers.values()
        if c.status not in GONE and any(one["network"] == net.id for one in c.setting("connections"))
    ]


# --- coming and going --------------------------------------------------------------------------------


class Wanted:
    """A network as asked for: `subnets` are (subnet, gateway or None) as numbers."""

    def __init__(self, network_id: str, name: str, subnets: Iterable[tuple[Subnet, int | None]] = ()) -> None:
        self.id, self.name, self.device = network_id, name, name
        self.subnets = list(subnets)
        self.v6 = self.internal = False
        self.labels: dict[str, str] = {}


def create(
    world: World,
    wanted: Wanted,
    *,
    links: Collection[str] = (),
    routes: Iterable[str] = (),
    elsewhere: Iterable[str] = (),
) -> Decision:
    """A new network. `links`: names of the host's links; `routes`: subnets that the host is connected to.

    `elsewhere`: what it reaches otherwise, and would lose to this network: taken if asked for, or where all else is.
    Raises NetworkExists, DeviceExists, SubnetTaken, NoPool.
    """
    known = named(world, wanted.name)
    if known is not None:
        raise NetworkExists(known.name, known.id)
    if wanted.device in links:
        raise DeviceExists(wanted.device)
    taken = [(pool, f"network {net.name}") for net in world.networks.values() for pool in _pools(net)]
    taken += [
        (found[0], f"a route of this host ({text})") for text in routes if (found := addresses.parse(text))
    ]
    subnets = _with_defaults(wanted, [pool for pool, _ in taken], elsewhere)
    for place, (pool, _) in enumerate(subnets):
        others = [*taken, *((other, "another of them") for other, _ in subnets[:place])]
        owner = next((owner for other, owner in others if pool.overlaps(other)), None)
        if owner is not None:
            raise SubnetTaken(str(pool), owner)
    rows = [_row(pool, gateway) for pool, gateway in sorted(subnets, key=lambda one: one[0].family)]
    created = ev.NetworkCreated(
        id=wanted.id,
        name=wanted.name,
        driver="bridge",
        device=wanted.device,
        subnets=rows,
        internal=wanted.internal,
        labels=wanted.labels,
    )
    return [(f"network/{wanted.id}", created)]


def _pools(net: Network) -> list[Subnet]:
    return [found[0] for one in net.subnets if (found := addresses.parse(one["subnet"]))]


def _with_defaults(
    wanted: Wanted, taken: list[Subnet], elsewhere: Iterable[str]
) -> list[tuple[Subnet, int | None]]:
    subnets = list(wanted.subnets)
    if not any(pool.family == V4 for pool, _ in subnets):
        missed = [found[0] for text in elsewhere if (found := addresses.parse(text))]
        pool = addresses.first_free_pool([*taken, *missed]) or addresses.first_free_pool(taken)
        if pool is None:
            raise NoPool
        subnets.append((pool, None))
    if wanted.v6 and not any(pool.family == V6 for pool, _ in subnets):
        site = int(wanted.id[: _GLOBAL_BITS // 4], 16) << 128 - _SITE
        subnets.append((Subnet(V6, _UNIQUE_LOCAL | site, _PREFIX), None))
    return subnets


def _row(pool: Subnet, gateway: int | None) -> dict[str, Any]:
    number = pool.base + 1 if gateway is None else gateway
    return {"subnet": str(pool), "gateway": addresses.text_of(pool.family, number)}


def default(world: World, network_id: str, root_id: str, **host: Any) -> Decision:
    """The network of containers that name none, made at its first use; nothing where it is there. `host`: as for `create`."""
    if named(world, DEFAULT) is not None:
        return []
    wanted = Wanted(network_id, DEFAULT)
    wanted.device = f"md-{root_id}"
    return create(world, wanted, **host)


def remove(world: World, reference: str, *, even_default: bool = False) -> Decision:
    """Raises NoSuchNetwork, NetworkInUse.

    A container that named none cannot know that it needs this one; so the default network stays as long as a container
    is to be on it, live or not, unless `even_default`.
    """
    net = find(world, reference)
    if there := users(world, net):
        raise NetworkInUse(net.name, there, "stop or disconnect")
    if net.name == DEFAULT and not even_default and (there := wanted_by(world, net)):
        raise NetworkInUse(net.name, there, "remove or disconnect")
    return [(net.stream, ev.NetworkRemoveRequested())]


def network_name(text: str, what: str = "network name") -> str:
    """A name that a bridge may have too. InvalidValue."""
    from machine import parse

    if text in RESERVED:
        raise InvalidValue(
            what, text, "reserved: none, host, container, bridge, default and all mean something else"
        )
    parse.name(text, what)
    if len(text) > MAX_DEVICE:
        raise InvalidValue(what, text, f"longer than {MAX_DEVICE} characters: its bridge is called so")
    return text


# --- who is on them ----------------------------------------------------------------------------------


def connect(world: World, reference: str, container: str, asked: dict[str, Any], busy: Busy = ()) -> Decision:
    """`asked`: ip, ip6, mac, aliases. Raises what a start does, NoNetworkOfItsOwn, Connected."""
    net, c = find(world, reference), decide.find(world, container)
    decide.check(c, "connect")
    model, colon, target = c.setting("network").partition(":")
    if model != DEFAULT:
        owner = world.containers.get(target)
        raise NoNetworkOfItsOwn(c.name, f"{model}{colon}{owner.name if owner is not None else target}")
    if any(one["network"] == net.id for one in c.setting("connections")):
        raise Connected(c.name, net.name)
    connection = {"network": net.id, "name": net.name, **asked}
    leases = Leases(world, c)
    endpoint = leases.endpoint(connection, c.endpoints)
    if c.status not in WATCHED:  # only looked at: what cannot be is refused now, not at the start
        return [(c.stream, ev.ContainerConnected(connection=connection))]
    ports = leases.ports([*c.endpoints, endpoint], busy) if not c.ports else c.ports
    return [(c.stream, ev.ContainerConnected(connection=connection, endpoint=endpoint, ports=ports))]


def disconnect(world: World, reference: str, container: str) -> Decision:
    """Raises NoSuchNetwork, NotConnected."""
    c = decide.find(world, container)
    decide.check(c, "disconnect")
    wanted = (reference, find(world, reference).id) if _is_known(world, reference) else (reference,)
    mine = [one for one in c.setting("connections") if one["network"] in wanted or one["name"] in wanted]
    if not mine:
        raise NotConnected(c.name, reference)
    network_id, name = mine[0]["network"], mine[0]["name"]
    left = [one for one in c.endpoints if one["network"] != network_id]
    ports = ports_of(c, left)
    return [(c.stream, ev.ContainerDisconnected(network=network_id, ports=ports, name=name))]


def _is_known(world: World, reference: str) -> bool:
    try:
        return bool(find(world, reference))
    except (NoSuchNetwork, AmbiguousPrefix):
        return False
