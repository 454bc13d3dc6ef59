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
    from collections.abc import Collection, Mapping

_CTNETLINK = 1 << 8  # NFNL_SUBSYS_CTNETLINK
_GET, _DELETE = _CTNETLINK | 1, _CTNETLINK | 2
_TUPLE_ORIG, _ID, _FILTER, _ORIG_FLAGS = 1, 12, 25, 1
_TUPLE_IP, _TUPLE_PROTO, _PROTO_NUM, _PROTO_DST_PORT = 1, 2, 1, 3
_DESTINATION = {_socket.AF_INET: 2, _socket.AF_INET6: 4}  # CTA_IP_V4_DST, CTA_IP_V6_DST
_BY_PROTOCOL, _BY_DST_PORT = 1 << 3, 1 << 5  # CTA_FILTER_FLAG(CTA_PROTO_NUM), (CTA_PROTO_DST_PORT)
_LOOPBACK = b"\x7f"
_HEAD = struct.Struct(">BBH")
# For each question the kernel walks its whole table, which takes it 13 ms; of all flows of UDP, one takes us 10 us.
_FEW = 4


def forget(net: Netlink, family: int, ports: Mapping[int, Collection[bytes]]) -> None:
    """Forget all UDP flows that began with a datagram to a port at one of its addresses, or at 127.0.0.0/8."""
    head = _HEAD.pack(family, 0, 0)
    for port in ports if len(ports) <= _FEW else [0]:
        for answer in list(net.ask("flows", Message(_GET, head + _question(port), NLM_F_DUMP))):
            found = attributes(answer, _HEAD.size)
            flow = found[_TUPLE_ORIG]
            if _began(family, attributes(flow), ports):
                _delete(net, head + nested(_TUPLE_ORIG, flow) + attribute(_ID, found[_ID]))


def _question(port: int) -> bytes:
    """Only UDP, and where it is not 0 only that port."""
    wanted, flags = attribute(_PROTO_NUM, bytes((_socket.IPPROTO_UDP,))), _BY_PROTOCOL
    if port:
        wanted, flags = wanted + attribute(_PROTO_DST_PORT, struct.pack(">H", port)), flags | _BY_DST_PORT
    asked = nested(_TUPLE_ORIG, nested(_TUPLE_PROTO, wanted))
    return asked + nested(_FILTER, number(_ORIG_FLAGS, flags))


def _began(family: int, flow: dict[int, bytes], ports: Mapping[int, Collection[bytes]]) -> bool:
    """Looked at here, too: a kernel before 5.8 knows no filter."""
    protocol = attributes(flow[_TUPLE_PROTO])
    port = int.from_bytes(protocol.get(_PROTO_DST_PORT, b""), "big")
    if protocol[_PROTO_NUM] != bytes((_socket.IPPROTO_UDP,)) or port not in ports:
        return False
    to = attributes(flow[_TUPLE_IP]).get(_DESTINATION[family], b"")
    return to in ports[port] or to[:1] == _LOOPBACK


def _delete(net: Netlink, flow: bytes) -> None:
    try:
        net.change("flows", [Message(_DELETE, flow, NLM_F_ACK)])
    except OSError as error:
        if error.errno != errno.ENOENT:  # it ended by itself
            raise
