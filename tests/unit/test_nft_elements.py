"""Which elements a network or a container holds, byte for byte as the kernel compares them."""

from __future__ import annotations

from typing import Any

from effects import nft_elements
from effects.nft_text import firewall

BR0, END = b"br0".ljust(16, b"\0"), b"md01234567-89ab".ljust(16, b"\0")
MAC = "02:42:c0:a8:0a:02"


def spec(**parts: Any) -> dict[str, Any]:
    return {"networks": [], "hosts": [], "ports": [], **parts}


def network(*, internal: bool, subnets: tuple[str, ...] = ()) -> dict[str, Any]:
    return spec(networks=[{"device": "br0", "subnets": list(subnets), "internal": internal}])


def host(*addresses: str) -> dict[str, Any]:
    return spec(hosts=[{"device": "md01234567-89ab", "mac": MAC, "addresses": list(addresses)}])


def port(address: str, protocol: str, to: str) -> dict[str, Any]:
    lease = {"address": address, "host_port": 8080, "port": 80, "protocol": protocol, "to": to}
    return spec(ports=[lease])


def test_a_network_is_a_bridge_to_itself_and_outward_unless_internal() -> None:
    inner = [("inet", "bridges", BR0, b""), ("inet", "same", BR0 + BR0, b"")]
    assert nft_elements.elements(network(internal=True)) == inner
    assert nft_elements.elements(network(internal=False)) == [*inner, ("inet", "outward", BR0, b"")]


def test_a_subnet_is_a_range_to_its_last_address() -> None:
    found = nft_elements.elements(network(internal=True, subnets=("192.168.10.1/24", "fd00:7::/64")))[2:]
    first6, last6 = bytes.fromhex("fd000007" + "0" * 24), bytes.fromhex("fd000007" + "0" * 8 + "f" * 16)
    assert found == [
        ("inet", "own4", BR0 + b"\xc0\xa8\x0a\x00", BR0 + b"\xc0\xa8\x0a\xff"),
        ("inet", "own6", BR0 + first6, BR0 + last6),
    ]


def test_a_container_sends_from_its_own_addresses_alone() -> None:
    mac = bytes.fromhex("0242c0a80a020000")
    assert nft_elements.elements(host("192.168.10.2")) == [
        ("bridge", "ports", END, b""),
        ("bridge", "macs", END + mac, b""),
        ("bridge", "senders4", END + mac + b"\xc0\xa8\x0a\x02", b""),
    ]


def test_with_ipv6_its_link_local_address_is_its_own_too() -> None:
    found = [
        element for element in nft_elements.elements(host("192.168.10.2", "fd00::2")) if "6" in element[1]
    ]
    own, local = (
        bytes.fromhex("fd00" + "0" * 27 + "2"),
        bytes.fromhex("fe80" + "0" * 12 + "0042c0fffea80a02"),
    )
    mac = bytes.fromhex("0242c0a80a020000")
    assert found == [
        ("bridge", name, END + before + address, b"")
        for address in (own, local)
        for name, before in (("senders6", mac), ("targets6", b""))
    ]
    assert nft_elements.link_local(MAC) == "fe80::42:c0ff:fea8:a02"


def test_a_port_leads_to_the_container() -> None:
    tcp, udp, at, to = b"\6\0\0\0", b"\x11\0\0\0", b"\x1f\x90\0\0", b"\0\x50\0\0"
    assert nft_elements.elements(port("0.0.0.0", "tcp", "10.0.0.2")) == [
        ("inet", "any4", tcp + at, b"\x0a\0\0\2" + to)
    ]
    assert nft_elements.elements(port("127.0.0.1", "udp", "10.0.0.2")) == [
        ("inet", "ports4", b"\x7f\0\0\1" + udp + at, b"\x0a\0\0\2" + to)
    ]
    to6 = bytes.fromhex("fd00" + "0" * 27 + "2") + to
    assert nft_elements.elements(port("::", "tcp", "fd00::2")) == [("inet", "any6", tcp + at, to6)]
    assert nft_elements.elements(port("::1", "tcp", "fd00::2")) == [
        ("inet", "ports6", bytes(15) + b"\1" + tcp + at, to6)
    ]


def test_what_is_listed_twice_is_one_element() -> None:
    twice = {**network(internal=False), "networks": network(internal=False)["networks"] * 2}
    assert nft_elements.elements(twice) == nft_elements.elements(network(internal=False))


def test_every_set_of_the_firewall_is_known() -> None:
    text = firewall("t", {}, marked=True)
    for family, name in nft_elements.SETS:
        table = text[text.index(f"table {family} t") :]
        assert f"\tset {name} {{" in table or f"\tmap {name} {{" in table
    assert text.count("\tset ") + text.count("\tmap ") == 2 * len(nft_elements.SETS)
