"""The control socket: packets whole, nothing blocks, nobody else gets in, every end is told once."""

from __future__ import annotations

import os
import select
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli import handover
from effects import control
from effects.control import BadPacket, Connection
from effects.control_server import Client, Server

MS = 10_000


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Deeper than sun_path is long."""
    deep = tmp_path / ("d" * 120) / ("e" * 120)
    deep.mkdir(parents=True)
    return deep


@pytest.fixture
def server(directory: Path) -> Iterator[Server]:
    made = Server(control.listen(str(directory)))
    yield made
    made.close()


Join = Callable[[], tuple[Connection, Client]]


@pytest.fixture
def join(server: Server, directory: Path) -> Iterator[Join]:
    """Connects one more client; gives both ends of the connection."""
    opened: list[Connection] = []

    def connect() -> tuple[Connection, Client]:
        connection = control.connect(str(directory))
        assert connection is not None
        opened.append(connection)
        before = set(server.clients)
        assert serve(server) == []
        (fd,) = set(server.clients) - before
        return connection, server.clients[fd]

    yield connect
    for connection in opened:
        connection.close()


def serve(server: Server, **options: bool) -> list[tuple[Client, str, Any]]:
    """One turn of a monitor's loop; waits until there is something."""
    poller = select.poll()
    for fd, events in server.poll_fds(**options):
        poller.register(fd, events)
    ready = poller.poll(MS)
    assert ready, "nothing came"
    return [packet for fd, events in ready for packet in server.ready(fd, events)]


def fill(connection: Connection) -> int:
    """Send until no more is taken; returns how many packets that were."""
    count = 0
    while connection.send({"op": "wait"}):
        count += 1
    return count


def test_nobody_listens_where_nothing_is(directory: Path) -> None:
    assert control.connect(str(directory)) is None
    assert control.connect(str(directory / "gone")) is None


def test_a_dead_monitors_socket_is_nobody_and_the_next_monitor_replaces_it(directory: Path) -> None:
    control.listen(str(directory)).close()
    assert (directory / "control").is_socket()
    assert control.connect(str(directory)) is None
    successor = Server(control.listen(str(directory)))
    connection = control.connect(str(directory))
    assert connection is not None
    assert serve(successor) == []
    assert len(successor.clients) == 1
    connection.close()
    successor.close()


