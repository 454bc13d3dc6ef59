"""History by index, the archive, and heads kept elsewhere."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from eventstore import index
from eventstore.archive import archive
from eventstore.codec import GENESIS, close
from eventstore.errors import Corrupt, JournalMissing, UnknownFormat
from eventstore.journal import Journal
from eventstore.reader import read_events, stream_events
from eventstore.seal import BadHead, Head, SignatureFailed, check, check_signature, head_of, sign
from eventstore.segments import name_of
from eventstore.verify import verify
from tests.journal_damage import Place, flip, lines_of, overwrite
from tests.journal_events import BY, SCHEMA, Noted, World


@pytest.fixture
def place(tmp_path: Path) -> Place:
    place = Place(tmp_path, "ab", 2500)
    journal, world = place.open()
    for number in range(30):
        with journal.transaction(world, by=BY, why="user", op=str(number)) as tx:
            tx.append(f'thing/"{number % 3}é', Noted(text=str(number)))
    journal.close()
    return place


def history(place: Place, stream: str) -> list[Any]:
    return list(stream_events(str(place.journal), SCHEMA, stream))


def scanned(place: Place, stream: str) -> list[Any]:
    return [event for event in read_events(str(place.journal), SCHEMA) if event.s == stream]


STREAMS = ["journal", "thing/1", 'thing/"0é', 'thing/"2é', "thing/none"]


@pytest.mark.parametrize("stream", STREAMS)
def test_the_history_of_a_stream_by_index_is_what_a_scan_finds(place: Place, stream: str) -> None:
    assert history(place, stream) == scanned(place, stream)
    assert history(place, stream) == scanned(place, stream)  # by the index that the first time made


def test_an_index_that_is_there_is_used(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    history(place, "thing/1")
    monkeypatch.setattr(index.Index, "make", None)

    assert history(place, 'thing/"0é') == scanned(place, 'thing/"0é')


def test_a_stale_or_damaged_index_is_made_again(place: Place) -> None:
    wanted = history(place, 'thing/"0é')
    indexes = sorted((place.journal / "idx").iterdir())
    for path in indexes:
        path.write_bytes(indexes[-1].read_bytes())

    assert history(place, 'thing/"0é') == wanted
    for path in indexes:
        flip(path, len(path.read_bytes()) - 3)
    assert history(place, 'thing/"0é') == wanted


def test_a_changed_line_is_not_believed_by_index_either(place: Place) -> None:
    history(place, "thing/1")
    path = place.segments()[0]
    overwrite(path, path.read_bytes().replace(b'"text":"a"', b'"text":"A"'))

    with pytest.raises(Corrupt, match="the chain breaks here"):
        history(place, "thing/1")


def test_archived_segments_are_read_as_before(place: Place) -> None:
    events = [event.payload() for event in read_events(str(place.journal), SCHEMA)]
    before = verify(str(place.journal))
    numbers = [int(path.name[:20]) for path in place.segments()]

    left = archive(str(place.journal), SCHEMA, numbers[-2])

    assert [event.segment for event in left] == [name_of(first) for first in numbers[:-2]]
    assert [int(path.name[:20]) for path in place.segments()] == numbers[-2:]
    assert [event.payload() for event in read_events(str(place.journal), SCHEMA)] == events
    assert verify(str(place.journal)) == before
    assert history(place, 'thing/"0é') == scanned(place, 'thing/"0é')
    _, world = place.open()
    assert [event.payload() for event in world.events] == events


def test_the_segment_that_is_written_to_is_never_archived(place: Place) -> None:
    archive(str(place.journal), SCHEMA, 1 << 60)

    assert len(place.segments()) == 1
    journal, world = place.open()
    with journal.transaction(world, by=BY, why="user", op="x") as tx:
        tx.append("thing/1", Noted(text="x"))
    assert verify(str(place.journal)).findings == []


def test_a_damaged_segment_is_not_archived(place: Place) -> None:
    flip(place.segments()[1], 900)

    with pytest.raises(Corrupt, match="it stays where it is"):
        archive(str(place.journal), SCHEMA, 1 << 60)

    assert place.segments()[1].exists()


def test_a_damaged_archive_is_found(place: Place) -> None:
    archive(str(place.journal), SCHEMA, 1 << 60)
    packed = sorted((place.journal / "archive").iterdir())
    flip(packed[1], 40)

    assert verify(str(place.journal)).findings
    with pytest.raises(Corrupt):
        list(read_events(str(place.journal), SCHEMA))


def test_a_missing_archive_is_found(place: Place) -> None:
    archive(str(place.journal), SCHEMA, 1 << 60)
    min((place.journal / "archive").iterdir()).unlink()

    assert verify(str(place.journal)).findings[0].what.startswith("missing")
    with pytest.raises(Corrupt, match="the segment is missing"):
        list(read_events(str(place.journal), SCHEMA))


def test_a_reader_goes_on_while_the_segment_it_reads_is_archived(place: Place) -> None:
    reading = read_events(str(place.journal), SCHEMA)
    first = next(reading)

    archive(str(place.journal), SCHEMA, 1 << 60)

    assert [first.n, *(event.n for event in reading)] == list(range(1, verify(str(place.journal)).n + 1))


def rewrite(place: Place) -> None:
    """What somebody with the right to write the files can do: another history with a sound chain."""
    shutil.rmtree(place.journal)
    journal, world = Journal.create(str(place.journal), SCHEMA), World()
    for number in range(40):
        with journal.transaction(world, by=BY, why="user", op="x") as tx:
            tx.append("thing/1", Noted(text=f"forged {number}"))


def test_a_head_kept_elsewhere_proves_that_the_past_is_the_same(place: Place) -> None:
    head = Head.parse(head_of(verify(str(place.journal))).text())
    journal, world = place.open()
    with journal.transaction(world, by=BY, why="user", op="x") as tx:
        tx.append("thing/1", Noted(text="later"))

    assert check(str(place.journal), verify(str(place.journal)), head) == []


def test_only_a_head_shows_a_journal_that_was_rewritten(place: Place) -> None:
    head = head_of(verify(str(place.journal)))
    rewrite(place)
    report = verify(str(place.journal))

    assert report.findings == []
    assert "is of journal" in check(str(place.journal), report, head)[0].what
    same = Head(report.journal, head.n, head.h)
    assert "was rewritten at or before it" in check(str(place.journal), report, same)[0].what


def test_only_a_head_shows_a_journal_that_was_rolled_back(place: Place) -> None:
    head = head_of(verify(str(place.journal)))
    path = place.segments()[-1]
    overwrite(path, b"".join(lines_of(path)[:-1]))
    report = verify(str(place.journal))

    assert report.findings == []
    assert "it was cut or rolled back" in check(str(place.journal), report, head)[0].what


def test_nobody_vouches_for_a_damaged_journal(place: Place) -> None:
    flip(place.segments()[0], 500)

    with pytest.raises(BadHead, match="the journal is damaged"):
        head_of(verify(str(place.journal)))


@pytest.mark.parametrize(
    "text",
    ["", "x\n1\nAAAA\n", "mydocker-journal/ab\n-1\nAAAA\n", "mydocker-journal/ab\n1\nAAAA\n", "\n\n\n"],
)
def test_what_is_no_head_is_said_to_be_none(text: str) -> None:
    with pytest.raises(BadHead):
        Head.parse(text)


def test_a_head_can_be_signed_with_an_ssh_key(place: Place, tmp_path: Path) -> None:
    key, text, allowed = str(tmp_path / "key"), str(tmp_path / "head"), str(tmp_path / "allowed")
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    Path(text).write_text(head_of(verify(str(place.journal))).text())
    Path(allowed).write_text("me@here " + Path(f"{key}.pub").read_text())

    signature = sign(text, key)

    check_signature(text, signature, allowed, "me@here")
    with pytest.raises(SignatureFailed):
        check_signature(text, signature, allowed, "you@there")
    Path(text).write_text(Path(text).read_text().replace("\n3", "\n2"))
    with pytest.raises(SignatureFailed):
        check_signature(text, signature, allowed, "me@here")
    assert os.path.exists(signature)


def test_history_after_a_power_cut_ends_where_the_journal_does(place: Place) -> None:
    wanted = history(place, 'thing/"2é')
    path = place.segments()[-1]
    overwrite(
        path, path.read_bytes() + lines_of(path)[-1].replace(b'"text":"29"', b'"text":"30"') + bytes(50)
    )

    assert history(place, 'thing/"2é') == scanned(place, 'thing/"2é') == wanted


def test_a_changed_line_of_the_last_segment_is_not_believed_either(place: Place) -> None:
    path = place.segments()[-1]
    # Which things the last segment tells of depends on the length of our pid.
    things = [f'thing/"{number}é' for number in range(10)]
    first = next(e for thing in things for e in scanned(place, thing) if e.n > int(path.name[:20]))
    changed = f'"text":"{first.text}"'.encode()
    overwrite(path, path.read_bytes().replace(changed, changed.replace(b':"', b':"9')))

    with pytest.raises(Corrupt, match="the chain breaks here"):
        history(place, first.s)


def test_there_is_no_history_without_a_journal(tmp_path: Path) -> None:
    with pytest.raises(JournalMissing):
        list(stream_events(str(tmp_path), SCHEMA, "thing/1"))


def test_additions_that_are_unknown_may_be_read_or_not_as_they_say(place: Place) -> None:
    path = place.segments()[0]
    for name, reads in (("compat", True), ("incompat", False)):
        (place.root / "journal2").mkdir()
        lines, prev = lines_of(path), GENESIS
        changed = lines[0].replace(f'"{name}":[]'.encode(), f'"{name}":["future"]'.encode())
        line, prev = close(changed[: changed.rindex(b',"d":')], prev, durable=0, more=0)
        (place.root / "journal2" / path.name).write_bytes(line)
        directory = str(place.root / "journal2")
        if reads:
            journal, world = Journal.open(directory, SCHEMA), World()
            assert journal.refresh(world) == 1
        with (
            pytest.raises(UnknownFormat, match="future"),
            Journal.open(directory, SCHEMA).transaction(World(), by=BY, why="user", op="x"),
        ):
            pass
        shutil.rmtree(directory)


def test_a_directory_in_a_segments_place_is_named(place: Place) -> None:
    path = place.segments()[-1]
    path.unlink()
    path.mkdir()

    with pytest.raises(Corrupt, match=f"{path.name} line 1: is a directory"):
        list(read_events(str(place.journal), SCHEMA))
