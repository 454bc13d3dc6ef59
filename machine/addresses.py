"""Internet addresses and subnets as numbers: parsed, compared, handed out. Pure; without `ipaddress`, which costs 5 ms.

Texts are those of RFC 4632 (192.168.10.0/24) and RFC 4291 (fd00::/64), written as RFC 5952 wants them.
"""

from __future__ import annotations

from machine.errors import InvalidValue
from machine.quantities import is_digits

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container, Iterable

V4, V6 = 4, 6
BITS = {V4: 32, V6: 128}
_BYTES, _BYTE, _GROUPS, _GROUP = 4, 255, 8, 16
_HEX = frozenset("0123456789abcdefABCDEF")
# Docker's own pools, in its order: the first that is free is taken where nobody names a subnet.
POOLS = (
    *(f"172.{number}.0.0/16" for number in range(17, 32)),
    *(f"192.168.{number}.0/20" for number in range(0, 256, 16)),
)


def number_of(text: str) -> tuple[int, int] | None:
    """(family, number) of an address; None where it is none."""
    return _v6(text) if ":" in text else _v4(text)


def _v4(text: str) -> tuple[int, int] | None:
    parts, found = text.split("."), 0
    if len(parts) != _BYTES:
        return None
    for part in parts:
        # A leading zero means octal to some readers (CVE-2021-29921): it is no number here.
        if not is_digits(part) or len(part) > len("255") or (len(part) > 1 and part[0] == "0"):
            return None
        if int(part) > _BYTE:
            return None
        found = found << 8 | int(part)
    return V4, found


def _v6(text: str) -> tuple[int, int] | None:
    head, gap, tail = text.partition("::")
    before, after = _groups(head), _groups(tail)
    if before is None or after is None:
        return None
    missing = _GROUPS - len(before) - len(after)
    if missing < 1 if gap else missing != 0:
        return None
    found = 0
    for group in (*before, *([0] * missing), *after):
        found = found << _GROUP | group
    return V6, found


def _groups(text: str) -> list[int] | None:
    if not text:
        return []
    head, _, last = text.rpartition(":")
    if "." in last:  # the last 32 bits may be written as those of IPv4
        tail = _v4(last)
        start = _groups(head) if head else []
        return None if tail is None or start is None else [*start, tail[1] >> _GROUP, tail[1] & 0xFFFF]
    parts = text.split(":")
    if any(not part or len(part) > _BYTES or not _HEX.issuperset(part) for part in parts):
        return None
    return [int(part, 16) for part in parts]


def text_of(family: int, number: int) -> str:
    """The address as people write it."""
    if family == V4:
        return ".".join(str(number >> shift & _BYTE) for shift in (24, 16, 8, 0))
    groups = [number >> shift & 0xFFFF for shift in range(112, -1, -_GROUP)]
    begin, length = _longest_gap(groups)
    words = [f"{group:x}" for group in groups]
    if length < 2:  # noqa: PLR2004 - RFC 5952, 4.2.2: a single group of zeros stays
        return ":".join(words)
    return f"{':'.join(words[:begin])}::{':'.join(words[begin + length :])}"


def _longest_gap(groups: list[int]) -> tuple[int, int]:
    best, begin = (0, 0), 0
    for place, group in enumerate([*groups, 1]):
        if group:
            if place - begin > best[1]:
                best = (begin, place - begin)
            begin = place + 1
    return best


def address(text: str, what: str = "address") -> tuple[int, int]:
    """(family, number). InvalidValue."""
    found = number_of(text)
    if found is None:
        raise InvalidValue(what, text, "expected an address such as 192.168.10.2 or fd00::2")
    return found


class Subnet:
    """`base`: its first number; `length`: bits of the prefix."""

    __slots__ = ("base", "family", "length")

    def __init__(self, family: int, base: int, length: int) -> None:
        self.family, self.base, self.length = family, base, length

    @property
    def last(self) -> int:
        """Its last number: of IPv4, the broadcast address."""
        return self.base | (1 << BITS[self.family] - self.length) - 1

    def holds(self, family: int, number: int) -> bool:
        """Whether the address lies in it."""
        return family == self.family and self.base <= number <= self.last

    def is_host(self, number: int) -> bool:
        """Whether a host may have it: neither the subnet's own number nor its broadcast address."""
        return self.base < number < self.last + (self.family == V6)

    def overlaps(self, other: Subnet) -> bool:
        """Whether they share an address."""
        return self.family == other.family and self.base <= other.last and other.base <= self.last

    def free(self, taken: Container[int]) -> int | None:
        """The lowest number that a host may have and nobody has; None where all are taken."""
        for number in range(self.base + 1, self.last + (self.family == V6)):
            if number not in taken:
                return number
        return None

    def with_length(self, number: int) -> str:
        """An address in it as `ip address` takes it: 192.168.10.2/24."""
        return f"{text_of(self.family, number)}/{self.length}"

    def __str__(self) -> str:
        return self.with_length(self.base)


def parse(text: str) -> tuple[Subnet, int] | None:
    """The subnet of ADDRESS/LENGTH, and the number that was written; None where it is none."""
    head, slash, length = text.partition("/")
    found = number_of(head)
    if found is None or not slash or not is_digits(length) or len(length) > len("128"):
        return None
    family, number = found
    if int(length) > BITS[family]:
        return None
    rest = BITS[family] - int(length)
    return Subnet(family, number >> rest << rest, int(length)), number


def subnet(text: str, what: str = "--subnet") -> Subnet:
    """A pool for a network. Its first address may stand for it, as in the series. InvalidValue."""
    found = parse(text)
    if found is None:
        raise InvalidValue(what, text, "expected a subnet such as 192.168.10.0/24 or fd00::/64")
    pool, number = found
    if BITS[pool.family] - pool.length < 2:  # noqa: PLR2004 - two bits: the gateway's, and one container's
        raise InvalidValue(what, text, "too small: it has no room for a gateway and a container")
    if any(pool.overlaps(other) for other in _NOBODYS):
        raise InvalidValue(what, text, "no host may have addresses of it")
    if number not in (pool.base, pool.base + 1):
        raise InvalidValue(what, text, f"it has host bits [did you mean {pool}?]")
    return pool


def first_free_pool(taken: Iterable[Subnet]) -> Subnet | None:
    """The first of docker's pools that overlaps none of `taken`; None where all do."""
    busy = list(taken)
    for text in POOLS:
        found = parse(text)
        if found is not None and not any(found[0].overlaps(other) for other in busy):
            return found[0]
    return None


# "This network", loopback, multicast and what is reserved (RFC 6890); link-local IPv6 is each link's own (RFC 4291, 2.5.6).
_NOBODYS = [
    *(Subnet(V4, first << 24, length) for first, length in ((0, 8), (127, 8), (224, 3))),
    *(Subnet(V6, first << 112, length) for first, length in ((0, 127), (0xFE80, 10), (0xFF00, 8))),
]
