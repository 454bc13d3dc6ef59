"""What one container gets of its networks: an address on each, and ports of the host. Pure.

An endpoint is {"network", "name", "bridge", "device", "host_device", "addresses", "gateways", "mac", "names", "internal"}.
"""

from __future__ import annotations

from machine import addresses
from machine.addresses import V4, V6, Subnet
from machine.network_errors import (
    AddressTaken,
    AddressUnfit,
    NetnsGone,
    NetworkGone,
    PoolExhausted,
    Unpublishable,
)
from machine.ports import Taken
from machine.ports import leases as port_leases
from machine.resources import GONE
from machine.settings import SHORT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from machine.ports import Busy
    from machine.subjects import Container, Network
    from machine.world import World

DEFAULT = "bridge"  # the model of whoever is on networks of ours, and the network of who names none
NET_DIGITS = 4  # of a network's id in its devices' names: there is room for no more, IFNAMSIZ
LOCAL_MAC = "02:42"  # locally administered; the last four bytes are the address's, as docker has them


class Holder:
    """Who gets something by an event that is decided, and not yet in the world."""

    def __init__(self, stream: str, event: Any) -> None:
        self.id = self.name = stream.partition("/")[2]
        self.endpoints: list[dict[str, Any]] = event.endpoints
        self.ports: list[dict[str, Any]] = event.ports


class Leases:
    """For one container, in a world that no other decision changes meanwhile; `granted`: what this one has."""

    def __init__(self, world: World, c: Container, granted: Sequence[Holder] = ()) -> None:
        self._world, self._c = world, c
        self._granted = granted

    def _others(self) -> list[Container | Holder]:
        others = [other for other in self._world.containers.values() if other.id != self._c.id]
        return [*others, *self._granted]

    def endpoint(self, connection: dict[str, Any], others: list[dict[str, Any]]) -> dict[str, Any]:
        """Its place on one network; `others`: those that it has on others."""
        c, net = self._c, self._world.networks.get(connection["network"])
        if net is None or net.status != "active":
            raise NetworkGone(c.name, connection["name"])
        last = self._last(net.id)
        subnets = [_parsed(row) for row in net.subnets]
        numbers: list[int] = []
        for row, pool in zip(net.subnets, subnets, strict=True):
            # At the same place in both: an address of IPv6 then is of one MAC only, which is made of that of IPv4.
            beside = pool.base + numbers[0] - subnets[0].base if numbers else None
            numbers.append(self._number(net, row, connection, last, beside))
        asked6 = connection["ip6"]
        if asked6 and not any(pool.family == V6 for pool in subnets):
            raise AddressUnfit(asked6, net.name, "it has no subnet of IPv6")
        self._refuse_taken(net, connection["mac"])
        texts = [pool.with_length(number) for pool, number in zip(subnets, numbers, strict=True)]
        devices = {one["device"] for one in others}
        names = [c.name, *connection["aliases"], c.id[:SHORT], c.hostname]
        return {
            "network": net.id,
            "name": net.name,
            "bridge": net.device,
            "device": next(f"eth{n}" for n in range(len(others) + 1) if f"eth{n}" not in devices),
            "host_device": f"md{c.id[:8]}-{net.id[:NET_DIGITS]}",
            "addresses": texts,
            "gateways": [row["gateway"] for row in net.subnets],
            "mac": connection["mac"] or _mac(numbers[0]),
            "names": list(dict.fromkeys(names)),
            "internal": net.internal,
        }

    def _refuse_taken(self, net: Network, mac: str) -> None:
        """Two with one MAC address would each get half of what is sent to the other. AddressTaken."""
        for other in self._others() if mac else ():
            if any(one["network"] == net.id and one["mac"] == mac for one in other.endpoints):
                raise AddressTaken(mac, net.name, f"container {other.name}")

    def _last(self, network_id: str) -> list[str]:
        for one in self._c.last.get("endpoints", ()):
            if one["network"] == network_id:
                return [text.partition("/")[0] for text in one["addresses"]]
        return []

    def _number(
        self,
        net: Network,
        row: dict[str, Any],
        connection: dict[str, Any],
        last: list[str],
        beside: int | None,
    ) -> int:
        pool = _parsed(row)
        taken = self._taken(net, pool)
        key = "ip" if pool.family == V4 else "ip6"
        if connection[key]:
            return _as_asked(net, pool, connection[key], taken)
        for text in last:
            before = addresses.number_of(text)
            if before is not None and pool.holds(*before) and before[1] not in taken:
                return before[1]
        kept = {**taken, **self._asked_for(net)}
        if beside is not None and pool.is_host(beside) and beside not in kept:
            return beside
        found = self._free(net, pool, kept)
        if found is None:
            found = self._free(net, pool, taken)
        if found is None:
            raise PoolExhausted(net.name, str(pool))
        return found

    def _free(self, net: Network, pool: Subnet, taken: dict[int, str]) -> int | None:
        """The lowest that nobody has; nor its MAC, which somebody may have asked for."""
        macs = {one["mac"] for other in self._others() for one in other.endpoints if one["network"] == net.id}
        found = pool.free(taken)
        while found is not None and pool.family == V4 and _mac(found) in macs:
            taken = {**taken, found: ""}
            found = pool.free(taken)
        return found

    def _asked_for(self, net: Network) -> dict[int, str]:
        """Number -> who asked for it, live or not: it could not start if somebody else were given that."""
        return {
            found[1]: other.name
            for other in self._world.containers.values()
            if other.requested and other.id != self._c.id and other.status not in GONE
            for network, address in other.requested
            if network == net.id and (found := addresses.number_of(address))
        }

    def _taken(self, net: Network, pool: Subnet) -> dict[int, str]:
        """Number -> whose it is, for all that is not free."""
        found = {}
        for row in net.subnets:
            gateway = addresses.number_of(row["gateway"])
            if gateway is not None and gateway[0] == pool.family:
                found[gateway[1]] = "its gateway"
        for other in self._others():
            texts = [text for one in other.endpoints if one["network"] == net.id for text in one["addresses"]]
            for text in texts:
                number = addresses.number_of(text.partition("/")[0])
                if number is not None and number[0] == pool.family:
                    found[number[1]] = f"container {other.name}"
        return found

    # --- ports ---------------------------------------------------------------------------------------

    def ports(self, endpoints: list[dict[str, Any]], busy: Busy) -> list[dict[str, Any]]:
        """The rows of its published ports, once it has these endpoints."""
        asked = wanted_ports(self._c)
        if not asked:
            return []
        inside = reached_at(endpoints)
        if not inside:
            raise Unpublishable(self._c.name, "it is on internal networks only")
        for one in asked:
            family = V6 if ":" in one["address"] else V4
            if one["address"] and family not in inside:
                raise Unpublishable(self._c.name, f"it has no address of IPv{family} for {one['address']}")
        taken = Taken(busy)
        for other in self._others():
            for row in other.ports:
                taken.add(row["protocol"], row["address"], row["host_port"], other.name)
        return port_leases(asked, inside, taken, self._c.last.get("ports", ()))


