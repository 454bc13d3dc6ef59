"""A sound chain is not enough: what a journal says of itself must hold as well."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from eventstore.codec import END, GENESIS, link
from eventstore.cursor import Cursor
from eventstore.errors import JournalMissing
from eventstore.verify import verify
from tests.journal_damage import Place, lines_of, overwrite
from tests.journal_events import BY, Noted

if TYPE_CHECKING:
    from collections.abc import Callable

TOOL = Path(__file__).resolve().parents[2] / "tools/verify-journal"


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """Header, a, b, and one write of c, d, e."""
    place = Place(tmp_path, "ab", 1 << 20)
    journal, world = place.open()
    with journal.transaction(world, by=BY, why="user", op="x") as tx:
        for text in "cde":
            tx.append("thing/1", Noted(text=text))
    journal.close()
    return place


def forge(place: Place, change: Callable[[list[bytes]], list[bytes]]) -> None:
    """Change the bodies of the lines, and link them anew as their writer would have."""
    prev = GENESIS
    for path in place.segments():
        lines = []
        for body in change([line[:-END] for line in lines_of(path)]):
            prev = link(prev, body)
            lines.append(b'%b,"h":"%b"}\n' % (body, prev.encode()))
        overwrite(path, b"".join(lines))


def replacing(number: int, old: bytes, new: bytes) -> Callable[[list[bytes]], list[bytes]]:
    def change(bodies: list[bytes]) -> list[bytes]:
        assert old in bodies[number]
        bodies[number] = bodies[number].replace(old, new)
        return bodies

    return change


def without(number: int) -> Callable[[list[bytes]], list[bytes]]:
    return lambda bodies: bodies[:number] + bodies[number + 1 :]


FORGERIES = {
    "a number left out": (replacing(2, b'"n":3', b'"n":4'), 3, "has number 4, expected 3"),
    "a version left out": (replacing(2, b'"v":2', b'"v":3'), 3, "version 3 of thing/1, expected 2"),
    "a mark ahead of its line": (
        replacing(2, b'"d":2', b'"d":3'),
        3,
        "says that line 3 was on disk before it was written",
    ),
    "a write without its middle": (without(4), 5, "has number 6, expected 5"),
    "a write that counts wrongly": (
        replacing(4, b',"m":1', b',"m":2'),
        5,
        "2 lines of the write before it are missing",
    ),
    "a write without its end": (replacing(5, b'"d":3', b'"d":3,"m":1'), 0, ""),
    "a second header": (
        replacing(2, b"test.noted", b"journal.segment"),
        3,
        "a segment's header is its first line, and only that",
    ),
    "no header": (
        replacing(0, b"journal.segment", b"journal.sagment"),
        1,
        "a segment's header is its first line, and only that",
    ),
    "a header without identity": (replacing(0, b'"journal":"', b'"jaurnal":"'), 1, "not a segment's header"),
    "an unknown format": (
        replacing(0, b'"incompat":[]', b'"incompat":["x"]'),
        1,
        "format 1 ['x'] is unknown",
    ),
    "a line that is no event": (
        replacing(2, b'"s":"thing/1"', b'"s":7'),
        3,
        "not an event: Expected `str`, got `int` - at `$.s`",
    ),
    "a repair without its bytes": (
        replacing(
            5, b'"t":"test.noted"', b'"t":"journal.repaired","kept":"torn/gone","sha256":"0","length":9'
        ),
        6,
        "the bytes that this repair cut off are not in torn/gone",
    ),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_a_journal_that_contradicts_itself_is_found_out(place: Place, name: str) -> None:
    change, line, what = FORGERIES[name]
    forge(place, change)

    report = verify(str(place.journal))

    if line:
        assert report.findings
        assert report.findings[0][1:] == (line, what)
    else:
        assert report.torn > 0


@pytest.mark.parametrize(
    "name", [name for name in FORGERIES if "repair" not in name and "no event" not in name]
)
def test_the_independent_verifier_finds_it_out_as_well(place: Place, name: str) -> None:
    forge(place, FORGERIES[name][0])

    tool = subprocess.run([sys.executable, TOOL, place.journal], capture_output=True, text=True, check=False)

    assert tool.returncode == 1
    assert "Traceback" not in tool.stderr or name == "a header without identity"


def test_the_forger_here_leaves_a_sound_journal_alone(place: Place) -> None:
    before = place.segments()[0].read_bytes()
    forge(place, lambda bodies: bodies)

    assert place.segments()[0].read_bytes() == before
    assert verify(str(place.journal)).findings == []
    assert subprocess.run([sys.executable, TOOL, place.journal], capture_output=True, check=True).stdout


@pytest.mark.parametrize(
    ("old", "new", "place_of_it"),
    [
        (b'"text":"b"', b'"text":"B"', (1, 0, "is not as it was sealed: sha256 differ")),
        (b'"last":6', b'"last":5', (1, 0, "is not as it was sealed: last differ")),
        (b'"n":7,"ts"', b'"n":7,"ts"', ()),
    ],
)
def test_a_seal_that_does_not_fit_is_found_though_the_chain_is_sound(
    tmp_path: Path, old: bytes, new: bytes, place_of_it: tuple[int, int, str]
) -> None:
    place = Place(tmp_path)

    forge(place, lambda bodies: [body.replace(old, new) for body in bodies])

    found = [(int(finding.segment[:20]), *finding[1:]) for finding in verify(str(place.journal)).findings]
    assert found[:1] == [place_of_it] * bool(place_of_it)


def test_a_segment_of_another_journal_is_found_though_the_chain_is_sound(tmp_path: Path) -> None:
    place = Place(tmp_path)

    forge(
        place,
        lambda bodies: [
            body.replace(b'"journal":"0', b'"journal":"f') if b'"n":7,' in body else body for body in bodies
        ],
    )

    first = verify(str(place.journal)).findings[0]
    assert (first.segment[:20], first.line) == (f"{7:020d}", 1)
    assert first.what == f"belongs to journal f{'0' * 31}"


@pytest.mark.parametrize(
    "dumped", [[], [1, 2, 3], ["1", 2, 3, "h" * 43], [1, 2, 3, "h"], [1, 2, 3.0, "h" * 43], [1, 2, 3, 4]]
)
def test_what_is_no_cursor_is_refused(dumped: list[int | str]) -> None:
    with pytest.raises(ValueError, match=r"is no cursor|values to unpack"):
        Cursor.load(dumped)


def test_progress_is_told_by_segment(tmp_path: Path) -> None:
    place = Place(tmp_path)
    told: list[tuple[int, int]] = []

    verify(str(place.journal), lambda done, of: told.append((done, of)))

    assert told == [(0, 3), (1, 3), (2, 3), (3, 3)]


def test_where_there_is_no_journal_there_is_nothing_to_verify(tmp_path: Path) -> None:
    with pytest.raises(JournalMissing):
        verify(str(tmp_path))
