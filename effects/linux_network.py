"""Links, firewall and servers, as `effects.host` promises them, on the kernel. LEAN."""

from __future__ import annotations

import _socket
import errno
import os

from effects import identity as identities
from effects import nfnetlink, nft_elements, rtnetlink
from effects.link_removal import Removal
from effects.netns import Within, open_namespace
from effects.portholds import PortHolds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from effects.host import BaseChain, Element, Facts, Link
    from effects.netlink import Message, Netlink

_CONF = "/proc/sys/net/ipv6/conf"
_KINDS = (_socket.SOCK_STREAM, _socket.SOCK_DGRAM)
_GONE = {errno.ENODEV, errno.ENOENT, errno.ESRCH}


class Network:
    """The network half of LinuxHost. Its sockets are opened when first needed, and held."""

    def __init__(self) -> None:
        self._route: Netlink | None = None
        self._netfilter: Netlink | None = None
        self._ports = PortHolds()
        self._removals: list[Removal] = []

    def close_network(self) -> None:
        """Let go of all of it."""
        self.finish_removals()
        for socket in (self._route, self._netfilter):
            if socket is not None:
                socket.close()
        self._route = self._netfilter = None
        self._ports.close()

    def finish_removals(self) -> None:
        """Until this process has one thread again."""
        while self._removals:
            self._removals.pop().finish()

    # --- observations --------------------------------------------------------------------------------

    def link(self, name: str) -> Link | None:
        # First without the kernel's one lock for links, which the end of a network namespace keeps for 10 ms.
        try:
            _socket.if_nametoindex(name)
        except OSError:
            return None
        return rtnetlink.find_link(self._links(), name)

    def links(self) -> list[Link]:
        return rtnetlink.all_links(self._links())

    def addresses(self, index: int) -> list[str]:
        return rtnetlink.addresses(self._links(), index)

    def chains(self, family: str) -> dict[str, list[str]]:
        return nfnetlink.chains(self._tables(), family)

    def base_chains(self, family: str) -> list[BaseChain]:
        return nfnetlink.base_chains(self._tables(), family)

    def rules(self, family: str, table: str) -> dict[str, list[tuple[int, str]]]:
        return nfnetlink.rules(self._tables(), family, table)

    def element_data(self, table: str, element: Element) -> bytes | None:
        return nfnetlink.element_data(self._tables(), table, element)

    def has_elements(self, table: str, elements: list[Element]) -> bool:
        return nfnetlink.has_elements(self._tables(), table, elements)

    def owned_elements(self, table: str, owner: str) -> list[Element]:
        net = self._tables()
        return [
            element
            for family, name in nft_elements.SETS
            for element in nfnetlink.commented(net, table, family, name, owner)
        ]

    def processes_with(self, argument: str) -> list[Facts]:
        pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
        return [found for pid in pids if (found := self.process_with(pid, argument)) is not None]

    def free_port(self) -> int:
        stream, datagrams = (_socket.socket(_socket.AF_INET, kind) for kind in _KINDS)
        try:
            stream.bind(("", 0))
            port: int = stream.getsockname()[1]
            datagrams.bind(("", port))
        finally:
            stream.close()
            datagrams.close()
        return port

    def dying(self, program: str) -> list[Facts]:
        pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
        return [dict(found) for pid in pids if (found := identities.dying(pid, program)) is not None]

    def process_with(self, pid: int, argument: str) -> Facts | None:
        who = identities.identity(pid)
        try:
            with open(f"/proc/{pid}/cmdline", "rb", buffering=0) as file:
                words = file.read().split(b"\0")
        except (FileNotFoundError, ProcessLookupError):
            return None
        # The identity was read before: where it still holds, the words are this process's.
        if who is None or os.fsencode(argument) not in words or not identities.alive(who):
            return None
        return dict(who)

    # --- changes -------------------------------------------------------------------------------------

    def make_bridge(self, name: str, mac: str) -> None:
        self._links().change("bridge", [rtnetlink.bridge(name, mac)], name)

    def make_veth(self, name: str, mac: str, peer: str, identity: Facts) -> None:
        namespace = open_namespace(identities.of(identity), "endpoint")
        try:
            self._links().change("endpoint", [rtnetlink.veth(name, peer, mac, namespace)], name)
        finally:
            os.close(namespace)

    def set_link(self, index: int, *, alias: str, up: bool) -> None:
        self._links().change("link", [rtnetlink.set_link(index, alias=alias, up=up)])

    def join_bridge(self, index: int, master: int, *, alias: str, mac: str, addresses: Sequence[str]) -> None:
        link = rtnetlink.set_link(index, alias=alias, master=master, up=True)
        self._links().change("link", [link, rtnetlink.set_port(index), rtnetlink.is_behind(index, mac)])
        for address in addresses:
            _change_if_there(self._links(), [rtnetlink.has_moved(master, address, mac)])

    def add_address(self, index: int, address: str) -> None:
        self._links().change("address", [rtnetlink.add_address(index, address)], address)

    def delete_link(self, index: int) -> None:
        self._removals = [one for one in self._removals if not one.is_over()]
        removal = Removal(index)
        self._removals.append(removal)
        removal.await_it()

    def furnish(self, identity: Facts, device: str, of: int, plan: Facts) -> None:
        namespace = open_namespace(identities.of(identity), "endpoint")
        try:
            with Within(namespace):
                _furnish(device, of, plan)
        finally:
            os.close(namespace)

    def load_rules(self, text: str) -> None:
        from effects import tools  # a monitor has no use for it

        tools.run("firewall", "nft", ("nft", "-f", "-"), text)

    def change_elements(self, table: str, owner: str, delete: list[Element], add: list[Element]) -> None:
        nfnetlink.change_elements(
            self._tables(), table, delete=delete, add=add, comment=owner, step="firewall"
        )

    def hold_ports(self, owner: str, ports: Sequence[tuple[str, str, int]]) -> None:
        self._ports.hold(owner, ports, self)

    def drop_ports(self, owner: str) -> None:
        self._ports.drop(owner)

    def forget_flows(self, ports: Sequence[tuple[str, int]]) -> None:
        if not ports:
            return
        from effects import conntrack  # few publish one

        own = rtnetlink.all_addresses(self._links())
        found: dict[int, dict[int, set[bytes]]] = {}
        for address, port in ports:
            family, packed = rtnetlink.packed(address)
            there = found.setdefault(family, {}).setdefault(port, set())
            there.update({packed} if any(packed) else own)
        for family, wanted in found.items():
            conntrack.forget(self._tables(), family, wanted)

    # --- within --------------------------------------------------------------------------------------

    def _links(self) -> Netlink:
        if self._route is None:
            self._route = rtnetlink.open_route()
        return self._route

    def _tables(self) -> Netlink:
        if self._netfilter is None:
            self._netfilter = nfnetlink.open_netfilter()
        return self._netfilter