def _parsed(row: dict[str, Any]) -> Subnet:
    found = addresses.parse(row["subnet"])
    assert found is not None, "it was a subnet when it was decided"
    return found[0]


def _as_asked(net: Network, pool: Subnet, text: str, taken: dict[int, str]) -> int:
    family, number = addresses.address(text)
    if not pool.holds(family, number):
        raise AddressUnfit(text, net.name, f"it is outside {pool}")
    if not pool.is_host(number):
        raise AddressUnfit(text, net.name, f"it is no host's in {pool}")
    if number in taken:
        raise AddressTaken(text, net.name, taken[number])
    return number


def _mac(number: int) -> str:
    return ":".join([LOCAL_MAC, *(f"{number >> shift & 0xFF:02x}" for shift in (24, 16, 8, 0))])


def reached_at(endpoints: list[dict[str, Any]]) -> dict[int, str]:
    """The address by family at which the host's ports end: on its first network that is not internal."""
    found: dict[int, str] = {}
    for one in endpoints:
        if not one["internal"] and "leaving" not in one:
            for text in one["addresses"]:
                found.setdefault(V6 if ":" in text else V4, text.partition("/")[0])
    return found


def wanted_ports(c: Container) -> list[dict[str, Any]]:
    """The ports that were asked for, and with -P each that is exposed."""
    asked = list(c.setting("ports"))
    if c.setting("publish_all"):
        named = {(one["port"], one["protocol"]) for one in asked}
        asked += [
            {"address": "", "host_port": 0, **one}
            for one in c.setting("exposed")
            if (one["port"], one["protocol"]) not in named
        ]
    return asked


def ports_of(c: Container, endpoints: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows that remain once it has only these endpoints: the same ports, to another address of it."""
    inside = reached_at(endpoints)
    rows = ((row, inside.get(V6 if ":" in row["to"] else V4)) for row in c.ports)
    return [{**row, "to": to} for row, to in rows if to is not None]


# --- a start -----------------------------------------------------------------------------------------


def for_start(world: World, c: Container, busy: Busy = (), granted: Sequence[Holder] = ()) -> dict[str, Any]:
    """The leases of a start, as the fields of `container.start_requested`.

    Raises NetworkGone, PoolExhausted, AddressTaken, AddressUnfit, PortTaken, PortBusy, Unpublishable, NetnsGone.
    """
    model, _, target = c.setting("network").partition(":")
    if model == "container":
        return {"netns": netns(world, c, target)}
    if model != DEFAULT:
        return {}
    leases = Leases(world, c, granted)
    endpoints: list[dict[str, Any]] = []
    for connection in c.setting("connections"):
        endpoints.append(leases.endpoint(connection, endpoints))
    return {"endpoints": endpoints, "ports": leases.ports(endpoints, busy)}


def netns(world: World, c: Container, target_id: str) -> dict[str, Any]:
    """Whose network namespace it joins: id, hostname, and pid, start, boot of the process. NetnsGone."""
    target = world.containers.get(target_id)
    if target is None or target.status in GONE:
        raise NetnsGone(c.name, target_id[:SHORT], "it was removed")
    if target.status not in ("running", "paused") or target.process_identity is None:
        raise NetnsGone(c.name, target.name, f"it is {target.status} [mydocker start {target.name}]")
    return {"id": target.id, "hostname": target.hostname, **target.process_identity}


def in_network_of(world: World, target: Container) -> list[str]:
    """The containers that were created to share its network namespace."""
    return [c.name for c in world.containers.values() if c.joins == target.id and c.status not in GONE]


def joined(world: World, container_id: str) -> bool:
    """Whether it was created to share the network of another, which is to be removed after it."""
    c = world.containers.get(container_id)
    return c is not None and bool(c.joins)
