"""The monitor's side of the control socket: its clients, for a single-threaded poll loop. LEAN.

Nothing here ever blocks. What a client does not read is kept, within a bound; wake-ups are not.
"""

from __future__ import annotations

import _socket
import errno
import fcntl
import os
import select
import struct
import time

from effects.control import CLOSED, JSON, STDIN, BadPacket, Connection, close_all, pack

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_UCRED = struct.Struct("3i")  # pid, uid, gid: unix(7), SO_PEERCRED
_SIOCOUTQ = 0x5411  # bytes sent and not yet received: unix(7)
_MAX_CLIENTS = 256
_ABOUT = ("attached", "stdin", "held", "session")  # of a client, told to who goes on with it
_MAX_QUEUE = 1024
_RETRY = frozenset(
    (errno.EAGAIN, errno.ECONNABORTED, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS)
)


class Client:
    """A command that is connected. `attached` clients get wake-ups and new log files; `stdin` ones send stdin;
    `held` ones ask that no more output be taken from the container until they have caught up. `session`: the
    exec session whose joiner it is; there may be any number of these.
    """

    def __init__(self, connection: Connection, pid: int, uid: int) -> None:
        self.connection, self.pid, self.uid = connection, pid, uid
        self.fd = connection.fileno()  # what it was: a dropped client is still known by it
        self.attached = self.stdin = self.held = False
        self.session = ""
        self.queue: list[tuple[bytes, tuple[int, ...]]] = []


