"""Flows of UDP: which are forgotten, and how often the kernel is asked for it."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from typing import Any

import pytest

from effects import conntrack
from effects.netlink import Message, attribute, nested

HOST, OTHER, LOOPBACK = (socket.inet_aton(text) for text in ("10.0.0.1", "10.0.0.2", "127.0.0.53"))


def flow(to: bytes, port: int, number: int, protocol: int = socket.IPPROTO_UDP) -> bytes:
    """As the kernel tells of one: its tuple, and its id."""
    inner = attribute(1, bytes((protocol,))) + attribute(3, struct.pack(">H", port))
    began = nested(1, nested(1, attribute(2, to)) + nested(2, inner))
    return struct.pack(">BBH", socket.AF_INET, 0, 0) + began + attribute(12, struct.pack(">I", number))


class Kernel:
    """Answers with all flows, as one does that knows no filter."""

    def __init__(self, *flows: bytes) -> None:
        self.flows, self.asked, self.forgotten = flows, 0, set[int]()

    def ask(self, _step: str, _message: Message) -> Iterator[bytes]:
        self.asked += 1
        return iter(self.flows)

    def change(self, _step: str, messages: list[Message]) -> None:
        for message in messages:
            self.forgotten.add(message.payload[-1])


@pytest.mark.parametrize("more", [0, 500])
def test_only_flows_of_these_ports_are_forgotten_and_of_many_all_at_once(more: int) -> None:
    kernel: Any = Kernel(
        flow(HOST, 53, 1),
        flow(OTHER, 53, 2),
        flow(HOST, 54, 3),
        flow(LOOPBACK, 53, 4),
        flow(HOST, 53, 5, socket.IPPROTO_TCP),
    )
    ports = {53: {HOST}} | {1000 + n: {HOST} for n in range(more)}
    conntrack.forget(kernel, socket.AF_INET, ports)

    assert (kernel.forgotten, kernel.asked) == ({1, 4}, 1)
