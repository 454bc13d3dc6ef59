"""What is in nftables, and elements of its sets: read and changed without a program. LEAN.

Constants as linux/netfilter/nfnetlink.h and nf_tables.h have them. An `nft` that adds an element first reads all
chains and sets of everybody; this costs the same whatever else is there.
"""

from __future__ import annotations

import errno
import struct

from effects.netlink import (
    NETLINK_NETFILTER,
    NLM_F_ACK,
    NLM_F_CREATE,
    NLM_F_DUMP,
    Message,
    Netlink,
    attribute,
    attributes,
    each_attribute,
    nested,
    string,
    text,
)
from effects.nft_elements import RANGES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from effects.host import BaseChain, Element

    Rule = tuple[int, str]

FAMILIES = {"inet": 1, "ip": 2, "bridge": 7, "ip6": 10}

_NFTABLES = 10 << 8  # NFNL_SUBSYS_NFTABLES
_BATCH_BEGIN, _BATCH_END = 0x10, 0x11
_GETTABLE, _GETCHAIN, _GETRULE = _NFTABLES | 1, _NFTABLES | 4, _NFTABLES | 7
_NEWSETELEM, _GETSETELEM, _DELSETELEM = _NFTABLES | 12, _NFTABLES | 13, _NFTABLES | 14
_TABLE_NAME, _CHAIN_TABLE, _CHAIN_NAME = 1, 1, 3
_CHAIN_HOOK, _CHAIN_POLICY, _CHAIN_TYPE, _HOOK_NUMBER = 4, 5, 7, 1
_HOOKS = {1: "input", 2: "forward"}  # NF_INET_LOCAL_IN, NF_INET_FORWARD; 0 is prerouting, and no hook
_NF_DROP = 0
_TABLE_FLAGS, _TABLE_F_OWNER = 2, 2
_RULE_TABLE, _RULE_CHAIN, _RULE_HANDLE, _RULE_USERDATA = 1, 2, 3, 7
_LIST_TABLE, _LIST_SET, _LIST_ELEMENTS, _LIST_ELEM = 1, 2, 3, 1
_ELEM_KEY, _ELEM_DATA, _ELEM_USERDATA, _ELEM_KEY_END, _DATA_VALUE = 1, 2, 6, 10, 1
_UDATA_COMMENT = 0  # NFTNL_UDATA_RULE_COMMENT and NFTNL_UDATA_SET_ELEM_COMMENT: type, length, text
_MOST = 200  # elements of one message: the length of an attribute has 16 bits
# Elements asked for at once: each is answered by itself, and answers wait in a buffer of limited size.
_ANSWERS = 32
_HEAD = struct.Struct(">BBH")  # nfgenmsg: family, version, resource id


def open_netfilter() -> Netlink:
    """Of the namespace that we are in."""
    return Netlink(NETLINK_NETFILTER)


def chains(net: Netlink, family: str) -> dict[str, list[str]]:
    """Table -> its chains, of all tables of the family."""
    found: dict[str, list[str]] = {}
    for answer in net.ask("tables", Message(_GETTABLE, _head(family), NLM_F_DUMP)):
        found[string(attributes(answer, _HEAD.size).get(_TABLE_NAME))] = []
    for answer in net.ask("chains", Message(_GETCHAIN, _head(family), NLM_F_DUMP)):
        values = attributes(answer, _HEAD.size)
        found.setdefault(string(values.get(_CHAIN_TABLE)), []).append(string(values.get(_CHAIN_NAME)))
    return found


def base_chains(net: Netlink, family: str) -> list[BaseChain]:
    """The chains of type filter at the hooks input and forward."""
    owned = set()
    for answer in net.ask("tables", Message(_GETTABLE, _head(family), NLM_F_DUMP)):
        values = attributes(answer, _HEAD.size)
        if _number(values.get(_TABLE_FLAGS)) & _TABLE_F_OWNER:
            owned.add(string(values.get(_TABLE_NAME)))
    found: list[BaseChain] = []
    for answer in net.ask("chains", Message(_GETCHAIN, _head(family), NLM_F_DUMP)):
        values = attributes(answer, _HEAD.size)
        table = string(values.get(_CHAIN_TABLE))
        hook = _HOOKS.get(_number(attributes(values.get(_CHAIN_HOOK, b"")).get(_HOOK_NUMBER)), "")
        if hook and string(values.get(_CHAIN_TYPE)) == "filter":
            drops = _CHAIN_POLICY in values and _number(values[_CHAIN_POLICY]) == _NF_DROP
            name = string(values.get(_CHAIN_NAME))
            found.append(
                {"table": table, "name": name, "hook": hook, "drops": drops, "owned": table in owned}
            )
    return found


def _number(value: bytes | None) -> int:
    return int.from_bytes(value or b"", "big")


def rules(net: Netlink, family: str, table: str) -> dict[str, list[Rule]]:
    """Chain -> (handle, comment) of each of its rules, in order; chains without rules are left out."""
    found: dict[str, list[Rule]] = {}
    request = _head(family) + text(_RULE_TABLE, table)
    for answer in net.ask("rules", Message(_GETRULE, request, NLM_F_DUMP)):
        values = attributes(answer, _HEAD.size)
        if string(values.get(_RULE_TABLE)) != table:
            continue
        (handle,) = struct.unpack(">Q", values[_RULE_HANDLE])
        rule = (handle, _comment(values.get(_RULE_USERDATA, b"")))
        found.setdefault(string(values.get(_RULE_CHAIN)), []).append(rule)
    return found


