"""What the host's own network looks like: its links, the subnets it is connected to, the ports its processes have.

Read from /proc/net, which is of our own network namespace whoever mounted it (proc(5)); /sys/class/net is not.
"""

from __future__ import annotations

import _socket
import os

from effects import resolv
from effects.rtnetlink import GROUP

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Protocol

    from effects.host import Host, Link

    class Links(Protocol):
        """What of a host is asked here."""

        def links(self) -> list[Link]: ...
        def addresses(self, index: int) -> list[str]: ...


Port = tuple[str, str, int]  # protocol, address, number

_LISTEN = "0A"  # TCP_LISTEN of include/net/tcp_states.h
_TABLES = (("tcp", "tcp"), ("tcp", "tcp6"), ("udp", "udp"), ("udp", "udp6"))
_V4_BYTES, _WORD = 4, 8
_RTF_UP = 0x1
_INTERFACE, _DESTINATION, _GATEWAY, _FLAGS, _MASK = 0, 1, 2, 3, 7  # columns of /proc/net/route
_V6_NEXT, _V6_FLAGS, _V6_DEVICE = 4, 8, 9  # columns of /proc/net/ipv6_route
_ADDRESS_DEVICE = 5  # column of /proc/net/if_inet6
_LINK_LOCAL = "fe80"
_RESOLV = "/etc/resolv.conf"


def links() -> set[str]:
    """The names of all links."""
    return {name for _, name in _socket.if_nameindex()}


def routes(host: Host, mark: str) -> list[str]:
    """Subnets that the host reaches without a gateway, in CIDR; less those of links whose alias begins with `mark`."""
    ours = {link["name"] for link in host.links() if link["alias"].startswith(mark)}
    found = (*_routes4(), *_routes6())
    return [subnet for device, subnet, is_direct in found if is_direct and device not in ours]


def elsewhere(host: Host) -> list[str]:
    """Subnets that the host reaches by a gateway, but for all the world, and its name servers of IPv4; in CIDR."""
    found = [subnet for _, subnet, is_direct in (*_routes4(), *_routes6()) if not is_direct]
    text = host.read_file(_RESOLV).decode(errors="replace") if host.exists(_RESOLV) else ""
    return found + [f"{server}/32" for server in resolv.values_of(text, "nameserver") if ":" not in server]


def _routes4() -> Iterator[tuple[str, str, bool]]:
    for row in _rows("route"):
        bits = f"{int(row[_MASK], 16):032b}".count("1")
        if int(row[_FLAGS], 16) & _RTF_UP and bits:
            yield row[_INTERFACE], f"{_address(row[_DESTINATION])}/{bits}", not int(row[_GATEWAY], 16)


def _routes6() -> Iterator[tuple[str, str, bool]]:
    for row in _rows("ipv6_route", head=False):
        destination, bits = row[0], int(row[1], 16)
        local = row[_V6_DEVICE] == "lo" or destination.startswith((_LINK_LOCAL, "ff"))
        if bits and not local and int(row[_V6_FLAGS], 16) & _RTF_UP:
            yield row[_V6_DEVICE], f"{_address6(destination)}/{bits}", not int(row[_V6_NEXT], 16)


def busy() -> dict[Port, int]:
    """Ports that processes of the host listen on, or of UDP are bound to, and the inode of each socket."""
    found = {}
    for protocol, table in _TABLES:
        for row in _rows(table):
            if protocol == "udp" or row[3] == _LISTEN:
                address, _, port = row[1].partition(":")
                found[protocol, _address(address), int(port, 16)] = int(row[9])
    return found


def in_the_way(host: Links) -> dict[Port, int]:
    """`busy`, less the name servers of all networks on their gateways: those are let be by what is published on all addresses."""
    gateways = _gateways(host)
    return {
        port: inode for port, inode in busy().items() if port[2] != resolv.PORT or port[1] not in gateways
    }


def _gateways(host: Links) -> set[str]:
    """Every address of every bridge of ours, of whatever root."""
    bridges = [link for link in host.links() if link["group"] == GROUP and link["kind"] == "bridge"]
    names = {link["name"] for link in bridges}
    given = {text.partition("/")[0] for link in bridges for text in host.addresses(link["index"])}
    return given | {
        _address6(row[0]) for row in _rows("if_inet6", head=False) if row[_ADDRESS_DEVICE] in names
    }


def process_with(inode: int) -> tuple[int, str] | None:
    """(pid, name) of a process that has the socket of this inode; None where it cannot be told."""
    wanted = f"socket:[{inode}]"
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if any(os.readlink(f"/proc/{pid}/fd/{fd}") == wanted for fd in os.listdir(f"/proc/{pid}/fd")):
                with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
                    return int(pid), file.read().strip()
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue  # it, or its descriptor, has just gone; or it is more privileged than we are
    return None


def _rows(name: str, *, head: bool = True) -> list[list[str]]:
    """The lines of a table, in words; none where the kernel has no such protocol."""
    try:
        with open(f"/proc/self/net/{name}", encoding="ascii") as file:
            lines = file.read().splitlines()
    except FileNotFoundError:
        return []
    return [line.split() for line in lines[int(head) :]]


def _address6(text: str) -> str:
    return _socket.inet_ntop(_socket.AF_INET6, bytes.fromhex(text))


def _address(text: str) -> str:
    """Words of 32 bits in the machine's own order of bytes."""
    packed = b"".join(bytes.fromhex(text[at : at + _WORD])[::-1] for at in range(0, len(text), _WORD))
    family = _socket.AF_INET if len(packed) == _V4_BYTES else _socket.AF_INET6
    return _socket.inet_ntop(family, packed)
