"""Published ports, kept from other processes of the host while the container runs. LEAN."""

from __future__ import annotations

import _socket
import errno

from effects import resolv
from effects.failure import StepFailed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from effects.hostnet import Links

    Port = tuple[str, str, int]

_KINDS = {"tcp": _socket.SOCK_STREAM, "udp": _socket.SOCK_DGRAM}
_MOST = 256  # sockets held: a process may have 1024 descriptors by default
_ANY = ("0.0.0.0", "::")  # noqa: S104 - what is asked for is compared with it


class PortHolds:
    """Bound sockets that nobody reads, by owner. A packet for such a port is translated before it gets there.

    With more than 256 ports the last ones are only tried: another process may take them later, and gets nothing.
    So is port 53 of all addresses: the networks' own name servers have it on their gateways, and one that comes later is to.
    """

    def __init__(self) -> None:
        self._held: dict[str, dict[Port, _socket.socket]] = {}

    def hold(self, owner: str, ports: Iterable[Port], host: Links) -> None:
        """Exactly these from now on; StepFailed EADDRINUSE, and nothing held that was not before."""
        before = self._held.get(owner, {})
        now: dict[Port, _socket.socket] = {}
        try:
            for port in ports:
                if port in before:
                    now[port] = before[port]
                    continue
                if port[1] in _ANY and port[2] == resolv.PORT:
                    _look(port, host)
                    continue
                taken = _take(port)
                if len(now) < _MOST:
                    now[port] = taken
                else:
                    taken.close()
        except OSError:
            _close(now, before)
            raise
        _close(before, now)
        self._held[owner] = now

    def drop(self, owner: str) -> None:
        _close(self._held.pop(owner, {}), {})

    def close(self) -> None:
        for owner in list(self._held):
            self.drop(owner)


def is_free(port: Port) -> bool:
    """Whether no process of the host has it at this moment."""
    try:
        _take(port).close()
    except OSError as error:  # or there is no such family, or no such address: that is told where it is held
        return error.errno != errno.EADDRINUSE
    return True


def _close(those: dict[Port, _socket.socket], but: dict[Port, _socket.socket]) -> None:
    for port, held in those.items():
        if port not in but:
            held.close()


def _take(port: Port) -> _socket.socket:
    protocol, address, number = port
    family = _socket.AF_INET6 if ":" in address else _socket.AF_INET
    taken = _socket.socket(family, _KINDS[protocol] | _socket.SOCK_CLOEXEC)
    try:
        if family == _socket.AF_INET6:
            taken.setsockopt(_socket.IPPROTO_IPV6, _socket.IPV6_V6ONLY, 1)
        if protocol == "tcp":
            # Connections that ended a moment ago (TIME_WAIT) do not matter; a listener does.
            taken.setsockopt(_socket.SOL_SOCKET, _socket.SO_REUSEADDR, 1)
        taken.bind((address, number))
        # From here on nobody else may listen, whatever he sets.
        taken.setsockopt(_socket.SOL_SOCKET, _socket.SO_REUSEADDR, 0)
    except OSError as error:
        taken.close()
        raise _refused(port, error) from error
    return taken


def _look(port: Port, host: Links) -> None:
    """StepFailed where a process that is no name server of a network has it on any address."""
    from effects import hostnet  # few publish that

    protocol, address, number = port
    for row, inode in hostnet.in_the_way(host).items():
        kind, other, at = row
        # One that listens on :: has IPv4's too, as most do (ipv6(7)).
        if (kind, at) == (protocol, number) and (other == _ANY[1] or (":" in other) == (":" in address)):
            raise _taken(port, {row: inode})


def _refused(port: Port, error: OSError) -> StepFailed:
    from effects import hostnet  # only where one is refused

    if error.errno == errno.EADDRINUSE:
        return _taken(port, hostnet.busy())
    gone = error.errno == errno.EADDRNOTAVAIL
    message = f"cannot publish {_shown(port)}: {'this host has no such address' if gone else error.strerror}"
    return StepFailed("ports", error.errno or 0, message, None)


def _taken(port: Port, sockets: dict[Port, int]) -> StepFailed:
    """By one of these, which is named where it can be told."""
    from effects import hostnet

    who = ""
    for (kind, _, number), inode in sockets.items():
        if (kind, number) == (port[0], port[2]) and (owner := hostnet.process_with(inode)) is not None:
            who = f" by {owner[1]} (process {owner[0]})"
            break
    return StepFailed("ports", errno.EADDRINUSE, f"port {_shown(port)} is taken{who}", None)


def _shown(port: Port) -> str:
    protocol, address, number = port
    return f"[{address}]:{number}/{protocol}" if ":" in address else f"{address}:{number}/{protocol}"
