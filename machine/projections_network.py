"""What people are shown of networks: rows for `network ls`, the document of `inspect`, the ports of `ps`. Pure."""

from __future__ import annotations

from machine.moments import rfc3339
from machine.network_errors import outside

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from machine.subjects import Container, Network
    from machine.world import World

V4, V6 = "IPv4Address", "IPv6Address"


def visible(world: World) -> list[Network]:
    """All networks that exist for a user, oldest first."""
    return sorted(
        (net for net in world.networks.values() if net.status == "active"), key=lambda net: net.created
    )


def ranges(net: Network) -> list[str]:
    """As the series writes them: the gateway's address, and the length of its subnet's prefix."""
    return [f"{one['gateway']}/{one['subnet'].rpartition('/')[2]}" for one in net.subnets]


def inspect(net: Network, world: World) -> dict[str, Any]:
    """One network as docker's `network inspect` shapes it, with what only we know under `Held` and `Journal`."""
    there = {
        c.id: lease for c in world.containers.values() for lease in _open(c) if lease["network"] == net.id
    }
    return {
        "Name": net.name,
        "Id": net.id,
        "Created": rfc3339(net.created),
        "Scope": "local",
        "Driver": net.driver,
        "EnableIPv6": len(net.subnets) > 1,
        "IPAM": {
            "Driver": "default",
            "Config": [{"Subnet": one["subnet"], "Gateway": one["gateway"]} for one in net.subnets],
        },
        "Internal": net.internal,
        "Containers": {key: _guest(world.containers[key].name, lease) for key, lease in there.items()},
        "Options": {"com.docker.network.bridge.name": net.device},
        "Labels": net.labels,
        "Held": [{"Kind": row.kind, "Key": row.key, "Done": row.done} for row in net.held],
        "Leftovers": [{"Kind": row.kind, "Key": row.key} for row in net.leftovers],
        "Error": f"{net.error['step']}: {net.error['message']}" if net.error is not None else "",
        "Journal": {"Stream": net.stream, "Events": net.version, "Anomalies": net.anomalies},
    }


def _guest(name: str, lease: dict[str, Any]) -> dict[str, Any]:
    return {"Name": name, "MacAddress": lease["mac"], **by_family(lease["addresses"])}


def by_family(addresses: list[str]) -> dict[str, str]:
    """The address of each family; "" where there is none."""
    found = {V4: "", V6: ""}
    for text in addresses:
        found[V6 if ":" in text else V4] = text
    return found


def _open(c: Container) -> list[dict[str, Any]]:
    return [lease for lease in c.endpoints if "leaving" not in lease]


def settings(c: Container) -> dict[str, Any]:
    """`NetworkSettings` of docker's `inspect`: each network that it is on, or is to be on; ports; its first address."""
    known = {lease["network"]: lease for lease in _open(c)}
    networks = {one["name"]: _connection(one, known.get(one["network"])) for one in c.setting("connections")}
    first = next(iter(networks.values()), {})
    ports: dict[str, list[dict[str, str]] | None] = {
        f"{one['port']}/{one['protocol']}": None for one in (*c.setting("exposed"), *c.setting("ports"))
    }
    for row in c.ports:
        place = {"HostIp": row["address"], "HostPort": str(row["host_port"])}
        key = f"{row['port']}/{row['protocol']}"
        ports[key] = [*(ports.get(key) or []), place]
    return {
        "IPAddress": first.get("IPAddress", ""),
        "Gateway": first.get("Gateway", ""),
        "MacAddress": first.get("MacAddress", ""),
        "Ports": ports,
        "Networks": networks,
    }


def _connection(asked: dict[str, Any], lease: dict[str, Any] | None) -> dict[str, Any]:
    addresses = by_family(lease["addresses"] if lease is not None else [])
    gateways = by_family(lease["gateways"] if lease is not None else [])
    address, _, length = addresses[V4].partition("/")
    return {
        "NetworkID": asked["network"],
        "Aliases": asked["aliases"],
        "IPAddress": address,
        "IPPrefixLen": int(length or 0),
        "GlobalIPv6Address": addresses[V6].partition("/")[0],
        "Gateway": gateways[V4],
        "IPv6Gateway": gateways[V6],
        "MacAddress": lease["mac"] if lease is not None else "",
        "DNSNames": lease["names"] if lease is not None else [],
    }


def ports_line(c: Container) -> str:
    """As docker's `ps` has it: 0.0.0.0:80->8080/tcp, and what is only exposed."""
    rows = [
        f"{outside(row['address'], row['host_port'])}->{row['port']}/{row['protocol']}" for row in c.ports
    ]
    return ", ".join(rows)


def names(c: Container) -> list[str]:
    """The networks that it is on, or is to be on; none and host are such words too."""
    model = c.setting("network")
    connected = [one["name"] for one in c.setting("connections")]
    return connected if model == "bridge" else [model]