class Server:
    """All clients of one monitor. `listener` is what `control.listen` made; the server closes it."""

    def __init__(self, listener: _socket.socket | None = None) -> None:
        self.listener = listener
        self.clients: dict[int, Client] = {}

    def adopt(self, sock: _socket.socket) -> Client:
        """Take a connection that was made otherwise: the one that the monitor was started with."""
        pid, uid, _ = _UCRED.unpack(sock.getsockopt(_socket.SOL_SOCKET, _socket.SO_PEERCRED, _UCRED.size))
        client = Client(Connection(sock), pid, uid)
        self.clients[client.fd] = client
        return client

    def bequest(self) -> list[tuple[dict[str, Any], tuple[int, ...]]]:
        """All that another version of the program takes over (`cli.succession`): who listens, and who is connected.

        Clients that do not read what they were told are left behind.
        """
        left: list[tuple[dict[str, Any], tuple[int, ...]]] = []
        if self.listener:
            left.append(({"inherit": "listener"}, (self.listener.fileno(),)))
        for client in self.clients.values():
            if not client.queue:
                about = {name: getattr(client, name) for name in _ABOUT}
                left.append(({"inherit": "client", "fd": client.fd, **about}, (client.fd,)))
        return left

    def inherit(self, packet: dict[str, Any], fd: int) -> Client:
        """One of the clients that `bequest` told of."""
        client = self.adopt(_socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET, 0, fd))
        for name in _ABOUT:
            setattr(client, name, packet[name])
        return client

    def poll_fds(self, *, stdin_room: bool = True) -> list[tuple[int, int]]:
        """Descriptors and poll(2) events. Without room for stdin those who send it are not read: that
        is what slows them down. Their end is seen all the same (POLLHUP).
        """
        fds = []
        if self.listener and sum(not client.session for client in self.clients.values()) < _MAX_CLIENTS:
            fds.append((self.listener.fileno(), select.POLLIN))
        for fd, client in self.clients.items():
            reading = select.POLLIN if stdin_room or not client.stdin else 0
            fds.append((fd, reading | (select.POLLOUT if client.queue else 0)))
        return fds

    def ready(self, fd: int, events: int) -> list[tuple[Client, str, Any]]:
        """Serve a descriptor that poll found ready: (client, kind, payload), as `Connection.receive` has them.

        One packet at most, so that the caller can stop in time. CLOSED means that the client has been
        dropped. Descriptors that clients send are closed: the protocol has none in this direction.
        """
        if self.listener and fd == self.listener.fileno():
            self.accept()
            return []
        client = self.clients.get(fd)
        if client is None:
            return []
        if events & select.POLLOUT:
            self._send_queue(client)
        if events & select.POLLIN:
            return self._receive(client)
        if events & (select.POLLHUP | select.POLLERR):
            self.drop(client)
            return [(client, CLOSED, None)]
        return []

    def accept(self) -> Client | None:
        """The next client, if it may be one: root, or the user whose monitor this is."""
        if self.listener is None:
            return None
        try:
            # socket.socket.accept is a Python wrapper around it, and typeshed leaves it out.
            fd, _ = self.listener._accept()  # type: ignore[attr-defined] # noqa: SLF001
        except OSError as error:
            if error.errno in _RETRY:
                return None
            raise
        sock = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET, 0, fd)
        client = self.adopt(sock)
        if client.uid not in (0, os.geteuid()):
            self.drop(client)
            return None
        return client

    def tell(self, client: Client, message: dict[str, Any], fds: tuple[int, ...] = ()) -> None:
        """Send, or keep until the client reads. The descriptors are closed when they have been sent.

        A client that has gone, or leaves more than 1,024 messages unread, is told no more: the next
        `ready` says CLOSED.
        """
        if self.clients.get(client.fd) is not client:
            close_all(fds)
            return
        client.queue.append((pack(message), fds))
        if len(client.queue) > _MAX_QUEUE:
            self.hang_up(client)
        self._send_queue(client)

    def broadcast_wake(self) -> None:
        """Tell all attached clients that the logs have grown. One that has not read its last packet
        yet is told nothing: it will look at the logs after that anyway.
        """
        for client in list(self.clients.values()):
            if client.attached and not client.queue and not _unread(client.fd):
                try:
                    client.connection.send_packet(b"W")
                except OSError:
                    self.hang_up(client)

    def held(self) -> bool:
        """Whether an attached client asks to wait with the container's output."""
        return any(client.held for client in self.clients.values())

    def flush(self, seconds: float) -> bool:
        """Before the end: wait until all that was told has been sent; False when the time is over."""
        end = time.monotonic() + seconds
        while waiting := [client for client in self.clients.values() if client.queue]:
            left = end - time.monotonic()
            poller = select.poll()
            for client in waiting:
                poller.register(client.fd, select.POLLOUT)
            if left <= 0 or not (ready := poller.poll(int(left * 1000) + 1)):
                return False
            for fd, _ in ready:
                self._send_queue(self.clients[fd])
        return True

    def drop(self, client: Client) -> None:
        """Close the connection and forget the client; nothing if that was done already."""
        if self.clients.get(client.fd) is not client:
            return
        del self.clients[client.fd]
        self.hang_up(client)
        client.connection.close()

    def close(self) -> None:
        """Drop all clients and stop listening; the socket's name stays (it goes with the directory)."""
        for client in list(self.clients.values()):
            self.drop(client)
        if self.listener:
            self.listener.close()
            self.listener = None

    def _receive(self, client: Client) -> list[tuple[Client, str, Any]]:
        try:
            packet = client.connection.receive()
        except BadPacket as error:
            self.tell(client, {"event": "error", "message": str(error)})
            self.drop(client)
            return [(client, CLOSED, None)]
        if packet is None:
            return []
        kind, payload, fds = packet
        close_all(fds)
        if kind == CLOSED:
            self.drop(client)
        elif kind == JSON and payload.get("op") in ("hold", "go"):
            client.held = payload["op"] == "hold"
            return []
        elif kind == STDIN and not client.stdin:
            return []  # it did not ask for stdin when it attached
        return [(client, kind, payload)]

    def _send_queue(self, client: Client) -> None:
        while client.queue:
            packet, fds = client.queue[0]
            try:
                if not client.connection.send_packet(packet, fds):
                    return
            except OSError:
                self.hang_up(client)
                return
            del client.queue[0]
            close_all(fds)

    def hang_up(self, client: Client) -> None:
        """End it from our side; the next `ready` says CLOSED, as for one that went by itself."""
        for _, fds in client.queue:
            close_all(fds)
        client.queue = []
        client.connection.shut()


def _unread(fd: int) -> int:
    return int.from_bytes(fcntl.ioctl(fd, _SIOCOUTQ, bytes(4)), "little")
