"""What of a subject stands in the sets of the firewall (`effects.nft_text` has the rules): pure. LEAN.

A key is the fields of its set, each padded to four bytes, as the kernel compares them.
"""

from __future__ import annotations

import _socket
import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from effects.host import Element, Spec

# All sets and maps that hold elements of a subject.
RANGES = {"own4", "own6"}  # sets of them: an element's data is its last key
SETS = (
    *(("inet", name) for name in ("bridges", "outward", "same", "own4", "own6")),
    *(("inet", name) for name in ("any4", "any6", "ports4", "ports6", "resolvers")),
    *(("bridge", name) for name in ("ports", "macs", "senders4", "senders6", "targets6")),
)
_PROTOCOLS = {"tcp": 6, "udp": 17}
_IFNAMSIZ = 16
_EUI_FLIP = 0x02  # RFC 4291, appendix A: the universal/local bit


def elements(spec: Spec) -> list[Element]:
    """The elements of a `rules` specification, the same ones each once."""
    found: list[Element] = []
    for network in spec["networks"]:
        found += _of_network(network)
    for host in spec["hosts"]:
        found += _of_host(host)
    found += [_of_port(lease) for lease in spec["ports"]]
    return list(dict.fromkeys(found))


def _of_network(network: dict[str, Any]) -> list[Element]:
    device = _name(network["device"])
    found: list[Element] = [("inet", "bridges", device, b""), ("inet", "same", device + device, b"")]
    for subnet in network["subnets"]:
        first, last = _range(subnet)
        found.append(("inet", f"own{6 if ':' in subnet else 4}", device + first, device + last))
    return found if network["internal"] else [*found, ("inet", "outward", device, b"")]


def _of_host(host: dict[str, Any]) -> list[Element]:
    """What one end of a container may send from."""
    device = _name(host["device"])
    sender = device + _mac(host["mac"]) + bytes(2)
    found: list[Element] = [("bridge", "ports", device, b""), ("bridge", "macs", sender, b"")]
    version6 = [address for address in host["addresses"] if ":" in address]
    version4 = [address for address in host["addresses"] if address not in version6]
    found += [("bridge", "senders4", sender + _address(address), b"") for address in version4]
    for address in [*version6, link_local(host["mac"])] if version6 else []:
        found.append(("bridge", "senders6", sender + _address(address), b""))
        found.append(("bridge", "targets6", device + _address(address), b""))
    return found


def _of_port(lease: dict[str, Any]) -> Element:
    """From the address and port of the host to the container's."""
    address = _address(lease["address"])
    version = "6" if ":" in lease["address"] else "4"
    protocol = bytes((_PROTOCOLS[lease["protocol"]], 0, 0, 0))
    key, to = protocol + _port(lease["host_port"]), _address(lease["to"]) + _port(lease["port"])
    if any(address):
        return ("inet", f"ports{version}", address + key, to)
    return ("inet", f"any{version}", key, to)


def redirection(client: str, gateway: str, port: int) -> Element:
    """Questions of a container to its gateway, led to a port there."""
    return ("inet", "resolvers", _address(client) + _address(gateway), struct.pack(">H", port))


def link_local(mac: str) -> str:
    """The address that IPv6 derives from a MAC (RFC 4291, appendix A)."""
    first, *rest = _mac(mac)
    identifier = bytes((first ^ _EUI_FLIP, *rest[:2], 0xFF, 0xFE, *rest[2:]))
    return _socket.inet_ntop(_socket.AF_INET6, b"\xfe\x80" + bytes(6) + identifier)


def _name(device: str) -> bytes:
    return device.encode().ljust(_IFNAMSIZ, b"\0")


def _mac(mac: str) -> bytes:
    return bytes.fromhex(mac.replace(":", ""))


def _address(address: str) -> bytes:
    return _socket.inet_pton(_socket.AF_INET6 if ":" in address else _socket.AF_INET, address)


def _range(subnet: str) -> tuple[bytes, bytes]:
    """The first and the last address."""
    network, _, length = subnet.partition("/")
    first = _address(network)
    free = (1 << (8 * len(first) - int(length))) - 1
    number = int.from_bytes(first, "big") & ~free
    return number.to_bytes(len(first), "big"), (number | free).to_bytes(len(first), "big")


def _port(port: int) -> bytes:
    return struct.pack(">H", port) + bytes(2)
