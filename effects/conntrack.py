"""Flows that the kernel remembers: those of a port are forgotten when it comes to lead elsewhere. LEAN.

Where a datagram goes is decided once for each flow; a sender that does not pause would for ever be sent to where the
port led, or did not lead, when it began. A TCP connection has an end, and is not touched. Constants as
linux/netfilter/nfnetlink_conntrack.h has them.
"""

from __future__ import annotations

import _socket
import errno
import struct

from effects.netlink import (
    NLM_F_ACK,
    NLM_F_DUMP,
    Message,
    Netlink,
    attribute,
    attributes,
    nested,
    number,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection

_CTNETLINK = 1 << 8  # NFNL_SUBSYS_CTNETLINK
_GET, _DELETE = _CTNETLINK | 1, _CTNETLINK | 2
_TUPLE_ORIG, _ID, _FILTER, _ORIG_FLAGS = 1, 12, 25, 1
_TUPLE_IP, _TUPLE_PROTO, _PROTO_NUM, _PROTO_DST_PORT = 1, 2, 1, 3
_DESTINATION = {_socket.AF_INET: 2, _socket.AF_INET6: 4}  # CTA_IP_V4_DST, CTA_IP_V6_DST
_BY_PROTOCOL, _BY_DST_PORT = 1 << 3, 1 << 5  # CTA_FILTER_FLAG(CTA_PROTO_NUM), (CTA_PROTO_DST_PORT)
_LOOPBACK = b"\x7f"
_HEAD = struct.Struct(">BBH")


def forget(net: Netlink, family: int, port: int, addresses: Collection[bytes]) -> None:
    """Forget all UDP flows that began with a datagram to this port of one of the addresses, or of 127.0.0.0/8."""
    protocol = attribute(_PROTO_NUM, bytes((_socket.IPPROTO_UDP,)))
    wanted = protocol + attribute(_PROTO_DST_PORT, struct.pack(">H", port))
    head = _HEAD.pack(family, 0, 0)
    request = head + nested(_TUPLE_ORIG, nested(_TUPLE_PROTO, wanted))
    request += nested(_FILTER, number(_ORIG_FLAGS, _BY_PROTOCOL | _BY_DST_PORT))
    for answer in list(net.ask("flows", Message(_GET, request, NLM_F_DUMP))):
        found = attributes(answer, _HEAD.size)
        flow = found[_TUPLE_ORIG]
        to = attributes(attributes(flow)[_TUPLE_IP]).get(_DESTINATION[family], b"")
        if to in addresses or to[:1] == _LOOPBACK:
            _delete(net, head + nested(_TUPLE_ORIG, flow) + attribute(_ID, found[_ID]))


def _delete(net: Netlink, flow: bytes) -> None:
    try:
        net.change("flows", [Message(_DELETE, flow, NLM_F_ACK)])
    except OSError as error:
        if error.errno != errno.ENOENT:  # it ended by itself
            raise
