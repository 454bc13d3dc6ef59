"""What people type about networks, made into settings: models, addresses, names. As `machine.parse`; InvalidValue."""

from __future__ import annotations

from machine import addresses, parse
from machine.errors import InvalidValue
from machine.plan_network import HOST_GATEWAY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from machine.addresses import Subnet

MODELS = ("none", "host", "bridge")
_OF = "container:"
_HEX = frozenset("0123456789abcdefABCDEF")
_MAC_BYTES = 6
_GROUP_BIT = 1  # of the first byte: a multicast address, which no device may have (IEEE 802)


def model(text: str, what: str = "--network") -> str:
    """none, host, container:NAME, or a network's name; `default` is `bridge`."""
    if text.startswith(_OF):
        return _OF + parse.name(text.removeprefix(_OF), what)
    if text == "default":
        return "bridge"
    return text if text in MODELS else parse.name(text, what)


def ip(text: str, what: str = "--ip") -> str:
    """An IPv4 address."""
    return _address(text, what, addresses.V4, "192.168.10.2")


def ip6(text: str, what: str = "--ip6") -> str:
    """An IPv6 address."""
    return _address(text, what, addresses.V6, "fd00::2")


def _address(text: str, what: str, family: int, example: str) -> str:
    found = addresses.number_of(text)
    if found is None or found[0] != family:
        raise InvalidValue(what, text, f"expected an address such as {example}")
    return addresses.text_of(*found)


def any_address(text: str, what: str = "--dns") -> str:
    """An address of either family."""
    return addresses.text_of(*addresses.address(text, what))


def mac(text: str, what: str = "--mac-address") -> str:
    """Six bytes such as 02:42:c0:a8:0a:02, of one device."""
    parts = text.replace("-", ":").split(":")
    if len(parts) != _MAC_BYTES or any(len(part) != len("00") or not _HEX.issuperset(part) for part in parts):
        raise InvalidValue(what, text, "expected six bytes such as 02:42:c0:a8:0a:02")
    if int(parts[0], 16) & _GROUP_BIT or not any(int(part, 16) for part in parts):
        raise InvalidValue(what, text, "no device can have it")
    return ":".join(parts).lower()


def host(text: str, what: str = "--add-host") -> str:
    """NAME:ADDRESS, or NAME=ADDRESS; host-gateway stands for the host's own."""
    end = next((place for place, char in enumerate(text) if char in ":="), 0)
    name, address = text[:end], text[end + 1 :]
    if not name:
        raise InvalidValue(what, text, "expected NAME:ADDRESS")
    bare = address[1:-1] if address[:1] == "[" and address[-1:] == "]" else address
    if bare != HOST_GATEWAY and addresses.number_of(bare) is None:
        raise InvalidValue(
            what, text, f"expected an address such as 192.168.10.2 after the name, or {HOST_GATEWAY}"
        )
    return f"{parse.hostname(name, what)}:{bare if bare == HOST_GATEWAY else any_address(bare, what)}"


def search(text: str, what: str = "--dns-search") -> str:
    """A domain for names without a dot; `.` is none."""
    return text if text == "." else parse.hostname(text, what)


def option(text: str, what: str = "--dns-option") -> str:
    """One option of resolv.conf(5)."""
    if not text or any(char.isspace() for char in parse.plain(text, what)):
        raise InvalidValue(what, text, "expected an option such as ndots:2")
    return text


def pools(subnets: Iterable[str], gateways: Iterable[str]) -> list[tuple[Subnet, int | None]]:
    """Subnets, each with the gateway that lies in it: a host's address there."""
    found = [(addresses.subnet(text), None) for text in subnets]
    chosen: dict[int, int] = {}
    for text in gateways:
        family, number = addresses.address(text, "--gateway")
        place = next((n for n, (pool, _) in enumerate(found) if pool.holds(family, number)), None)
        if place is None:
            raise InvalidValue("--gateway", text, "it lies in no --subnet")
        if not found[place][0].is_host(number):
            raise InvalidValue("--gateway", text, f"no host may have it in {found[place][0]}")
        if place in chosen:
            raise InvalidValue("--gateway", text, f"{found[place][0]} has one already")
        chosen[place] = number
    for family in (addresses.V4, addresses.V6):
        if sum(pool.family == family for pool, _ in found) > 1:
            raise InvalidValue("--subnet", f"IPv{family}", "more than one")
    return [(pool, chosen.get(place)) for place, (pool, _) in enumerate(found)]
