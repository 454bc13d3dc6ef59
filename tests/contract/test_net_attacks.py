"""What a container sends that is not its own never reaches its neighbours on the bridge."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Iterator
from ipaddress import IPv6Address
from pathlib import Path

import pytest

from tests.frames import ARP, EVERYBODY, IP, IP6, Wire, checksum, mac
from tests.netkit import Guest, Kit, kit

pytestmark = pytest.mark.root
ALL_FRAMES = 0x0003  # ETH_P_ALL
VLAN = 0x8100
STRANGER = "02:42:0a:65:00:99"
GATEWAY, GATEWAY6 = "10.101.0.1", "fd65::1"
OWN, OWN6, OWN_LOCAL, VICTIM, VICTIM6 = (
    "10.101.0.3",
    "fd65::3",
    "fe80::42:aff:fe65:3",
    "10.101.0.2",
    "fd65::2",
)
NODES6 = "ff02::1"
ECHO, SOLICITATION, ADVERTISEMENT, ROUTER, REDIRECT = 128, 135, 136, 134, 137


class Scene:
    """A victim and an attacker on one network."""

    def __init__(self, made: Kit) -> None:
        self.kit = made
        net = made.network(101)
        self.victim, self.attacker = made.guest("victim", net, 2), made.guest("attacker", net, 3)
        self.wire = Wire(self.attacker.machine)

    def arrives(self, send: Callable[[Wire], None]) -> bool:
        """Whether a frame of the attacker's gets to the victim; one that certainly does comes right after it."""
        with self.victim.door(socket.AF_PACKET, socket.SOCK_RAW) as door:
            door.bind(("eth0", ALL_FRAMES))
            door.settimeout(5)
            send(self.wire)
            self.wire.udp(OWN, VICTIM, 5999, to=EVERYBODY)
            frames: list[bytes] = []
            while not frames or b"forged" not in frames[-1] or struct.pack("!H", 5999) not in frames[-1]:
                frames.append(door.recv(2048))
        return len([frame for frame in frames[:-1] if b"forged" in frame]) > 0


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with kit(tmp_path) as made:
        yield Scene(made)


def arp(address: str, owner: str, *, source: str = "", kind: int = 2) -> Callable[[Wire], None]:
    """That `address` is at `owner`."""

    def send(wire: Wire) -> None:
        head = struct.pack("!HHBBH", 1, 0x0800, 6, 4, kind)
        body = mac(owner) + socket.inet_aton(address) + bytes(6) + socket.inet_aton(VICTIM)
        wire.send(ARP, head + body + b"forged", source=source)

    return send


def udp(
    source: str, *, from_mac: str = "", from_port: int = 4000, vlan: bool = False
) -> Callable[[Wire], None]:
    def send(wire: Wire) -> None:
        given = wire.send

        def altered(kind: int, data: bytes, *, to: bytes = EVERYBODY, source: str = "") -> None:
            if vlan:
                kind, data = VLAN, struct.pack("!HH", 7, kind) + data
            given(kind, data, to=to, source=from_mac or source)

        wire.send = altered  # type: ignore[method-assign]  # what it sends next is altered
        wire.udp(source, VICTIM, 5000, to=EVERYBODY, from_port=from_port)
        wire.send = given  # type: ignore[method-assign]

    return send


def icmp6(source: str, kind: int, target: str = "", *, option: str = "") -> Callable[[Wire], None]:
    """A message of neighbour discovery about `target`, or an echo request; RFC 4861."""

    def send(wire: Wire) -> None:
        message = struct.pack("!BBHI", kind, 0, 0, 0x60000000 if kind == ADVERTISEMENT else 0)
        if target:
            message += IPv6Address(target).packed
        if option:
            message += bytes((2 if kind == ADVERTISEMENT else 1, 1)) + mac(option)
        wire.icmp6(source, NODES6, message + b"forged", to=bytes.fromhex("333300000001"))

    return send


def udp6(source: str, from_port: int) -> Callable[[Wire], None]:
    def send(wire: Wire) -> None:
        body = struct.pack("!HHHH", from_port, 546, 14, 0) + b"forged"
        head = struct.pack("!IHBB", 6 << 28, len(body), 17, 255)
        ends = IPv6Address(source).packed + IPv6Address(NODES6).packed
        wire.send(IP6, head + ends + body, to=bytes.fromhex("333300000001"))

    return send


def tcp(source: str, *, from_mac: str = "", vlan: bool = False) -> Callable[[Wire], None]:
    """The first segment of a connection to the victim, with data (RFC 9293, 3.1)."""

    def send(wire: Wire) -> None:
        segment = struct.pack("!HHIIBBHHH", 4000, 5000, 1, 0, 0x50, 0x02, 1024, 0, 0) + b"forged"
        if ":" in source:
            kind, ends = IP6, IPv6Address(source).packed + IPv6Address(VICTIM6).packed
            head = struct.pack("!IHBB", 6 << 28, len(segment), socket.IPPROTO_TCP, 64) + ends
        else:
            kind, ends = IP, socket.inet_aton(source) + socket.inet_aton(VICTIM)
            head = (
                struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(segment), 1, 0, 64, socket.IPPROTO_TCP, 0) + ends
            )
            head = head[:10] + checksum(head) + head[12:]
        sum_of = ends + struct.pack("!II", len(segment), socket.IPPROTO_TCP) + segment
        data = head + segment[:16] + checksum(sum_of) + segment[18:]
        if vlan:
            kind, data = VLAN, struct.pack("!HH", 7, kind) + data
        wire.send(kind, data, source=from_mac)

    return send


