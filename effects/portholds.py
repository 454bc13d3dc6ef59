"""Published ports, kept from other processes of the host while the container runs. LEAN."""

from __future__ import annotations

import _socket
import errno

from effects.failure import StepFailed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    Port = tuple[str, str, int]

_KINDS = {"tcp": _socket.SOCK_STREAM, "udp": _socket.SOCK_DGRAM}
_MOST = 256  # sockets held: a process may have 1024 descriptors by default


class PortHolds:
    """Bound sockets that nobody reads, by owner. A packet for such a port is translated before it gets there.

    With more than 256 ports the last ones are only tried: another process may take them later, and gets nothing.
    """

    def __init__(self) -> None:
        self._held: dict[str, dict[Port, _socket.socket]] = {}

    def hold(self, owner: str, ports: Iterable[Port]) -> None:
        """Exactly these from now on; StepFailed EADDRINUSE, and nothing held that was not before."""
        before = self._held.get(owner, {})
        now: dict[Port, _socket.socket] = {}
        try:
            for port in ports:
                if port in before:
                    now[port] = before[port]
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


def _refused(port: Port, error: OSError) -> StepFailed:
    protocol, address, number = port
    shown = f"[{address}]:{number}" if ":" in address else f"{address}:{number}"
    message = f"cannot publish {shown}/{protocol}: {error.strerror}"
    if error.errno == errno.EADDRINUSE:
        message = f"port {shown}/{protocol} is taken{_by(protocol, number)}"
    elif error.errno == errno.EADDRNOTAVAIL:
        message = f"cannot publish {shown}/{protocol}: this host has no such address"
    return StepFailed("ports", error.errno or 0, message, None)


def _by(protocol: str, number: int) -> str:
    """The end of a sentence, such as " by nginx (process 17)"; "" where that cannot be told."""
    from effects import hostnet  # only where one is refused

    for (kind, _, port), inode in hostnet.busy().items():
        if (kind, port) == (protocol, number) and (owner := hostnet.process_with(inode)) is not None:
            return f" by {owner[1]} (process {owner[0]})"
    return ""
