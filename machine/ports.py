"""Ports of the host that lead to containers: what people ask for, and who gets which. Pure.

As in docker: [ADDRESS:][HOST:]CONTAINER[/PROTOCOL], ranges on both sides. A port without an address is all of the host's.
"""

from __future__ import annotations

from machine.addresses import number_of, text_of
from machine.errors import InvalidValue
from machine.network_errors import NoFreePort, PortBusy, PortTaken, TooManyPorts, outside
from machine.quantities import is_digits

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from typing import Any, TypeAlias

    Busy: TypeAlias = Collection[tuple[str, str, int]]  # (protocol, address, port) that processes listen on

PROTOCOLS = ("tcp", "udp")
PUBLISHED = "[ADDRESS:][HOST_PORT:]PORT[/PROTOCOL]"
MAX_PORT = 65535
# Docker hands these out: ip_local_port_range, which no server of the host should count on.
FIRST, LAST = 32768, 60999
# All rows of a container stand in the event of its start, a line of at most 64 KiB.
MOST, ROOM, _ROW = 600, 60_000, 70  # ports; bytes for their rows; bytes of one beside its addresses
LOOPBACK6 = "::1"
ANY = {4: "0.0.0.0", 6: "::"}  # noqa: S104 - what a user asks for who names no address


# --- what people type --------------------------------------------------------------------------------


def published(text: str, what: str = "--publish") -> list[dict[str, Any]]:
    """{"address", "host_port", "port", "protocol"} of each port; `host_last`: any up to this one will do."""
    head, inner, protocol = _split(text, what)
    address, host = _outer(head, text, what)
    first, last = _range(inner, text, what)
    if not host:
        return [_asked(address, 0, port, protocol) for port in range(first, last + 1)]
    low, high = _range(host, text, what)
    if high - low == last - first:
        return [_asked(address, low + n, first + n, protocol) for n in range(last - first + 1)]
    if first != last:
        raise InvalidValue(what, text, "the ranges differ in length")
    return [{**_asked(address, low, first, protocol), "host_last": high}]


def exposed(text: str, what: str = "--expose") -> list[dict[str, Any]]:
    """{"port", "protocol"} of PORT[-PORT][/PROTOCOL]."""
    head, inner, protocol = _split(text, what)
    if head:
        raise InvalidValue(what, text, "expected PORT[/PROTOCOL]")
    first, last = _range(inner, text, what, "PORT[/PROTOCOL]")
    return [{"port": port, "protocol": protocol} for port in range(first, last + 1)]


def _split(text: str, what: str) -> tuple[str, str, str]:
    """What comes before the container's port, that port, and the protocol."""
    ports, slash, protocol = text.partition("/")
    if slash and protocol.lower() not in PROTOCOLS:
        raise InvalidValue(what, text, f"the protocol is one of {', '.join(PROTOCOLS)}")
    head, _, inner = ports.rpartition(":")
    return head, inner, protocol.lower() or "tcp"


def _outer(head: str, text: str, what: str) -> tuple[str, str]:
    """The host's address, "" for all, and its port or ports, "" for any."""
    address, _, host = head.rpartition(":")
    if not address:
        return "", host
    bare = address[1:-1] if address[:1] == "[" and address[-1:] == "]" else address
    found = number_of(bare)
    if found is None or (":" in bare and bare == address):
        raise InvalidValue(what, text, f"expected {PUBLISHED}; IPv6 addresses in [ ]")
    if text_of(*found) == LOOPBACK6:
        raise InvalidValue(
            what, text, "the kernel lets nothing from elsewhere answer as ::1 [127.0.0.1 can be]"
        )
    return text_of(*found), host


def _range(text: str, whole: str, what: str, form: str = PUBLISHED) -> tuple[int, int]:
    low, dash, high = text.partition("-")
    numbers = [low, high] if dash else [low, low]
    if not all(is_digits(number) and len(number) <= len("65535") for number in numbers):
        raise InvalidValue(what, whole, f"expected {form}")
    first, last = map(int, numbers)
    if not 1 <= first <= MAX_PORT or not 1 <= last <= MAX_PORT:
        raise InvalidValue(what, whole, f"a port is a number from 1 to {MAX_PORT}")
    if last < first:
        raise InvalidValue(what, whole, "the range ends before it begins")
    return first, last


def _asked(address: str, host_port: int, port: int, protocol: str) -> dict[str, Any]:
    return {"address": address, "host_port": host_port, "port": port, "protocol": protocol}


