"""What a command sends to the monitor it started: one packet with the container, the journal's place, the lock.

Before that it may ask what the kernel has. LEAN. The socket stays open afterwards: it is the command's control connection (see `effects.control`).
"""

from __future__ import annotations

import _socket

from effects.control import JSON, Connection

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_BUFFER = 1 << 20  # bytes of stdin that wait in the socket; the kernel gives what it may (net.core.wmem_max)
MONITOR_FD = 3  # the control socket's number in the monitor and in the joiner


class NeverMind(Exception):
    """The command closed the socket without a request: a wrong option, or nothing to start."""


def pair() -> tuple[_socket.socket, _socket.socket]:
    """The two ends of a SOCK_SEQPACKET connection: one packet in, one packet out, no half ones."""
    ours, theirs = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET | _socket.SOCK_CLOEXEC)
    for end in (ours, theirs):
        end.setsockopt(_socket.SOL_SOCKET, _socket.SO_SNDBUF, _BUFFER)
    return ours, theirs


def give(control: Connection, request: dict[str, Any], fds: list[int]) -> None:
    """Send the request and the descriptors. If the other process has died, whoever waits for its answer hears of it."""
    try:
        sent = control.send(request, tuple(fds))
    except (BrokenPipeError, ConnectionResetError):
        return
    assert sent, "it is the first packet, and fits"


def receive(
    control: _socket.socket, look: Callable[[list[Any], int], None]
) -> tuple[dict[str, Any], list[int]]:
    """Wait for the request, and meanwhile `look` where the command asks for it (see `cli.lookout`).

    Raises NeverMind where the command closed its end.
    """
    while True:
        packet = Connection(control).receive(wait=True)
        if packet is None or packet[0] != JSON:
            raise NeverMind
        _, message, fds = packet
        if "look" not in message:
            return message, fds
        look(message["look"], fds[0])
