"""Frames that say what is not so, as an attacker on a bridge would send them."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable
from ipaddress import IPv6Address

from tests.lab import Place

ARP, IP, IP6 = 0x0806, 0x0800, 0x86DD  # linux/if_ether.h
EVERYBODY = b"\xff" * 6


def mac(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))


class Wire:
    """Frames of one's own making, out of a container's eth0."""

    def __init__(self, guest: Place) -> None:
        self.guest = guest
        self.mac = guest.run("ip", "-o", "link", "show", "eth0").partition("link/ether ")[2].split()[0]

    def send(self, kind: int, data: bytes, *, to: bytes = EVERYBODY, source: str = "") -> None:
        with self.guest.door(socket.AF_PACKET, socket.SOCK_RAW) as door:
            door.bind(("eth0", 0))
            door.send(to + mac(source or self.mac) + kind.to_bytes(2, "big") + data)

    def arp(self, operation: int, address: str, owner: str, *, source: str = "") -> None:
        """Say to everybody that `address` is at `owner`."""
        head = struct.pack("!HHBBH", 1, IP, 6, 4, operation)
        body = mac(owner) + socket.inet_aton(address) + bytes(6) + socket.inet_aton(address)
        self.send(ARP, head + body, source=source)

    def udp(self, source: str, target: str, port: int, *, to: bytes, from_port: int = 4000) -> None:
        """A datagram that says it comes from `source`."""
        data = b"forged"
        udp = struct.pack("!HHHH", from_port, port, 8 + len(data), 0) + data
        head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(udp), 1, 0, 64, 17, 0)
        head += socket.inet_aton(source) + socket.inet_aton(target)
        self.send(IP, head[:10] + checksum(head) + head[12:] + udp, to=to)

    def icmp6(self, source: str, target: str, message: bytes, *, to: bytes) -> None:
        ends = IPv6Address(source).packed + IPv6Address(target).packed
        sum_of = ends + struct.pack("!II", len(message), 58) + message
        message = message[:2] + checksum(sum_of) + message[4:]
        self.send(IP6, struct.pack("!IHBB", 6 << 28, len(message), 58, 255) + ends + message, to=to)


def checksum(data: bytes) -> bytes:
    """RFC 1071."""
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data[: len(data) // 2 * 2]))
    total += data[-1] << 8 if len(data) % 2 else 0
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return (~total & 0xFFFF).to_bytes(2, "big")


def heard(guest: Place, port: int, send: Callable[[], None]) -> bool:
    """Whether a datagram reaches that port within a while."""
    with guest.door(socket.AF_INET, socket.SOCK_DGRAM) as door:
        door.bind(("0.0.0.0", port))
        door.settimeout(0.5)
        send()
        try:
            return bool(door.recv(100))
        except TimeoutError:
            return False
