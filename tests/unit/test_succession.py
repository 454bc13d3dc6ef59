"""What a monitor leaves to another version of its program: understood by this one, whoever wrote it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import cli.heir
import cli.monitor
from cli import handover, succession
from effects import control, interpreter, vintage
from effects.control import Connection
from effects.control_server import Server
from effects.stdio import Stdio
from tests.upgrades import Version

# As the first version writes them. Never changed: it may run for years.
LISTENER = {"inherit": "listener"}
CLIENT = {
    "inherit": "client",
    "fd": 9,
    "attached": True,
    "stdin": True,
    "held": False,
    "session": "a1",
    "freezes": False,
    "asked": {"op": "settle"},
}
STDIO = {"inherit": "stdio", "stdin": True, "pending": "typed\u00ff", "ending": False, "line_open": True}
ENDING = {"inherit": "ending", "status": -9}
HOME = {"inherit": "home", "facts": {"leaf": "x"}}


@pytest.fixture
def ends() -> Iterator[tuple[Connection, Connection]]:
    ours, theirs = (Connection(end) for end in handover.pair())
    yield ours, theirs
    ours.close()
    theirs.close()


def test_all_that_the_first_version_leaves_is_taken_over(
    ends: tuple[Connection, Connection], tmp_path: Path
) -> None:
    ours, theirs = ends
    listener = control.listen(str(tmp_path))
    reader, writer = os.pipe()
    client, commands = handover.pair()
    ours.send(LISTENER, (listener.fileno(),))
    ours.send(CLIENT, (client.fileno(),))
    ours.send(STDIO, (writer, reader))
    ours.send(ENDING)
    ours.send(HOME)
    ours.send({"inherit": "what is not thought of yet"}, (reader,))
    ours.shut()

    estate = succession.Estate(theirs)
    server = Server(control.listen("nowhere", estate.listener))
    [(packet, left)] = estate.clients
    one = server.inherit(packet, left)
    for name in ("stdout", "stderr"):
        os.mkfifo(tmp_path / name)
    (tmp_path / "log").mkdir()
    stdio = Stdio.over_fifos(f"{tmp_path}/log", f"{tmp_path}/stdout", f"{tmp_path}/stderr")
    assert estate.stdio is not None
    stdio.inherit(*estate.stdio)
    stdio.flush_stdin()

    caller = control.connect(str(tmp_path))
    assert caller is not None  # somebody listens
    assert (one.attached, one.stdin, one.held, one.session) == (True, True, False, "a1")
    assert os.read(reader, 100) == b"typed\xff"
    assert (estate.status, estate.home, packet["asked"]) == (-9, {"leaf": "x"}, {"op": "settle"})
    stdio.close()
    server.close()
    for end in (listener, client, commands, caller):
        end.close()
    for fd in (reader, writer):
        os.close(fd)


def test_what_this_version_leaves_has_the_same_keys(tmp_path: Path) -> None:
    server = Server(control.listen(str(tmp_path)))
    ours, theirs = handover.pair()
    server.adopt(theirs)
    for name in ("stdout", "stderr"):
        os.mkfifo(tmp_path / name)
    (tmp_path / "log").mkdir()
    stdio = Stdio.over_fifos(f"{tmp_path}/log", f"{tmp_path}/stdout", f"{tmp_path}/stderr")

    listener, client = server.bequest()

    assert listener[0].keys() == LISTENER.keys()
    assert client[0].keys() | {"freezes", "asked"} == CLIENT.keys()  # these two are others' to tell
    assert stdio.bequest()[0].keys() == STDIO.keys()
    stdio.close()
    server.close()
    ours.close()


def test_the_names_that_other_versions_call_are_there() -> None:
    assert succession.HELPER == cli.heir.__name__ == "cli.heir"
    assert all(callable(entry) for entry in (cli.heir.main, cli.monitor.main, interpreter._enter))


AWAKE = """
import sys
sys.path.insert(0, sys.argv[1])
from effects import interpreter, vintage
vintage.watch()
print("watching", flush=True)
input()
def outcome(act):
    try:
        act()
    except vintage.Outdated:
        return "outdated"
    return "done"
print(outcome(lambda: __import__("machine.world")), outcome(lambda: interpreter.spawn("cli.heir", [])))
"""


@pytest.mark.parametrize("change", ["replaced", "overwritten", "one file more", "removed", "left alone"])
def test_a_process_that_watches_loads_nothing_of_a_program_that_was(tmp_path: Path, change: str) -> None:
    version = Version(tmp_path / "program")
    version.put()
    process = subprocess.Popen(
        [sys.executable, "-I", "-B", "-c", AWAKE, str(version.place)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "watching\n"

    if change == "replaced":
        version.put()
    elif change == "overwritten":  # as by cp -r
        file = version.place / "machine" / "__init__.py"
        os.truncate(file, 0)
    elif change == "one file more":
        (version.place / "effects" / "more.py").touch()
    elif change == "removed":
        version.remove()

    told, _ = process.communicate("\n", timeout=30)
    assert told.split()[0] == ("done" if change == "left alone" else "outdated")
    assert change == "left alone" or told.split()[1] == "outdated"


def test_a_process_that_does_not_watch_is_never_outdated() -> None:
    vintage.check()
