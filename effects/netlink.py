"""Netlink, as far as we need it: messages, attributes, and one exchange after another. LEAN.

netlink(7), rtnetlink(7). What is asked for is done within the send: when a process of ours is killed, nothing
that it began goes on without it, as a program that it had started would.
"""

from __future__ import annotations

import _socket
import os
import struct

from effects.failure import StepFailed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

NETLINK_ROUTE, NETLINK_NETFILTER = 0, 12
NLM_F_REQUEST, NLM_F_ACK = 0x1, 0x4
NLM_F_DUMP = 0x300
NLM_F_REPLACE, NLM_F_EXCL, NLM_F_CREATE = 0x100, 0x200, 0x400

_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_NLM_F_DUMP_INTR = 0x10
_NLM_F_CAPPED, _NLM_F_ACK_TLVS = 0x100, 0x200
_NLMSGERR_ATTR_MSG = 1
_SOL_NETLINK, _SO_SNDBUFFORCE = 270, 32
_SMALL = 1 << 16  # bytes that a socket takes in one call as it is
_NETLINK_CAP_ACK, _NETLINK_EXT_ACK, _NETLINK_GET_STRICT_CHK = 10, 11, 12
_NLA_F_NESTED, _NLA_TYPE_MASK = 0x8000, 0x3FFF
_HEADER = struct.Struct("IHHII")
_ATTRIBUTE = struct.Struct("HH")
_ROOM = 1 << 18  # bytes of one answer: the kernel fills what it is given


class Changed(Exception):
    """A dump was interrupted (NLM_F_DUMP_INTR)."""


class Message:
    """One request: its kind (RTM_NEWLINK), flags besides NLM_F_REQUEST, and what follows the header."""

    __slots__ = ("flags", "kind", "payload")

    def __init__(self, kind: int, payload: bytes, flags: int = NLM_F_ACK) -> None:
        self.kind, self.payload, self.flags = kind, payload, flags


class Netlink:
    """A socket in the network namespace that this process is in when it is made.

    `groups`: of what it is told without having asked (RTMGRP_LINK).
    """

    def __init__(self, protocol: int, groups: int = 0) -> None:
        flags = _socket.SOCK_RAW | _socket.SOCK_CLOEXEC
        self._socket = _socket.socket(_socket.AF_NETLINK, flags, protocol)
        for option in (_NETLINK_CAP_ACK, _NETLINK_EXT_ACK, _NETLINK_GET_STRICT_CHK):
            self._socket.setsockopt(_SOL_NETLINK, option, 1)
        if groups:
            self._socket.bind((0, groups))
        self._sequence = 0

    def close(self) -> None:
        self._socket.close()

    def fileno(self) -> int:
        return self._socket.fileno()

    def __del__(self) -> None:
        self.close()  # of a host that a command asked something, and forgot

    def change(self, step: str, messages: Sequence[Message], path: str = "") -> None:
        """Carry all of them out, in one call; StepFailed with the first refusal."""
        self._send(messages)
        first: OSError | None = None
        waiting = sum(1 for message in messages if message.flags & NLM_F_ACK)
        while waiting:
            for kind, flags, payload in self._receive():
                if kind == _NLMSG_ERROR:
                    waiting -= 1
                    first = first or _refusal(step, flags, payload, path)
                    # Where the whole batch was refused, there is no answer to each.
                    waiting = 0 if first is not None else waiting
        if first is not None:
            self._drain()
            raise first

    def ask(self, step: str, message: Message) -> Iterator[bytes]:
        """The answers to one request, without their headers. StepFailed where it is refused."""
        while True:
            try:
                yield from self._answers(step, message)
            except Changed:
                continue
            return

    def told(self) -> list[tuple[int, bytes]]:
        """The next of what its groups are told: (kind, payload) of each. OSError (ENOBUFS) where some was lost."""
        return [(kind, payload) for kind, _flags, payload in self._receive()]

    def _answers(self, step: str, message: Message) -> list[bytes]:
        self._send([message])
        found: list[bytes] = []
        interrupted = False
        while True:
            for kind, flags, payload in self._receive():
                interrupted = interrupted or bool(flags & _NLM_F_DUMP_INTR)
                if kind == _NLMSG_DONE:
                    if interrupted:
                        raise Changed
                    return found
                if kind != _NLMSG_ERROR:
                    found.append(payload)
                    continue
                refusal = _refusal(step, flags, payload, "")
                if refusal is not None:
                    raise refusal
                return found

    def _send(self, messages: Sequence[Message]) -> None:
        data = b""
        for message in messages:
            self._sequence += 1
            length = _HEADER.size + len(message.payload)
            flags = message.flags | NLM_F_REQUEST
            data += _HEADER.pack(length, message.kind, flags, self._sequence, 0) + message.payload
        if len(data) > _SMALL:
            # A transaction is one call, however long.
            self._socket.setsockopt(_socket.SOL_SOCKET, _SO_SNDBUFFORCE, len(data))
        self._socket.send(data)

    def _receive(self) -> Iterator[tuple[int, int, bytes]]:
        """(type, flags, payload) of each message of one packet."""
        return _messages(self._socket.recv(_ROOM))

    def _drain(self) -> None:
        """Answers that nobody waits for any more."""
        self._socket.setblocking(False)
        try:
            while self._socket.recv(_ROOM):
                pass
        except BlockingIOError:
            self._socket.setblocking(True)


