"""How a command speaks with a container's monitor: packets over a unix socket, `control` in its directory. LEAN.

SOCK_SEQPACKET: a packet comes whole or not at all, and the end of either process is the end of the connection.
The first byte says what it is:

J  a JSON object; descriptors may come along (SCM_RIGHTS)
I  bytes for the container's stdin, at most 64 KiB
E  stdin has ended
W  wake up: the logs have grown
M  a J that is too long for a socket (long argv, many variables): it lies in a sealed memfd, the last descriptor

To the monitor: {"op": "attach", "stdin": bool, "from": {"stdout": n, "stderr": n}?}, {"op": "resize", "rows": n,
"cols": n}, {"op": "settle", "observe": bool?, "code": argv?} (how the helper of the sender's version is started,
`cli.succession`), {"op": "freeze"} (the end of that connection thaws), {"op": "wait"}, {"op": "hold"}
and {"op": "go"}, by which a foreground command makes the container wait for a reader that is slow, and of the joiner
of a detached session {"op": "exec", "exec": id} and {"op": "exec_ended", "code": n}.
From it: {"event": "attached", "tty": bool, "at": {stream: n}, "files": [[stream, base], ...]} with one read-only
descriptor per file, {"event": "file", "stream": s, "base": n} with that of a file begun by a rotation,
{"event": "stdin_closed"}, {"event": "exit", "code": n, "ends": {stream: n}, "lost": {stream: n}},
{"event": "settled", ...}, {"event": "error", "message": s}.
Either end may be of an older version: requests, events and keys come, none goes or changes; unknown ones are skipped.
Offsets are logical: of all bytes that the stream has had since the container was made.

Paths of containers are longer than the 108 bytes of sun_path, so both ends name the socket as
/proc/self/fd/DIRFD/control.
"""

from __future__ import annotations

import _socket
import errno
import fcntl
import os
import struct

from eventstore.plainjson import dumps, loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

NAME = "control"
JSON, STDIN, END, WAKE = "J", "I", "E", "W"
CLOSED = ""  # the kind of the packet that never comes: the other side has gone
MAX_DATA = 1 << 16
_MAX_PACKET = 1 + MAX_DATA
_MAX_FDS = 16
_FILE = b"M"
# execve takes 6 MiB of argv and environment at most; as JSON no more than six times that.
_MAX_FILE = 32 << 20
_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
_TYPE = _socket.SOCK_SEQPACKET | _socket.SOCK_CLOEXEC
_CONNECT_SECONDS = 10
_FLAGS = _socket.MSG_NOSIGNAL | _socket.MSG_DONTWAIT


class BadPacket(Exception):
    """The other side sent what the protocol does not have."""


class Connection:
    """One end of a connection. Receiving takes the descriptors along: the caller closes them."""

    def __init__(self, sock: _socket.socket) -> None:
        self.sock = sock

    def fileno(self) -> int:
        return self.sock.fileno()

    def send(self, message: dict[str, Any], fds: tuple[int, ...] = ()) -> bool:
        """False if the other side is slow and nothing was sent. BrokenPipeError or ConnectionResetError
        if it has gone.
        """
        return self.send_packet(pack(message), fds)

    def send_packet(self, packet: bytes, fds: tuple[int, ...] = ()) -> bool:
        if len(packet) > _MAX_PACKET and packet.startswith(b"J"):
            return self._send_file(packet, fds)
        rights = [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, struct.pack(f"{len(fds)}i", *fds))] if fds else []
        try:
            self.sock.sendmsg([packet], rights, _FLAGS)
        except BlockingIOError:
            return False
        return True

    def _send_file(self, packet: bytes, fds: tuple[int, ...]) -> bool:
        file = _sealed(packet)
        try:
            return self.send_packet(_FILE, (*fds, file))
        finally:
            os.close(file)

    def receive(self, *, wait: bool = False) -> tuple[str, Any, list[int]] | None:
        """The next packet as kind, payload (dict for JSON, bytes for STDIN, else None) and descriptors.

        None if there is none yet and `wait` is false. CLOSED if the other side has gone, whatever way.
        Raises BadPacket.
        """
        flags = _socket.MSG_CMSG_CLOEXEC | (0 if wait else _socket.MSG_DONTWAIT)
        try:
            data, ancillary, said = self._take(flags)
        except BlockingIOError:
            return None
        fds = _descriptors(ancillary)
        if not data:
            return CLOSED, None, fds
        try:
            whole = not said & (_socket.MSG_TRUNC | _socket.MSG_CTRUNC)
            if data == _FILE and whole:
                data = _unsealed(fds)
            return (*unpack(data, whole=whole), fds)
        except BadPacket:
            close_all(fds)
            raise

    def _take(self, flags: int) -> tuple[bytes, list[tuple[int, int, bytes]], int]:
        room = _MAX_PACKET, _socket.CMSG_SPACE(_MAX_FDS * 4)
        try:
            return self.sock.recvmsg(*room, flags)[:3]
        except ConnectionResetError:
            # The other side went without reading all of ours. Linux says so once, before what it had still sent: an exit code.
            return self.sock.recvmsg(*room, flags)[:3]

    def shut(self) -> None:
        """End it in both directions; the descriptor stays open."""
        try:
            self.sock.shutdown(_socket.SHUT_RDWR)
        except OSError as error:
            if error.errno != errno.ENOTCONN:
                raise

    def close(self) -> None:
        self.sock.close()


