"""What a command sends to the monitor it started: one packet with the container, the journal's place, the lock.

LEAN. The socket stays open afterwards: it is the command's control connection (see `effects.control`).
"""

from __future__ import annotations

import _socket
import struct

from eventstore.plainjson import dumps, loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MONITOR_FD = 3  # the control socket's number in the monitor and in the joiner
_LIMIT = 1 << 20
_FDS = 8


class NeverMind(Exception):
    """The command closed the socket without a request: a wrong option, or nothing to start."""


def pair() -> tuple[_socket.socket, _socket.socket]:
    """The two ends of a SOCK_SEQPACKET connection: one packet in, one packet out, no half ones."""
    ours, theirs = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET | _socket.SOCK_CLOEXEC)
    for end in (ours, theirs):
        end.setsockopt(_socket.SOL_SOCKET, _socket.SO_SNDBUF, _LIMIT)
    return ours, theirs


def give(control: _socket.socket, request: dict[str, Any], fds: list[int]) -> None:
    """Send the request and the descriptors. BrokenPipeError if the other process has died."""
    rights = [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, struct.pack(f"{len(fds)}i", *fds))] if fds else []
    control.sendmsg([b"J" + dumps(request)], rights)


def receive(control: _socket.socket) -> tuple[dict[str, Any], list[int]]:
    """Wait for the request. Raises NeverMind where the command closed its end."""
    space = _socket.CMSG_SPACE(_FDS * 4)
    data, ancillary, _flags, _address = control.recvmsg(_LIMIT, space, _socket.MSG_CMSG_CLOEXEC)
    if not data:
        raise NeverMind
    fds: list[int] = []
    for level, kind, payload in ancillary:
        if level == _socket.SOL_SOCKET and kind == _socket.SCM_RIGHTS:
            fds.extend(struct.unpack(f"{len(payload) // 4}i", payload[: len(payload) // 4 * 4]))
    return loads(data[1:]), fds