OWN_MAC = "02:42:0a:65:00:03"
HONEST = {
    "udp": udp(OWN),
    "tcp": tcp(OWN),
    "tcp6": tcp(OWN6),
    "tcp6 link-local": tcp(OWN_LOCAL),
    "arp": arp(OWN, OWN_MAC),
    "arp probe": arp("0.0.0.0", OWN_MAC, kind=1),
    "ping6": icmp6(OWN6, ECHO),
    "solicitation": icmp6(OWN6, SOLICITATION, VICTIM6, option=OWN_MAC),
    "duplicate address detection": icmp6("::", SOLICITATION, OWN_LOCAL),
    "advertisement": icmp6(OWN6, ADVERTISEMENT, OWN6, option=OWN_MAC),
    "link-local": icmp6(OWN_LOCAL, ADVERTISEMENT, OWN_LOCAL, option=OWN_MAC),
    "udp6": udp6(OWN6, 4000),
}
FORGED = {
    "another mac": udp(OWN, from_mac=STRANGER),
    "the gateway's mac": udp(OWN, from_mac="02:42:0a:65:00:01"),
    "another address": udp("10.101.0.77"),
    "tcp from another mac": tcp(OWN, from_mac=STRANGER),
    "tcp from the victim's mac": tcp(OWN, from_mac="02:42:0a:65:00:02"),
    "tcp as the gateway": tcp(GATEWAY),
    "tcp as the victim": tcp(VICTIM, from_mac="02:42:0a:65:00:02"),
    "tcp in a vlan": tcp(OWN, vlan=True),
    "tcp as the gateway in a vlan": tcp(GATEWAY, vlan=True),
    "tcp6 from another mac": tcp(OWN6, from_mac=STRANGER),
    "tcp6 as the gateway": tcp(GATEWAY6),
    "tcp6 in a vlan": tcp(OWN6, vlan=True),
    "the gateway's address": udp(GATEWAY),
    "an address from anywhere": udp("198.51.100.9"),
    "an address in a vlan": udp(GATEWAY, vlan=True),
    "its own address in a vlan": udp(OWN, vlan=True),
    "a dhcp offer": udp(OWN, from_port=67),
    "arp for the gateway": arp(GATEWAY, OWN_MAC),
    "arp for the victim itself": arp(VICTIM, OWN_MAC),
    "arp that asks as the gateway": arp(GATEWAY, OWN_MAC, kind=1),
    "arp with another's mac inside": arp(OWN, STRANGER),
    "arp from another's mac": arp(OWN, OWN_MAC, source=STRANGER),
    "ipv6 of the gateway": icmp6(GATEWAY6, ECHO),
    "ipv6 link-local of another": icmp6("fe80::1", ECHO),
    "advertisement for the gateway": icmp6(OWN6, ADVERTISEMENT, GATEWAY6, option=OWN_MAC),
    "advertisement as the gateway": icmp6(GATEWAY6, ADVERTISEMENT, GATEWAY6, option=OWN_MAC),
    "solicitation as the gateway": icmp6(GATEWAY6, SOLICITATION, VICTIM6, option=OWN_MAC),
    "router advertisement": icmp6(OWN_LOCAL, ROUTER),
    "redirect": icmp6(OWN_LOCAL, REDIRECT, GATEWAY6),
    "unspecified source": icmp6("::", ECHO),
    "a dhcpv6 answer": udp6(OWN_LOCAL, 547),
    "a frame of no protocol we know": lambda wire: wire.send(0x88B5, b"forged"),
}


def test_what_is_its_own_arrives_and_what_is_forged_does_not(scene: Scene) -> None:
    assert {name for name, send in HONEST.items() if not scene.arrives(send)} == set()
    assert {name for name, send in FORGED.items() if scene.arrives(send)} == set()
    # Without its rules all of that arrives: it is they that keep it.
    scene.kit.undo("rules", scene.attacker.rules)
    assert {name for name, send in FORGED.items() if not scene.arrives(send)} == set()


def test_the_group_of_a_device_hastens_and_decides_nothing(scene: Scene) -> None:
    host = scene.kit.lab.host
    for device in (scene.victim.network.device, scene.attacker.host_device, scene.victim.host_device):
        host.run("ip", "link", "set", device, "group", "default")
    assert {name for name, send in HONEST.items() if not scene.arrives(send)} == set()
    assert {name for name, send in FORGED.items() if scene.arrives(send)} == set()


def test_a_neighbours_table_is_not_poisoned(scene: Scene) -> None:
    victim, wire = scene.victim, scene.wire
    assert victim.machine.pings(GATEWAY)
    before = _neighbour(victim)
    for send in (arp(GATEWAY, OWN_MAC), arp(GATEWAY, OWN_MAC, kind=1)):
        send(wire)
    assert scene.arrives(HONEST["udp"])
    assert _neighbour(victim) == before


def test_nobody_takes_another_address_by_setting_it(scene: Scene) -> None:
    scene.attacker.machine.links("addr add 10.101.0.77/24 dev eth0\n")
    assert scene.victim.machine.ask(OWN, 80) == f"attacker {VICTIM}"
    assert not scene.victim.machine.reaches("10.101.0.77", 80)


def _neighbour(guest: Guest) -> str:
    return guest.machine.run("ip", "neigh", "show", GATEWAY).split("lladdr ")[1].split()[0]