@pytest.mark.parametrize("umask", [0o000, 0o777])
def test_the_socket_is_0600_whatever_the_umask(directory: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        control.listen(str(directory)).close()
    finally:
        os.umask(before)
    assert (directory / "control").stat().st_mode & 0o7777 == 0o600


def test_nobody_else_can_connect_for_a_moment_either(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "chmod", lambda *_args: None)
    before = os.umask(0)
    try:
        control.listen(str(directory)).close()
    finally:
        os.umask(before)
    assert (directory / "control").stat().st_mode & 0o7777 == 0o600


STRANGER = """
import os, sys
from effects import control
os.setuid(65534)
connection = control.connect(sys.argv[1])
print(connection.receive(wait=True)[0] == control.CLOSED)
"""


@pytest.mark.root
def test_another_user_is_hung_up_on_even_where_modes_let_it_in(
    server: Server, directory: Path, tmp_path: Path
) -> None:
    (directory / "control").chmod(0o666)
    for parent in [tmp_path, *tmp_path.parents][:3]:
        parent.chmod(0o755)
    with subprocess.Popen(
        [sys.executable, "-c", STRANGER, directory], cwd=Path(__file__).parents[2], stdout=subprocess.PIPE
    ) as stranger:
        assert serve(server) == []
        assert server.clients == {}
        assert stranger.communicate(timeout=60)[0] == b"True\n"


def test_the_server_knows_who_its_clients_are(server: Server, join: Join) -> None:
    _, client = join()
    assert (client.pid, client.uid) == (os.getpid(), os.geteuid())


@pytest.mark.parametrize(
    ("packet", "kind", "payload"),
    [
        (b'J{"op":"attach","stdin":true}', "J", {"op": "attach", "stdin": True}),
        (b"Iab\0\xff", "I", b"ab\0\xff"),
        (b"I" + bytes(1 << 16), "I", bytes(1 << 16)),
        (b"E", "E", None),
        (b"W", "W", None),
    ],
)
def test_packets_arrive_as_they_were_sent(packet: bytes, kind: str, payload: object) -> None:
    assert control.unpack(packet) == (kind, payload)


@pytest.mark.parametrize(
    "packet", [b"X", b"J", b"J[]", b"J1", b"J{}}", b"J\xff", b"J" + b"[" * 60_000, b"Jnope"]
)
def test_what_the_protocol_does_not_have_is_refused(packet: bytes) -> None:
    with pytest.raises(BadPacket):
        control.unpack(packet)


@given(st.binary(min_size=1, max_size=100))
def test_no_packet_does_anything_but_mean_something_or_be_refused(packet: bytes) -> None:
    try:
        kind, _ = control.unpack(packet)
    except BadPacket:
        return
    assert kind in ("J", "I", "E", "W")


def test_a_bad_or_overlong_packet_ends_the_connection_and_says_why(server: Server, join: Join) -> None:
    for packet in (b"Jnonsense", b"I" + bytes((1 << 16) + 1)):
        connection, client = join()
        connection.send_packet(packet)
        assert serve(server) == [(client, control.CLOSED, None)]
        answer = connection.receive()
        assert answer is not None
        assert answer[1]["event"] == "error"
        assert connection.receive() == (control.CLOSED, None, [])
        connection.close()


def test_stdin_comes_only_from_those_who_asked_for_it(server: Server, join: Join) -> None:
    connection, client = join()
    connection.send_packet(b"Iignored")
    assert serve(server) == []
    client.stdin = True
    connection.send_packet(b"Itaken")
    connection.send_packet(b"E")
    assert serve(server) == [(client, "I", b"taken")]
    assert serve(server) == [(client, "E", None)]


def test_without_room_for_stdin_only_those_who_send_it_wait(server: Server, join: Join) -> None:
    typist, client = join()
    other, other_client = join()
    client.stdin = True
    typist.send_packet(b"Itext")
    other.send({"op": "settle"})
    assert serve(server, stdin_room=False) == [(other_client, "J", {"op": "settle"})]
    assert serve(server, stdin_room=True) == [(client, "I", b"text")]
    typist.close()
    assert serve(server, stdin_room=False) == [(client, control.CLOSED, None)]


def test_descriptors_travel_with_a_message_and_are_closed_on_our_side(server: Server, join: Join) -> None:
    connection, client = join()
    reader, writer = os.pipe()
    server.tell(client, {"event": "file"}, (writer,))
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(writer)
    packet = connection.receive()
    assert packet is not None
    os.write(packet[2][0], b"through")
    assert not os.get_inheritable(packet[2][0])
    assert os.read(reader, 10) == b"through"
    os.close(packet[2][0])
    os.close(reader)


def test_wake_ups_are_never_waited_for_and_one_unread_packet_is_enough(server: Server, join: Join) -> None:
    connection, client = join()
    server.broadcast_wake()
    assert connection.receive() is None, "it has not attached"
    client.attached = True
    for _ in range(10_000):
        server.broadcast_wake()
    assert connection.receive() == ("W", None, [])
    assert connection.receive() is None
    server.broadcast_wake()
    assert connection.receive() == ("W", None, [])


def test_messages_to_a_slow_client_are_kept_in_order(server: Server, join: Join) -> None:
    connection, client = join()
    for number in range(1000):
        server.tell(client, {"event": "file", "base": number, "filler": "x" * 500})
    assert client.queue, "the socket holds less than that"
    assert not server.flush(0), "nobody reads"
    got: list[int] = []
    while len(got) < 1000:
        packet = connection.receive()
        if packet is None:
            server.ready(client.fd, select.POLLOUT)
        else:
            got.append(packet[1]["base"])
    assert got == list(range(1000))
    assert server.flush(0)


def test_a_client_that_never_reads_is_hung_up_on_in_the_end(server: Server, join: Join) -> None:
    connection, client = join()
    reader, writer = os.pipe()
    for _ in range(5000):
        server.tell(client, {"event": "file", "filler": "x" * 500}, (os.dup(writer),))
    os.close(writer)
    assert serve(server) == [(client, control.CLOSED, None)]
    assert serve_nothing(server)
    connection.close()  # with it go those that were sent
    assert os.read(reader, 1) == b"", "no descriptor is left over"
    os.close(reader)


def serve_nothing(server: Server) -> bool:
    poller = select.poll()
    for fd, events in server.poll_fds():
        poller.register(fd, events)
    return poller.poll(0) == []


def test_the_end_of_a_client_is_told_once_also_if_a_message_noticed_it_first(
    server: Server, join: Join
) -> None:
    connection, client = join()
    client.attached = True
    fd = client.fd
    connection.close()
    server.broadcast_wake()
    server.tell(client, {"event": "exit"})
    assert serve(server) == [(client, control.CLOSED, None)]
    assert client.fd == fd, "what was kept under its number is found"
    server.tell(client, {"event": "late"})
    assert serve_nothing(server)


@pytest.mark.parametrize("wait", [False, True])
def test_the_last_word_is_heard_though_what_we_said_was_not(
    server: Server, join: Join, *, wait: bool
) -> None:
    connection, client = join()
    connection.send_packet(b"E")  # the container's stdin has ended, which the monitor no longer reads
    server.tell(client, {"event": "exit", "code": 0})
    server.drop(client)

    assert connection.receive(wait=wait) == (control.JSON, {"event": "exit", "code": 0}, [])
    assert connection.receive(wait=wait) == (control.CLOSED, None, [])


def test_output_is_held_as_long_as_a_client_asks_and_lives(server: Server, join: Join) -> None:
    connection, _ = join()
    for op, held in (("hold", True), ("go", False), ("hold", True)):
        connection.send({"op": op})
        assert serve(server) == []
        assert server.held() is held
    connection.close()
    serve(server)
    assert not server.held()


def test_a_connection_made_at_the_start_is_a_client_like_any(server: Server) -> None:
    ours, theirs = handover.pair()
    client = server.adopt(theirs)
    connection = Connection(ours)
    connection.send({"op": "attach"})
    assert serve(server) == [(client, "J", {"op": "attach"})]
    connection.close()
    assert serve(server) == [(client, control.CLOSED, None)]


def test_sending_to_a_server_that_does_not_read_says_so_instead_of_waiting(
    server: Server, join: Join
) -> None:
    connection, client = join()
    count = fill(connection)
    assert count > 10
    for _ in range(count):
        assert serve(server) == [(client, "J", {"op": "wait"})]
    assert connection.send({"op": "wait"})


def test_connecting_to_a_stuck_monitor_gives_up(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "_CONNECT_SECONDS", 0.01)
    monkeypatch.setattr(
        struct, "pack", lambda _format, _seconds, _rest: b"\0" * 8 + (10_000).to_bytes(8, "little")
    )
    listener = control.listen(str(directory), backlog=0)
    waiting = control.connect(str(directory))
    assert waiting is not None
    with pytest.raises(TimeoutError):
        control.connect(str(directory))
    waiting.close()
    listener.close()


def test_receiving_can_wait(server: Server, join: Join) -> None:
    connection, client = join()
    assert connection.receive() is None
    server.tell(client, {"event": "settled"})
    assert connection.receive(wait=True) == ("J", {"event": "settled"}, [])
    server.close()
    assert connection.receive(wait=True) == (control.CLOSED, None, [])