def _messages(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    place = 0
    while place < len(data):
        length, kind, flags, _sequence, _port = _HEADER.unpack_from(data, place)
        yield kind, flags, data[place + _HEADER.size : place + length]
        place += -length % 4 + length


def _refusal(step: str, flags: int, payload: bytes, path: str) -> OSError | None:
    """What an NLMSG_ERROR tells; None for an acknowledgement. With the kernel's own words, where it has some."""
    (code,) = struct.unpack_from("i", payload)
    if code == 0:
        return None
    message = os.strerror(-code)
    if flags & _NLM_F_ACK_TLVS:
        # Capped, the answer repeats the header of the request alone.
        (length,) = struct.unpack_from("I", payload, 4)
        start = 4 + (_HEADER.size if flags & _NLM_F_CAPPED else length)
        words = attributes(payload, start).get(_NLMSGERR_ATTR_MSG)
        message = f"{message} ({words.rstrip(bytes(1)).decode()})" if words else message
    return StepFailed(step, -code, message, path or None)


# --- attributes: a length, a type, and what they hold, padded to four bytes ----------------------------


def attribute(kind: int, value: bytes) -> bytes:
    return _ATTRIBUTE.pack(_ATTRIBUTE.size + len(value), kind) + value + bytes(-len(value) % 4)


def nested(kind: int, *inner: bytes) -> bytes:
    return attribute(kind | _NLA_F_NESTED, b"".join(inner))


def text(kind: int, value: str) -> bytes:
    return attribute(kind, value.encode() + b"\0")


def number(kind: int, value: int) -> bytes:
    return attribute(kind, struct.pack("I", value))


def attributes(data: bytes, place: int = 0) -> dict[int, bytes]:
    """Type -> value."""
    return dict(each_attribute(data, place))


def each_attribute(data: bytes, place: int = 0) -> Iterator[tuple[int, bytes]]:
    """Type and value of each, in order: of lists, whose items all have one type."""
    while place + _ATTRIBUTE.size <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, place)
        yield kind & _NLA_TYPE_MASK, data[place + _ATTRIBUTE.size : place + length]
        place += -length % 4 + length


def string(value: bytes | None) -> str:
    """The text of an attribute; "" for one that is not there."""
    return (value or b"").rstrip(b"\0").decode(errors="replace")


def integer(value: bytes | None) -> int:
    """Of four bytes; 0 for one that is not there."""
    return int(struct.unpack_from("I", value)[0]) if value else 0