# --- elements ------------------------------------------------------------------------------------------


def element_data(net: Netlink, table: str, element: Element) -> bytes | None:
    """What the map has under the element's key, b"" in a set; None where there is no such key, set or table."""
    family, name, key, data = element
    request = _list(family, table, name, [_element(name, key, data if name in RANGES else b"", b"")])
    try:
        answers = list(net.ask("element", Message(_GETSETELEM, request)))
    except OSError as error:
        if error.errno == errno.ENOENT:
            return None
        raise
    return next((data for _key, data, _comment in _elements(answers)), None)


def has_elements(net: Netlink, table: str, elements: list[Element]) -> bool:
    """Whether all of them are there, with their data."""
    sets: dict[tuple[str, str], list[Element]] = {}
    for element in elements:
        sets.setdefault(element[:2], []).append(element)
    for (family, name), those in sets.items():
        for start in range(0, len(those), _ANSWERS):
            piece = those[start : start + _ANSWERS]
            asked = [_element(name, key, data if name in RANGES else b"", b"") for _f, _n, key, data in piece]
            request = Message(_GETSETELEM, _list(family, table, name, asked), NLM_F_ACK)
            try:
                answers = list(net.ask("elements", request))
            except OSError as error:
                if error.errno == errno.ENOENT:
                    return False
                raise
            if [found[1] for found in _elements(answers)] != [element[3] for element in piece]:
                return False
    return True


def commented(net: Netlink, table: str, family: str, name: str, comment: str) -> list[Element]:
    """The set's elements with this comment; none where there is no such set."""
    request = _head(family) + text(_LIST_TABLE, table) + text(_LIST_SET, name)
    try:
        answers = list(net.ask("elements", Message(_GETSETELEM, request, NLM_F_DUMP)))
    except OSError as error:
        if error.errno == errno.ENOENT:
            return []
        raise
    return [(family, name, key, data) for key, data, its in _elements(answers) if its == comment]


def change_elements(
    net: Netlink, table: str, *, delete: list[Element], add: list[Element], comment: str, step: str
) -> None:
    """All of it or nothing, in one transaction. ENOENT where a deleted element, or a set, is not there."""
    messages = [Message(_BATCH_BEGIN, _HEAD.pack(0, 0, _NFTABLES >> 8), 0)]
    messages += _messages(_DELSETELEM, table, delete, comment)
    messages += _messages(_NEWSETELEM, table, add, comment)
    messages.append(Message(_BATCH_END, _HEAD.pack(0, 0, _NFTABLES >> 8), 0))
    if len(messages) > 2:  # noqa: PLR2004 - the two ends of the batch
        net.change(step, messages, f"table {table}")


def _messages(kind: int, table: str, elements: list[Element], comment: str) -> Iterator[Message]:
    flags = NLM_F_ACK | (NLM_F_CREATE if kind == _NEWSETELEM else 0)
    userdata = _userdata(comment) if kind == _NEWSETELEM else b""
    sets: dict[tuple[str, str], list[bytes]] = {}
    for family, name, key, data in elements:
        shown = data if kind == _NEWSETELEM or name in RANGES else b""
        sets.setdefault((family, name), []).append(_element(name, key, shown, userdata))
    for (family, name), items in sets.items():
        for start in range(0, len(items), _MOST):
            yield Message(kind, _list(family, table, name, items[start : start + _MOST]), flags)


def _head(family: str) -> bytes:
    return _HEAD.pack(FAMILIES[family], 0, 0)


def _list(family: str, table: str, name: str, items: list[bytes]) -> bytes:
    return _head(family) + text(_LIST_TABLE, table) + text(_LIST_SET, name) + nested(_LIST_ELEMENTS, *items)


def _element(name: str, key: bytes, data: bytes, userdata: bytes) -> bytes:
    inner = nested(_ELEM_KEY, attribute(_DATA_VALUE, key))
    if data:
        inner += nested(_ELEM_KEY_END if name in RANGES else _ELEM_DATA, attribute(_DATA_VALUE, data))
    if userdata:
        inner += attribute(_ELEM_USERDATA, userdata)
    return nested(_LIST_ELEM, inner)


def _elements(answers: Iterable[bytes]) -> Iterator[tuple[bytes, bytes, str]]:
    """(key, data, comment) of each element in these answers."""
    for answer in answers:
        listed = attributes(answer, _HEAD.size).get(_LIST_ELEMENTS, b"")
        for _kind, item in each_attribute(listed):
            values = attributes(item)
            key = attributes(values[_ELEM_KEY])[_DATA_VALUE]
            data = attributes(values.get(_ELEM_DATA) or values.get(_ELEM_KEY_END, b"")).get(_DATA_VALUE, b"")
            yield key, data, _comment(values.get(_ELEM_USERDATA, b""))


def _userdata(comment: str) -> bytes:
    value = comment.encode() + b"\0"
    return bytes((_UDATA_COMMENT, len(value))) + value


def _comment(userdata: bytes) -> str:
    place = 0
    while place + 2 <= len(userdata):
        kind, length = userdata[place], userdata[place + 1]
        if kind == _UDATA_COMMENT:
            return string(userdata[place + 2 : place + 2 + length])
        place += 2 + length
    return ""
