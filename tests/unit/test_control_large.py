"""Messages that no socket takes in one packet: a long argv, many variables."""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Iterator

import pytest

from cli import handover
from effects.control import CLOSED, BadPacket, Connection, pack

MIB = 1 << 20
SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


@pytest.fixture
def ends() -> Iterator[tuple[Connection, Connection]]:
    pair = tuple(map(Connection, handover.pair()))
    yield pair[0], pair[1]
    for end in pair:
        end.close()


def memfd(content: bytes, seals: int = SEALS) -> int:
    file = os.memfd_create("test", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.write(file, content)
    fcntl.fcntl(file, fcntl.F_ADD_SEALS, seals)
    return file


@pytest.mark.parametrize("length", [10, 60_000, 70_000, 250_000, MIB, 8 * MIB])
def test_a_message_of_any_length_arrives_whole_with_its_descriptors(
    ends: tuple[Connection, Connection], length: int
) -> None:
    message = {"argv": ["x" * length, "\udcff"]}
    reader, writer = os.pipe()

    assert ends[0].send(message, (writer,))
    os.close(writer)
    kind, got, fds = ends[1].receive(wait=True) or (CLOSED, None, [])

    assert (kind, got, len(fds)) == ("J", message, 1)
    os.write(fds[0], b"x")
    os.close(fds[0])
    assert os.read(reader, 2) == b"x"
    os.close(reader)


def _no_look(rows: list[object], answer: int) -> None:
    raise AssertionError


def test_a_hand_over_may_be_large_too(ends: tuple[Connection, Connection]) -> None:
    handover.give(ends[0], {"container": "c" * MIB}, [ends[0].fileno()])
    request, fds = handover.receive(ends[1].sock, _no_look)

    assert (len(request["container"]), len(fds)) == (MIB, 1)
    os.close(fds[0])


@pytest.mark.parametrize(
    ("content", "seals"),
    [
        (pack({}), fcntl.F_SEAL_GROW),  # whoever can still write to it could change what was checked
        (b"", SEALS),
        (b"I stdin has a way of its own", SEALS),
        (b"J no json", SEALS),
    ],
)
def test_a_file_that_holds_no_message_is_refused_and_closed(
    ends: tuple[Connection, Connection], content: bytes, seals: int
) -> None:
    before = len(os.listdir("/proc/self/fd"))
    file = memfd(content, seals)
    ends[0].send_packet(b"M", (file,))
    os.close(file)

    with pytest.raises(BadPacket):
        ends[1].receive(wait=True)
    assert len(os.listdir("/proc/self/fd")) == before


def test_an_ordinary_file_or_none_at_all_is_refused(
    ends: tuple[Connection, Connection], tmp_path: os.PathLike[str]
) -> None:
    path = os.path.join(tmp_path, "file")
    with open(path, "wb") as file:
        file.write(pack({}))
        file.flush()
        ends[0].send_packet(b"M", (file.fileno(),))
    ends[0].send_packet(b"M")

    for _ in range(2):
        with pytest.raises(BadPacket):
            ends[1].receive(wait=True)


def test_a_large_message_to_somebody_who_does_not_read_waits_for_nobody() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        connection = Connection(ours)
        while connection.send({"x": "x" * MIB}):
            pass
