"""Links, addresses and routes, by rtnetlink(7). LEAN.

Constants as linux/rtnetlink.h, linux/if_link.h, linux/if_addr.h, linux/neighbour.h have them.
"""

from __future__ import annotations

import _socket
import struct

from effects.netlink import (
    NETLINK_ROUTE,
    NLM_F_ACK,
    NLM_F_CREATE,
    NLM_F_DUMP,
    NLM_F_EXCL,
    NLM_F_REPLACE,
    Message,
    Netlink,
    attribute,
    attributes,
    integer,
    nested,
    number,
    string,
    text,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from effects.host import Link

GROUP = 0x6D64  # "md": the group of every link of ours from its birth on; `ip link show group 28004`

_RTM_NEWLINK, _RTM_DELLINK, _RTM_GETLINK, _RTM_SETLINK = 16, 17, 18, 19
_RTM_NEWADDR, _RTM_DELADDR, _RTM_GETADDR = 20, 21, 22
_RTM_NEWROUTE, _RTM_DELROUTE = 24, 25
_RTM_NEWNEIGH = 28
_IFLA_ADDRESS, _IFLA_IFNAME, _IFLA_LINK, _IFLA_MASTER = 1, 3, 5, 10
_IFLA_LINKINFO, _IFLA_IFALIAS, _IFLA_GROUP, _IFLA_NET_NS_FD, _IFLA_EXT_MASK = 18, 20, 27, 28, 29
_IFLA_NUM_TX_QUEUES, _IFLA_NUM_RX_QUEUES = 31, 32
_IFLA_INFO_KIND, _IFLA_INFO_DATA, _VETH_INFO_PEER = 1, 2, 1
_IFLA_PROTINFO, _IFLA_BRPORT_MODE, _IFLA_BRPORT_LEARNING = 12, 4, 8
_NDA_DST, _NDA_LLADDR, _NUD_STALE, _NUD_NOARP, _NTF_MASTER = 1, 2, 0x04, 0x40, 0x04
_RTEXT_FILTER_SKIP_STATS = 8
_AF_BRIDGE = 7
_IFA_ADDRESS, _IFA_LOCAL, _IFA_FLAGS, _IFA_F_NODAD = 1, 2, 8, 0x02
_RTA_OIF, _RTA_GATEWAY = 4, 5
_RT_TABLE_MAIN, _RTPROT_STATIC, _RT_SCOPE_UNIVERSE, _RTN_UNICAST = 254, 4, 0, 1
_RT_SCOPE_LINK = 253
_IFF_UP = 1
_RTMGRP_LINK = 1
_LINK = struct.Struct("BxHiII")  # ifinfomsg: family, type, index, flags, change
_ADDRESS = struct.Struct("BBBBI")  # ifaddrmsg: family, prefix length, flags, scope, index
_ROUTE = struct.Struct("BBBBBBBBI")  # rtmsg
_NEIGHBOUR = struct.Struct("BxxxiHBB")  # ndmsg: family, index, state, flags, type


def open_route() -> Netlink:
    """Of the namespace that we are in."""
    return Netlink(NETLINK_ROUTE)


def watch_links() -> Netlink:
    """One that is told of each link that comes, changes or goes."""
    return Netlink(NETLINK_ROUTE, _RTMGRP_LINK)


def is_told_gone(watch: Netlink, index: int) -> bool:
    """Whether what comes next is that the link has gone (and not merely from its bridge)."""
    return any(
        kind == _RTM_DELLINK and _LINK.unpack_from(payload)[:3:2] == (_socket.AF_UNSPEC, index)
        for kind, payload in watch.told()
    )


# --- links -------------------------------------------------------------------------------------------


def find_link(net: Netlink, name: str) -> Link | None:
    """The link of this name, or None."""
    request = _link() + text(_IFLA_IFNAME, name) + number(_IFLA_EXT_MASK, _RTEXT_FILTER_SKIP_STATS)
    try:
        answers = list(net.ask("link", Message(_RTM_GETLINK, request)))
    except OSError as error:
        if error.errno == _ENODEV:
            return None
        raise
    return _read_link(answers[0])


def all_links(net: Netlink) -> list[Link]:
    request = _link() + number(_IFLA_EXT_MASK, _RTEXT_FILTER_SKIP_STATS)
    return [_read_link(answer) for answer in net.ask("links", Message(_RTM_GETLINK, request, NLM_F_DUMP))]


def bridge(name: str, mac: str) -> Message:
    """A bridge that is down and ours by its group; EEXIST if something has the name."""
    return Message(_RTM_NEWLINK, _link() + _ours(name, mac) + _kind("bridge"), _NEW)


def veth(name: str, peer: str, mac: str, namespace: int) -> Message:
    """A pair that is down: `name` here, `peer` with this MAC in the namespace behind the descriptor.

    With one queue, as it has by default; but then made for one. Else it is made with as many as there are processors and
    cut down to one, for which the kernel waits twice for all of them (veth_init_queues, drivers/net/veth.c).
    """
    queues = number(_IFLA_NUM_TX_QUEUES, 1) + number(_IFLA_NUM_RX_QUEUES, 1)
    other = _link() + _ours(peer, mac) + queues + number(_IFLA_NET_NS_FD, namespace)
    pair = _kind("veth", nested(_VETH_INFO_PEER, other))
    return Message(_RTM_NEWLINK, _link() + _ours(name, "") + queues + pair, _NEW)


def set_link(index: int, *, alias: str | None = None, master: int | None = None, up: bool = False) -> Message:
    """Change what is given. `master` 0: none."""
    payload = _link(index, _IFF_UP if up else 0, _IFF_UP if up else 0)
    if master is not None:
        payload += number(_IFLA_MASTER, master)
    if alias is not None:
        payload += attribute(_IFLA_IFALIAS, alias.encode())
    return Message(_RTM_SETLINK, payload)


def set_port(index: int) -> Message:
    """Let the bridge send out by this port what came in by it (hairpin mode), and not look what may be behind it.

    A container that asks a port which it publishes itself is answered by itself: with br_netfilter, the address is
    translated within the bridge.
    """
    mode = attribute(_IFLA_BRPORT_MODE, b"\1") + attribute(_IFLA_BRPORT_LEARNING, b"\0")
    return Message(_RTM_SETLINK, _LINK.pack(_AF_BRIDGE, 0, index, 0, 0) + nested(_IFLA_PROTINFO, mode))


def is_behind(index: int, mac: str) -> Message:
    """The bridge sends what is for this address by this port, for good; what it learned is forgotten after minutes.

    Frames for a container that has long said nothing would go to all others as well.
    """
    payload = _NEIGHBOUR.pack(_AF_BRIDGE, index, _NUD_NOARP, _NTF_MASTER, 0) + _at(mac)
    return Message(_RTM_NEWNEIGH, payload, NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE)


def has_moved(index: int, address: str, mac: str) -> Message:
    """A neighbour on that link, if this host remembers it, is at this MAC from now on. ENOENT if it does not."""
    family, value = packed(address.partition("/")[0])
    payload = _NEIGHBOUR.pack(family, index, _NUD_STALE, 0, 0) + attribute(_NDA_DST, value) + _at(mac)
    return Message(_RTM_NEWNEIGH, payload, NLM_F_ACK | NLM_F_REPLACE)


def _at(mac: str) -> bytes:
    return attribute(_NDA_LLADDR, bytes.fromhex(mac.replace(":", "")))


def delete_link(index: int) -> Message:
    return Message(_RTM_DELLINK, _link(index))


def _link(index: int = 0, flags: int = 0, change: int = 0) -> bytes:
    return _LINK.pack(_socket.AF_UNSPEC, 0, index, flags, change)


def _ours(name: str, mac: str) -> bytes:
    address = attribute(_IFLA_ADDRESS, bytes.fromhex(mac.replace(":", ""))) if mac else b""
    return text(_IFLA_IFNAME, name) + number(_IFLA_GROUP, GROUP) + address


def _kind(name: str, data: bytes = b"") -> bytes:
    inner = nested(_IFLA_INFO_DATA, data) if data else b""
    return nested(_IFLA_LINKINFO, text(_IFLA_INFO_KIND, name), inner)


def _read_link(answer: bytes) -> Link:
    _family, _type, index, flags, _change = _LINK.unpack_from(answer)
    found = attributes(answer, _LINK.size)
    info = attributes(found.get(_IFLA_LINKINFO, b""))
    return {
        "index": index,
        "name": string(found.get(_IFLA_IFNAME)),
        "kind": string(info.get(_IFLA_INFO_KIND)),
        "alias": string(found.get(_IFLA_IFALIAS)),
        "group": integer(found.get(_IFLA_GROUP)),
        "master": integer(found.get(_IFLA_MASTER)),
        "peer": integer(found.get(_IFLA_LINK)),
        "mac": found.get(_IFLA_ADDRESS, b"").hex(":"),
        "up": bool(flags & _IFF_UP),
    }


# --- addresses and routes ------------------------------------------------------------------------------


def add_address(index: int, address: str) -> Message:
    """ADDRESS/LENGTH, usable at once (no duplicate address detection); one that is there is no error."""
    flags = number(_IFA_FLAGS, _IFA_F_NODAD)
    return Message(_RTM_NEWADDR, _address(index, address) + flags, NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE)


def delete_address(index: int, address: str) -> Message:
    return Message(_RTM_DELADDR, _address(index, address))


def addresses(net: Netlink, index: int) -> list[str]:
    """ADDRESS/LENGTH of the link, less those that it gave itself (of scope link)."""
    request = Message(_RTM_GETADDR, _ADDRESS.pack(_socket.AF_UNSPEC, 0, 0, 0, index), NLM_F_DUMP)
    found = []
    for answer in net.ask("addresses", request):
        family, length, _flags, scope, of = _ADDRESS.unpack_from(answer)
        if of != index or scope == _RT_SCOPE_LINK:
            continue
        values = attributes(answer, _ADDRESS.size)
        value = values.get(_IFA_LOCAL) or values[_IFA_ADDRESS]
        found.append(f"{_socket.inet_ntop(family, value)}/{length}")
    return found


def all_addresses(net: Netlink) -> set[bytes]:
    """Every address of this host."""
    request = Message(_RTM_GETADDR, _ADDRESS.pack(_socket.AF_UNSPEC, 0, 0, 0, 0), NLM_F_DUMP)
    found = [attributes(answer, _ADDRESS.size) for answer in net.ask("addresses", request)]
    return {values.get(_IFA_LOCAL) or values[_IFA_ADDRESS] for values in found}


def default_route(index: int, gateway: str) -> Message:
    """By `gateway`, in place of another one through any device."""
    return Message(_RTM_NEWROUTE, _default(index, gateway), NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE)


def no_default_route(index: int, gateway: str) -> Message:
    """ESRCH if there is none."""
    return Message(_RTM_DELROUTE, _default(index, gateway))


def _default(index: int, gateway: str) -> bytes:
    family, value = packed(gateway)
    head = _ROUTE.pack(family, 0, 0, 0, _RT_TABLE_MAIN, _RTPROT_STATIC, _RT_SCOPE_UNIVERSE, _RTN_UNICAST, 0)
    return head + attribute(_RTA_GATEWAY, value) + number(_RTA_OIF, index)


def _address(index: int, address: str) -> bytes:
    host, _, length = address.partition("/")
    family, value = packed(host)
    head = _ADDRESS.pack(family, int(length), 0, _RT_SCOPE_UNIVERSE, index)
    return head + attribute(_IFA_LOCAL, value) + attribute(_IFA_ADDRESS, value)


def packed(address: str) -> tuple[int, bytes]:
    """(AF_INET or AF_INET6, its bytes). OSError for what is no address."""
    family = _socket.AF_INET6 if ":" in address else _socket.AF_INET
    return family, _socket.inet_pton(family, address)


_ENODEV = 19
_NEW = NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL
