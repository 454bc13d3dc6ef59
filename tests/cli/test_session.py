"""The snapshots that commands leave: where there was much to fold, by readers too, and never of what is not in the journal."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli import session as module
from cli.session import Session, snapshot_code
from eventstore.errors import WriteFailed
from eventstore.snapshots import Snapshots
from machine import decide
from machine.asleep import Asleep
from machine.world import World
from tests.timed import Timed


@pytest.fixture
def past(tmp_path: Path) -> Timed:
    past = Timed(tmp_path)
    past.born("c1", "a")
    past.journal.close()
    return past


def kept(past: Timed) -> World | None:
    found = Snapshots(past.directory).load(snapshot_code())
    return World.unpack(found[1]) if found else None


@pytest.mark.parametrize(("much", "leaves"), [(1, True), (1000, False)])
def test_a_reader_leaves_a_snapshot_where_there_was_much_to_fold(
    past: Timed, monkeypatch: pytest.MonkeyPatch, much: int, *, leaves: bool
) -> None:
    monkeypatch.setattr(module, "READERS_TOO", much)
    reader = Session(past.root, past.run, "ps")
    folded = reader.world.dump()
    reader.close()
    again = Session(past.root, past.run, "ps")

    assert [type(c) is Asleep for c in again.world.containers.values()] == [leaves]
    assert again.world.dump() == folded == past.world.dump()
    assert again.folded == (0 if leaves else reader.folded)


def test_a_reader_after_a_reboot_keeps_nothing_of_what_it_imagines(
    past: Timed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "READERS_TOO", 1)
    monkeypatch.setattr("effects.identity.boot_id", lambda: "another")
    reader = Session(past.root, past.run, "ps")

    assert reader.world.host.boot == "another"
    reader.close()
    assert kept(past) is None


@pytest.mark.parametrize("written", [True, False])
def test_what_could_not_be_written_is_in_no_snapshot(
    past: Timed, monkeypatch: pytest.MonkeyPatch, *, written: bool
) -> None:
    monkeypatch.setattr(module, "SNAPSHOT_EVERY", 1)
    writer = Session(past.root, past.run, "rename")
    engine = writer.engine()
    if not written:
        monkeypatch.setattr("eventstore.writer.write_all", _full)
    try:
        engine.decide(decide.rename, "c1", "c9")
    except WriteFailed:
        assert not written
    writer.close()
    found = kept(past)

    assert set(found.names if found else ()) == ({"c9"} if written else set())


def _full(_file: int, _data: bytes) -> None:
    raise OSError(28, "No space left on device")