def _furnish(device: str, of: int, plan: dict[str, Any]) -> None:
    """In the container's namespace."""
    net = rtnetlink.open_route()
    try:
        link = rtnetlink.find_link(net, device)
        if link is None or link["peer"] != of:
            raise OSError(errno.ENODEV, "is not there", device)
        index, version6 = link["index"], any(":" in address for address in plan["addresses"])
        # No address that nobody gave it, no route that a neighbour announces, and none that has to be waited for.
        for name, value in (
            ("accept_ra", 0),
            ("autoconf", 0),
            ("accept_dad", 0),
            ("disable_ipv6", not version6),
        ):
            _set_version6(device, name, int(value))
        surplus = [address for address in rtnetlink.addresses(net, index) if address not in plan["addresses"]]
        changes = [rtnetlink.delete_address(index, address) for address in surplus]
        changes += [rtnetlink.add_address(index, address) for address in plan["addresses"]]
        changes.append(rtnetlink.set_link(index, up=True))
        if plan["default"]:
            changes += [rtnetlink.default_route(index, gateway) for gateway in plan["gateways"]]
        net.change("endpoint", changes, device)
        if not plan["default"]:
            for gateway in plan["gateways"]:
                _change_if_there(net, [rtnetlink.no_default_route(index, gateway)])
    finally:
        net.close()


def _set_version6(device: str, name: str, value: int) -> None:
    """As /proc/sys shows it to the namespace that we are in; without IPv6 in the kernel, nothing."""
    try:
        control = os.open(f"{_CONF}/{device}/{name}", os.O_WRONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        os.write(control, str(value).encode())
    finally:
        os.close(control)


def _change_if_there(net: Netlink, messages: list[Message]) -> None:
    try:
        net.change("endpoint", messages)
    except OSError as error:
        if error.errno not in _GONE:
            raise
