"""Whatever is done to the files: it is detected, by place, no good event is lost, no bad one is believed."""

from __future__ import annotations

import os
import random
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from eventstore import tail
from eventstore.bulk import bulk_decoder
from eventstore.errors import JournalError
from eventstore.reader import read_events
from eventstore.seal import Head, check, head_of
from eventstore.verify import Report, verify
from tests.journal_damage import DAMAGES, Damage, Place, flip, lines_of, overwrite
from tests.journal_events import BY, SCHEMA, Noted

if TYPE_CHECKING:
    from collections.abc import Iterator

REPOSITORY = Path(__file__).resolve().parents[2]
DOCUMENT = REPOSITORY / "docs/journal.md"
BEGIN, END = "<!-- damage table: written by tests/crash/test_journal_damage.py -->\n", "<!-- end -->\n"


@pytest.fixture(scope="module")
def memory() -> Iterator[Path]:
    path = Path(f"/dev/shm/journal-damage-{os.getpid()}")
    path.mkdir()
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="module")
def whole(memory: Path) -> Place:
    return Place(memory / "whole")


@pytest.fixture(scope="module")
def head(whole: Place) -> Head:
    return head_of(verify(str(whole.journal)))


def texts(events: list[object]) -> list[str]:
    return [event.text for event in events if isinstance(event, Noted)]


def test_the_journal_that_is_damaged_here_is_whole(whole: Place) -> None:
    report = verify(str(whole.journal))

    assert report.findings == []
    assert report.segments == 3
    assert report.torn == 0


def places(found: Report) -> set[tuple[str, int]]:
    return {(finding.segment, finding.line) for finding in found.findings}


def line_numbers(path: Path) -> list[int]:
    """For each byte of a file the number of its line, from 1."""
    return [number for number, line in enumerate(lines_of(path), 1) for _ in line]


def test_every_single_flipped_bit_is_found_at_its_place(memory: Path) -> None:
    small = Place(memory / "small", "abc", 900)
    assert len(small.segments()) == 2
    head = head_of(verify(str(small.journal)))
    missed = []
    for path in small.segments():
        data, numbers = path.read_bytes(), line_numbers(path)
        newest = path == small.segments()[-1]
        path.chmod(0o600)
        for byte, number in enumerate(numbers):
            for bit in range(8):
                path.write_bytes(data[:byte] + bytes([data[byte] ^ 1 << bit]) + data[byte + 1 :])
                report = verify(str(small.journal))
                found = {(path.name, number), (path.name, number + 1)} & places(report)
                if newest and number == numbers[-1] and report.torn:
                    # No later line vouches for the last one: it may be torn, only a head can tell.
                    found = {finding[:2] for finding in check(str(small.journal), report, head)}
                if not found:
                    missed.append((path.name, byte, bit, report))
        path.write_bytes(data)

    assert missed == []


def outcome(place: Place) -> tuple[list[str], str]:
    """What a start of the engine after a reboot reads, and what it says."""
    try:
        journal, world = place.open()
    except JournalError as error:
        return [], f"{type(error).__name__}: {error}"
    with journal.transaction(world, by=BY, why="user", op="z") as tx:
        tx.append("thing/1", Noted(text="z"))
    journal.close()
    *read, last = world.texts()
    assert last == "z"
    return read, ""


@pytest.mark.parametrize("bulk", [False, True])
def test_no_reader_ever_believes_a_flipped_byte(
    whole: Place, memory: Path, monkeypatch: pytest.MonkeyPatch, bulk: bool
) -> None:
    monkeypatch.setattr(tail, "LEAN_TAIL", 0)
    place = whole.copy(memory / "copy")
    decode = bulk_decoder(SCHEMA) if bulk else None
    history = [event.payload() for event in read_events(str(whole.journal), SCHEMA)]
    chance = random.Random(1)
    believed = []
    for path in place.segments():
        data = path.read_bytes()
        path.chmod(0o600)
        for byte in range(0, len(data), 3):
            flip(path, byte, chance.randrange(8))
            try:
                read = [event.payload() for event in read_events(str(place.journal), SCHEMA, decode=decode)]
            except JournalError:
                read = []
            if read != history[: len(read)] or (read and path != place.segments()[-1]):
                believed.append((path.name, byte, read))
            path.write_bytes(data)

    assert believed == []


def test_a_journal_cut_at_any_byte_opens_with_every_line_that_is_whole(whole: Place, memory: Path) -> None:
    path = whole.segments()[-1]
    data, lines = path.read_bytes(), lines_of(path)
    sealed = len(
        [event for event in read_events(str(whole.journal), SCHEMA) if event.n < int(path.name[:20])]
    )
    history = [*read_events(str(whole.journal), SCHEMA)]
    for size in range(len(lines[0]), len(data)):
        place = whole.copy(memory / "copy")
        overwrite(place.segments()[-1], data[:size])

        journal, world = place.open()
        journal.close()

        good = data[: size + 1].count(b"\n")  # one more where only the newline is missing
        assert world.events[: sealed + good] == history[: sealed + good]
        assert len(world.events) == sealed + good + (size != sum(map(len, lines[:good])))
        assert verify(str(place.journal)).findings == []


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.name)
def test_the_independent_verifier_agrees(whole: Place, memory: Path, damage: Damage) -> None:
    place = whole.copy(memory / "copy")
    damage.do(place)

    tool = subprocess.run(
        [sys.executable, REPOSITORY / "tools/verify-journal", place.journal], capture_output=True, check=False
    )

    report = verify(str(place.journal))
    assert (tool.returncode == 0) == (not report.findings and not report.torn), tool.stderr


def row(whole: Place, memory: Path, head: Head, damage: Damage) -> str:
    place = whole.copy(memory / "copy")
    damage.do(place)
    report = verify(str(place.journal))
    findings = check(str(place.journal), report, head)
    by_itself, with_head = report.findings, findings[len(report.findings) :]
    said = str(by_itself[0]) if by_itself else f"{report.torn} bytes torn" if report.torn else "nothing"
    against = with_head[0].what if with_head else "the same" if by_itself else "nothing"
    history = texts([*read_events(str(whole.journal), SCHEMA)])
    read, error = outcome(place)
    lost = ", ".join(text for text in history if text not in read)
    started = f"refuses: {error.split(': ', 1)[1]}" if error else f"starts, lost: {lost or 'nothing'}"
    line = f"| {damage.name} | {said} | {against} | {started} |\n"
    return re.sub("[0-9a-f]{32}", "…", line.replace("journal damaged: ", ""))


def table(whole: Place, memory: Path, head: Head) -> str:
    rows = "".join(row(whole, memory, head, damage) for damage in DAMAGES)
    return (
        "| damage | `verify` says | `verify --against` a head says | the engine at its next start |\n"
        "|---|---|---|---|\n" + rows
    )


def test_the_table_in_the_documentation_is_what_happens(whole: Place, memory: Path, head: Head) -> None:
    text = DOCUMENT.read_text()
    before, _, rest = text.partition(BEGIN)
    documented, _, after = rest.partition(END)

    made = table(whole, memory, head)

    if os.environ.get("WRITE_DOCS"):
        DOCUMENT.write_text(before + BEGIN + made + END + after)
    else:
        assert documented == made, "run with WRITE_DOCS=1 to write it anew"