def check_count(many: Collection[dict[str, Any]], what: str) -> None:
    """Refuse more than an event holds. InvalidValue."""
    if len(many) > MOST:
        raise InvalidValue(
            what, f"{len(many)} ports", f"a container can publish {MOST} at most [or use --network host]"
        )


def check_asked(asked: Iterable[dict[str, Any]], what: str = "--publish") -> None:
    """Refuse two that want one port of the host. InvalidValue."""
    seen = Taken(())
    for one in asked:
        if one["host_port"] and "host_last" not in one:
            for address in _addresses(one["address"]):
                if seen.owner(one["protocol"], address, one["host_port"]) is not None:
                    text = f"{outside(address, one['host_port'])}/{one['protocol']}"
                    raise InvalidValue(what, text, "asked for twice")
                seen.add(one["protocol"], address, one["host_port"], "itself")


def _addresses(address: str) -> list[str]:
    return [address] if address else list(ANY.values())


# --- who gets which ----------------------------------------------------------------------------------


class Taken:
    """Ports of the host that are somebody's. `busy`: those that processes of the host listen on."""

    def __init__(self, busy: Busy) -> None:
        self._owners: dict[tuple[str, int], list[tuple[str, str]]] = {}
        self._busy: dict[tuple[str, int], list[str]] = {}
        for protocol, address, port in busy:
            self._busy.setdefault((protocol, port), []).append(address)

    def add(self, protocol: str, address: str, port: int, owner: str) -> None:
        """From now on it is the owner's."""
        self._owners.setdefault((protocol, port), []).append((address, owner))

    def owner(self, protocol: str, address: str, port: int) -> str | None:
        """The container that has it; None where none has."""
        for other, owner in self._owners.get((protocol, port), ()):
            if _meet(address, other):
                return owner
        return None

    def is_busy(self, protocol: str, address: str, port: int) -> bool:
        """Whether a process of the host has it; one that listens on :: has IPv4's too, as most do (ipv6(7))."""
        return any(other == ANY[6] or _meet(address, other) for other in self._busy.get((protocol, port), ()))

    def is_free(self, protocol: str, addresses: list[str], port: int) -> bool:
        """Whether it is nobody's on all of these addresses."""
        return not any(
            self.owner(protocol, address, port) is not None or self.is_busy(protocol, address, port)
            for address in addresses
        )


def _meet(one: str, other: str) -> bool:
    if (":" in one) != (":" in other):
        return False
    return one == other or ANY[4] in (one, other) or ANY[6] in (one, other)


def leases(
    asked: Iterable[dict[str, Any]], inside: dict[int, str], taken: Taken, last: Iterable[dict[str, Any]]
) -> list[dict[str, Any]]:
    """A row for each address of the host that leads in: {"address", "host_port", "port", "protocol", "to"}.

    `inside`: the container's address by family. `last`: what it had, to be had again where nothing was said.
    Raises PortTaken, PortBusy, NoFreePort, TooManyPorts.
    """
    before = {(one["address"], one["port"], one["protocol"]): one["host_port"] for one in last}
    found: list[dict[str, Any]] = []
    # Those that want a certain port go first: it must not be given away to one that wants any.
    for one in sorted(asked, key=lambda one: (not one["host_port"], "host_last" in one)):
        wanted = [one["address"]] if one["address"] else [ANY[family] for family in inside]
        number = _choose(one, wanted, taken, before.get((wanted[0], one["port"], one["protocol"]), 0))
        for address in wanted:
            taken.add(one["protocol"], address, number, "itself")
            to = inside[6 if ":" in address else 4]
            found.append({**_asked(address, number, one["port"], one["protocol"]), "to": to})
    if sum(_ROW + len(row["address"]) + len(row["to"]) for row in found) > ROOM:
        raise TooManyPorts(len(found))
    return found


def _choose(one: dict[str, Any], addresses: list[str], taken: Taken, before: int) -> int:
    protocol, first = one["protocol"], one["host_port"]
    if first and "host_last" not in one:
        _refuse_taken(protocol, addresses, first, taken)
        return int(first)
    low, high = (first, one["host_last"]) if first else (FIRST, LAST)
    for number in (before, *range(low, high + 1)):
        if low <= number <= high and taken.is_free(protocol, addresses, number):
            return int(number)
    raise NoFreePort(low, high, protocol)


def _refuse_taken(protocol: str, addresses: list[str], port: int, taken: Taken) -> None:
    for address in addresses:
        owner = taken.owner(protocol, address, port)
        if owner is not None:
            raise PortTaken(f"{outside(address, port)}/{protocol}", owner)
        if taken.is_busy(protocol, address, port):
            raise PortBusy(protocol, address, port)
