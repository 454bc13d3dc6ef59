"""A network's bridge, and a container's end of it. LEAN."""

from __future__ import annotations

import errno

from effects.failure import StepFailed
from effects.rtnetlink import GROUP, packed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from effects.host import Facts, Host, Link, Spec

_CONF4, _CONF6 = "/proc/sys/net/ipv4/conf", "/proc/sys/net/ipv6/conf"
_TRIES = 3


class Bridge:
    """The bridge of a network, with the gateways' addresses; nothing else of that name is ever touched.

    spec    device: its name   gateways: ["192.168.10.1/24", "fd00::1/64"]
            mark: the link's alias, "mydocker <root id> network <id>"
    facts   index: of the link
    """

    def probe(self, spec: Spec, host: Host) -> Facts | None:
        link = host.link(spec["device"])
        if link is None or link["alias"] != spec["mark"] or not link["up"]:
            return None
        there = host.addresses(link["index"])
        return {"index": link["index"]} if all(address in there for address in spec["gateways"]) else None

    def do(self, spec: Spec, host: Host) -> Facts:
        device = spec["device"]
        link = host.link(device)
        if link is None:
            # With an address of its own it keeps it whatever joins, and neighbours' tables stay true.
            host.make_bridge(device, _mac_of(spec["gateways"]))
            link = host.link(device)
        if link is None or not _is_ours(link, spec["mark"]):
            message = "a network device that is not ours has this name [choose another]"
            raise StepFailed("bridge", errno.EEXIST, message, device)
        version6 = any(":" in gateway for gateway in spec["gateways"])
        # Published on 127.0.0.1: what comes from there goes out by this bridge, and its answers come in.
        _set(host, f"{_CONF4}/{device}/route_localnet", 1)
        _set(host, f"{_CONF6}/{device}/accept_ra", 0)
        _set(host, f"{_CONF6}/{device}/accept_dad", 0)
        _set(host, f"{_CONF6}/{device}/disable_ipv6", int(not version6))
        for gateway in spec["gateways"]:
            host.add_address(link["index"], gateway)
        host.set_link(link["index"], alias=spec["mark"], up=True)
        return {"index": link["index"]}

    def undo(self, spec: Spec, _facts: Facts, host: Host) -> None:
        _remove(host, spec["device"], spec["mark"])


class Endpoint:
    """A container on one network: a pair of devices, its end furnished, and its names known there.

    spec    device: in the container, "eth0"   host_device: here   bridge: the network's   mac
            addresses: ["192.168.10.2/24"]   gateways   default: whether its default routes lead there
            mark: the host end's alias, "mydocker <root id> container <id>"   pid, start, boot of the init
            names, names_file: where the network's DNS server reads them
    facts   index: of the host end

    `do` of what is there in part repairs it in place, so that a bridge which was deleted and made anew costs
    the container no connection.
    """

    def probe(self, spec: Spec, host: Host) -> Facts | None:
        link = host.link(spec["host_device"])
        if link is None or link["alias"] != spec["mark"] or not link["up"]:
            return None
        bridge = host.link(spec["bridge"])
        if bridge is None or link["master"] != bridge["index"]:
            return None
        return {"index": link["index"]} if host.exists(spec["names_file"]) else None

    def do(self, spec: Spec, host: Host) -> Facts:
        bridge = host.link(spec["bridge"])
        if bridge is None or bridge["kind"] != "bridge":
            message = "the network's bridge is gone [mydocker replay]"
            raise StepFailed("endpoint", errno.ENODEV, message, spec["bridge"])
        link = self._furnished(spec, host)
        at = {"mac": spec["mac"], "addresses": spec["addresses"]}
        host.join_bridge(link["index"], bridge["index"], alias=spec["mark"], **at)
        _tell_names(spec, host)
        return {"index": link["index"]}

    def change(self, spec: Spec, host: Host) -> Facts:
        """New names, or another default route, in place."""
        return self.do(spec, host)

    def undo(self, spec: Spec, _facts: Facts, host: Host) -> None:
        for path in (spec["names_file"], _unfinished(spec)):
            host.remove_file(path)
        _remove(host, spec["host_device"], spec["mark"])

    def _furnished(self, spec: Spec, host: Host) -> Link:
        """The host's end, its other end furnished in the container."""
        for attempt in range(_TRIES):
            link = self._made(spec, host)
            try:
                host.furnish(spec, spec["device"], link["index"], spec)
            except OSError as error:
                # An end is there, but its other one is not in this container: left by a crash.
                if error.errno != errno.ENODEV or attempt == _TRIES - 1:
                    raise
                host.delete_link(link["index"])
            else:
                return link
        raise AssertionError

    def _made(self, spec: Spec, host: Host) -> Link:
        name = spec["host_device"]
        link = host.link(name)
        if link is None:
            host.make_veth(name, spec["mac"], spec["device"], spec)
            # Only the container's end talks; a port that is down keeps what is written now.
            _set(host, f"{_CONF6}/{name}/disable_ipv6", 1)
            link = host.link(name)
        if link is None or not _is_ours(link, spec["mark"]):
            message = "a network device that is not ours has this name"
            raise StepFailed("endpoint", errno.EEXIST, message, name)
        return link


def ours(host: Host, mark: str) -> list[Link]:
    """All links whose alias begins with `mark`, such as "mydocker <root id> "."""
    return [link for link in host.links() if link["alias"].startswith(mark)]


def remove(host: Host, link: Link) -> None:
    """Remove one of `ours`, if it still is what it was."""
    _remove(host, link["name"], link["alias"])


def _is_ours(link: Link, mark: str) -> bool:
    """By its alias; or born a moment before a crash, when it had but its group."""
    return link["alias"] == mark or (link["group"] == GROUP and not link["alias"])


def _remove(host: Host, name: str, mark: str) -> None:
    link = host.link(name)
    if link is not None and _is_ours(link, mark):
        host.delete_link(link["index"])


def _tell_names(spec: Spec, host: Host) -> None:
    """hosts(5), which the server reads as soon as it is there; not before it has its name, whole."""
    directory = spec["names_file"].rpartition("/")[0]
    lines = [f"{address.partition('/')[0]} {' '.join(spec['names'])}\n" for address in spec["addresses"]]
    if not host.exists(directory):
        message = "the network's names are gone [mydocker replay]"
        raise StepFailed("names", errno.ENOENT, message, directory)
    host.write_file(_unfinished(spec), "".join(lines).encode(), 0o644, sync=False)
    host.rename(_unfinished(spec), spec["names_file"])


def _unfinished(spec: Spec) -> str:
    """With a dot before its name the server does not look at it."""
    directory, _, name = spec["names_file"].rpartition("/")
    return f"{directory}/.{name}"


def _mac_of(gateways: list[str]) -> str:
    """One of ours (02:42 and the last four bytes of the first gateway): the same whenever it is made."""
    _family, address = packed(gateways[0].partition("/")[0])
    return (b"\x02\x42" + address[-4:]).hex(":")


def _set(host: Host, path: str, value: int) -> None:
    """A setting of a device; a kernel without IPv6 has none of those."""
    if host.exists(path):
        host.write_control(path, str(value))
