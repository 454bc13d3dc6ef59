"""Who attaches is handed the log files, each new one too, and is told what becomes of its stdin."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cli import handover
from effects.control import Connection
from effects.control_server import Client, Server
from effects.stdio import Stdio


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.close()


@pytest.fixture
def stdio(tmp_path: Path, server: Server) -> Iterator[Stdio]:
    """Of a container whose logs hold two files of 1,000 bytes."""
    (tmp_path / "log").mkdir()
    for name in ("stdout", "stderr"):
        os.mkfifo(tmp_path / name, 0o600)
    made = Stdio.over_fifos(
        f"{tmp_path}/log", f"{tmp_path}/stdout", f"{tmp_path}/stderr", stdin=True, max_size=1000, keep=2
    )
    made.server = server
    yield made
    made.close()


def joined(server: Server) -> tuple[Connection, Client]:
    ours, theirs = handover.pair()
    return Connection(ours), server.adopt(theirs)


def answer(connection: Connection) -> tuple[dict[str, Any], list[bytes]]:
    """The next message, and what is in the files that came with it."""
    packet = connection.receive()
    assert packet is not None
    contents = [os.pread(fd, 1 << 20, 0) for fd in packet[2]]
    for fd in packet[2]:
        os.close(fd)
    return packet[1], contents


@pytest.mark.parametrize(
    ("start", "at", "bases"),
    [
        (None, 2500, [2000]),
        ({"stdout": 2400}, 2400, [2000]),
        ({"stdout": 1999}, 1999, [1000, 2000]),
        ({"stdout": 0}, 1000, [1000, 2000]),
        ({"stdout": 10**12, "stderr": -1}, 2500, [2000]),
        ({"stdout": "nonsense"}, 2500, [2000]),
        ("nonsense", 2500, [2000]),
    ],
)
def test_who_attaches_is_handed_the_log_files_from_where_it_wants_to_read(
    stdio: Stdio, server: Server, start: object, at: int, bases: list[int]
) -> None:
    stdio.logs["stdout"].write(bytes(2500))
    command, client = joined(server)
    stdio.attach(server, client, {"op": "attach", "stdin": False, "from": start})
    message, contents = answer(command)
    assert message["event"] == "attached"
    assert message["tty"] is False
    assert message["at"] == {"stdout": at, "stderr": 0}
    assert message["files"] == [["stdout", base] for base in bases] + [["stderr", 0]]
    assert [len(content) for content in contents] == [1000] * (len(bases) - 1) + [500, 0]
    assert (client.attached, client.stdin) == (True, False)
    command.close()


def test_who_is_attached_is_handed_each_new_file(stdio: Stdio, server: Server) -> None:
    command, client = joined(server)
    stranger, _ = joined(server)
    stdio.attach(server, client, {"stdin": True})
    answer(command)
    stdio.logs["stderr"].write(bytes(2100))
    assert answer(command)[0] == {"event": "file", "stream": "stderr", "base": 1000}
    message, (content,) = answer(command)
    assert (message["base"], len(content)) == (2000, 100)
    assert command.receive() is None
    assert stranger.receive() is None
    for connection in (command, stranger):
        connection.close()


def test_a_file_that_cannot_be_handed_over_costs_the_client_not_the_log(
    stdio: Stdio, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    command, client = joined(server)
    stdio.attach(server, client, {})
    answer(command)
    out = stdio.logs["stdout"]

    def open_from(_offset: int | None = None) -> list[tuple[int, int]]:
        raise OSError(errno.EMFILE, "too many open files")

    monkeypatch.setattr(out, "open_from", open_from)
    out.write(bytes(1500))
    assert (out.end, out.lost) == (1500, 0)
    assert command.receive() == ("", None, [])
    command.close()


def test_a_closed_stdin_is_told_and_takes_no_more(stdio: Stdio, server: Server) -> None:
    typist, client = joined(server)
    client.stdin = True
    stdio.started()
    stdio.feed(b"nobody reads this")
    assert typist.receive() == ("J", {"event": "stdin_closed"}, [])
    stdio.feed(b"nor this")
    stdio.end_stdin()
    assert stdio.wants_write() is None
    assert stdio.stdin_room()
    typist.close()
