"""plan, for networks: the specifications of bridges, endpoints, rules, DNS servers; and what a container sees of them.

Pure. Every one has `mark`, by which links are known as ours, or `table`, the root's own table of nftables.
"""

from __future__ import annotations

from machine.subjects import Container, Network

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from machine.places import Places
    from machine.subjects import Host

HOST_GATEWAY = "host-gateway"
LOOPBACK = "127.0.0.1"
NAMESERVERS = 3  # MAXNS of resolv.conf(5)


def mark(places: Places, what: str) -> str:
    """The alias of a link of ours."""
    return f"mydocker {places.root_id} {what}"


def table(places: Places) -> str:
    """The nftables table of this root."""
    return f"mydocker-{places.root_id}"


def names_directory(places: Places, network_id: str) -> str:
    """Where the DNS server of a network reads who has which name: a file for each live container."""
    return f"{places.run}/{places.root_id}/dns/{network_id}"


def open_endpoints(c: Container) -> list[dict[str, Any]]:
    """The leases that the container has and keeps."""
    return [one for one in c.endpoints if "leaving" not in one]


# --- of networks -------------------------------------------------------------------------------------


def of_lease(one: dict[str, Any]) -> Network:
    """The network that a lease is of, for who knows no more of it: a subnet is told by an address in it."""
    net = Network(one["network"])
    net.status, net.device, net.internal = "active", one["bridge"], one["internal"]
    pairs = zip(one["addresses"], one["gateways"], strict=True)
    net.subnets = [{"subnet": address, "gateway": gateway} for address, gateway in pairs]
    return net


def _bridge(net: Network, places: Places, _key: str) -> dict[str, Any]:
    return {
        "device": net.device,
        "gateways": [f"{one['gateway']}/{one['subnet'].rpartition('/')[2]}" for one in net.subnets],
        "internal": net.internal,
        "mark": mark(places, f"network {net.id}"),
        "table": table(places),
    }


def _dns(net: Network, places: Places, key: str) -> dict[str, Any]:
    directory = names_directory(places, net.id)
    before = [row.spec["directory"] for row in net.leftovers if (row.kind, row.key) == ("dns", key)]
    return {
        "network": net.id,
        "device": net.device,
        "gateways": [one["gateway"] for one in net.subnets],
        "directory": directory,
        "left": [one for one in before if one != directory],
        "internal": net.internal,
        "cgroup": places.cgroup,
        "mark": mark(places, f"network {net.id}"),
        "table": table(places),
    }


def _firewall(host: Host, places: Places, _key: str) -> dict[str, Any]:
    settings = [
        name for row in host.held if row.kind == "forwarding" for name in row.facts.get("turned_on", ())
    ]
    return {"turned_on": settings, "table": table(places), "mark": mark(places, "firewall")}


def _forwarding(_host: Host, places: Places, key: str) -> dict[str, Any]:
    return {"family": key, "table": table(places), "mark": mark(places, "forwarding")}


# --- of containers -----------------------------------------------------------------------------------


def _endpoint(c: Container, places: Places, key: str) -> dict[str, Any]:
    lease = next(one for one in c.endpoints if one["network"] == key)
    way_out = next((one["network"] for one in open_endpoints(c) if not one["internal"]), "")
    return {
        **lease,
        "default": key == way_out,  # whether its gateway is the way to everywhere else
        "container": c.id,
        **(c.process_identity or {"pid": 0, "start": 0, "boot": ""}),
        "names_file": f"{names_directory(places, key)}/{c.id}",
        "mark": mark(places, f"container {c.id}"),
        "table": table(places),
    }


def _resolver(c: Container, places: Places, _key: str) -> dict[str, Any]:
    leases = open_endpoints(c)
    return {
        "container": c.id,
        "directory": names_directory(places, "").rstrip("/"),
        "networks": [one["network"] for one in leases],
        "devices": [one["bridge"] for one in leases],
        "clients": [
            {"address": one["addresses"][0].partition("/")[0], "gateway": one["gateways"][0]}
            for one in leases
        ],
        "outward": not all(one["internal"] for one in leases),
        "cgroup": places.cgroup,
        "table": table(places),
        "mark": mark(places, f"resolver {c.id}"),
    }


def _rules(subject: Network | Container, places: Places, _key: str) -> dict[str, Any]:
    """Elements of sets and maps: those of a network, or those of a container; each held by one subject alone."""
    if isinstance(subject, Network):
        subnets = [one["subnet"] for one in subject.subnets]
        networks = [{"device": subject.device, "subnets": subnets, "internal": subject.internal}]
        owner = mark(places, f"network {subject.id}")
        return {"networks": networks, "hosts": [], "ports": [], "table": table(places), "mark": owner}
    hosts_of = [
        {
            "device": one["host_device"],
            "mac": one["mac"],
            "addresses": [text.partition("/")[0] for text in one["addresses"]],
        }
        for one in open_endpoints(subject)
    ]
    return {
        "networks": [],
        "hosts": hosts_of,
        "ports": subject.ports,
        "table": table(places),
        "mark": mark(places, f"container {subject.id}"),
    }


MAKERS: dict[str, Callable[[Any, Places, str], dict[str, Any]]] = {
    "bridge": _bridge,
    "dns": _dns,
    "firewall": _firewall,
    "forwarding": _forwarding,
    "endpoint": _endpoint,
    "rules": _rules,
    "resolver": _resolver,
}


# --- what a container sees ---------------------------------------------------------------------------


def of_init(c: Container, places: Places, alone: str) -> dict[str, Any]:
    """`alone`: /etc/hosts of one that has no address.

    `network`: none, host, container or bridge; `netns`: whose, for container; `hosts`: the text of /etc/hosts, for
    host what follows the host's own;
    `resolv`: of /etc/resolv.conf, None for a copy of the host's. Without `nameservers` those are the host's.
    """
    kind, _, target = c.setting("network").partition(":")
    if kind == "container":
        etc = f"{places.container(target)}/etc"
        files = {f"/etc/{name}": f"{etc}/{name}" for name in ("hosts", "hostname", "resolv.conf")}
        return {"network": kind, "netns": c.netns, "hosts": "", "resolv": None, "files": files}
    return {"network": kind, "netns": {}, "hosts": _hosts(c, alone), "resolv": _resolv(c)}


def _hosts(c: Container, text: str) -> str:
    leases = open_endpoints(c)
    if leases:  # its name is its address then, as peers see it
        text = text.rpartition("127.0.1.1")[0]
        own = (address.partition("/")[0] for one in leases for address in one["addresses"])
        text += "".join(f"{address}\t{c.hostname}\n" for address in own)
    for entry in c.setting("hosts"):
        name, _, address = entry.partition(":")
        text += f"{_gateway(c) if address == HOST_GATEWAY else address}\t{name}\n"
    return text


def _gateway(c: Container) -> str:
    """Where the host is to be found from inside."""
    leases = open_endpoints(c)
    if c.setting("network") != "bridge" or not leases:
        return LOOPBACK
    first = next((one for one in leases if not one["internal"]), leases[0])
    return str(first["gateways"][0])


def _resolv(c: Container) -> dict[str, Any] | None:
    servers = c.setting("dns")
    if not servers:
        servers = [one["gateways"][0] for one in open_endpoints(c) if one["gateways"]][:NAMESERVERS]
    search, options = c.setting("dns_search"), c.setting("dns_options")
    if not (servers or search or options):
        return None
    return {"nameservers": servers, "search": search, "options": options}