def pack(message: dict[str, Any]) -> bytes:
    return b"J" + dumps(message)


def unpack(data: bytes, *, whole: bool = True) -> tuple[str, Any]:
    """Kind and payload of a packet. Raises BadPacket."""
    if not whole:
        raise BadPacket("the packet is too long")
    kind, rest = chr(data[0]), data[1:]
    if kind == STDIN:
        return kind, rest
    if kind in (END, WAKE):
        return kind, None
    if kind != JSON:
        raise BadPacket(f"no packet begins with {kind!r}")
    try:
        message = loads(rest)
    except (ValueError, RecursionError) as error:
        raise BadPacket(f"not JSON: {error}") from None
    if not isinstance(message, dict):
        raise BadPacket("not a JSON object")
    return kind, message


def _sealed(packet: bytes) -> int:
    """A file in memory that nobody can change any more (memfd_create(2), F_ADD_SEALS of fcntl(2))."""
    file = os.memfd_create("packet", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        rest = memoryview(packet)
        while rest:
            rest = rest[os.write(file, rest) :]
        fcntl.fcntl(file, fcntl.F_ADD_SEALS, _SEALS)
    except OSError:
        os.close(file)
        raise
    return file


def _unsealed(fds: list[int]) -> bytes:
    """The packet in the last of the descriptors, which is taken away. BadPacket if it is no file as `_sealed` makes them."""
    if not fds:
        raise BadPacket("the file that holds it did not come along")
    file = fds.pop()
    try:
        size = os.fstat(file).st_size
        if fcntl.fcntl(file, fcntl.F_GET_SEALS) & _SEALS != _SEALS or not 0 < size <= _MAX_FILE:
            raise BadPacket("the file that holds it can change, or is too long")
        packet = os.pread(file, size, 0)
    except OSError as error:
        raise BadPacket(f"no memfd holds it: {error.strerror}") from None
    finally:
        os.close(file)
    if not packet.startswith(b"J"):
        raise BadPacket("only JSON may come as a file")
    return packet


def listen(container_dir: str, inherited: int = -1, backlog: int = 64) -> _socket.socket:
    """The listening socket `control`, mode 0600. A dead monitor's is replaced: the container's lock, which
    the caller holds, says that there is no living one. `inherited`: it is ours already, with who waits there.
    """
    if inherited >= 0:
        return _socket.socket(_socket.AF_UNIX, _TYPE, 0, inherited)
    sock = _socket.socket(_socket.AF_UNIX, _TYPE)
    dir_fd = os.open(container_dir, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _remove(NAME, dir_fd)
        os.fchmod(sock.fileno(), 0o600)  # bind takes the mode from here, less the umask
        sock.bind(f"/proc/self/fd/{dir_fd}/{NAME}")
        os.chmod(f"/proc/self/fd/{dir_fd}/{NAME}", 0o600)
        sock.listen(backlog)
        sock.setblocking(False)
    except OSError:
        sock.close()
        raise
    finally:
        os.close(dir_fd)
    return sock


def connect(container_dir: str) -> Connection | None:
    """None when no monitor listens there. TimeoutError if one does and takes no more connections."""
    try:
        dir_fd = os.open(container_dir, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    sock = _socket.socket(_socket.AF_UNIX, _TYPE)
    try:
        # A full backlog makes connect(2) wait as long as the send timeout says (unix(7)), then EAGAIN.
        sock.setsockopt(_socket.SOL_SOCKET, _socket.SO_SNDTIMEO, struct.pack("ll", _CONNECT_SECONDS, 0))
        sock.connect(f"/proc/self/fd/{dir_fd}/{NAME}")
    except (FileNotFoundError, ConnectionRefusedError):
        sock.close()
        return None
    except BlockingIOError:
        sock.close()
        raise TimeoutError(errno.ETIMEDOUT, "the monitor does not answer", container_dir) from None
    except OSError:
        sock.close()
        raise
    finally:
        os.close(dir_fd)
    return Connection(sock)


def _remove(name: str, dir_fd: int) -> None:
    try:
        os.unlink(name, dir_fd=dir_fd)
    except FileNotFoundError:
        return


def _descriptors(ancillary: list[tuple[int, int, bytes]]) -> list[int]:
    fds: list[int] = []
    for level, kind, payload in ancillary:
        if level == _socket.SOL_SOCKET and kind == _socket.SCM_RIGHTS:
            count = len(payload) // 4
            fds.extend(struct.unpack(f"{count}i", payload[: count * 4]))
    return fds


def close_all(fds: Iterable[int]) -> None:
    """Descriptors that came with a packet and are not wanted."""
    for fd in fds:
        os.close(fd)
