"""The progress line: at a terminal only, after a while only, and gone afterwards."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from cli import progress
from cli.progress import Progress, Watched, bar, counted
from cli.travel import clock
from tests.timed import Timed


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """A terminal as stderr, and no patience."""
    shown = Terminal()
    monkeypatch.setattr(
        progress, "sys", SimpleNamespace(stderr=shown)
    )  # pytest sets sys.stderr between phases
    monkeypatch.setattr(progress, "QUIET", 0)
    monkeypatch.setattr(progress, "EVERY", 0)
    return shown


@pytest.mark.parametrize(
    ("done", "total", "shown"),
    [
        (0, 4, "[........................]   0 %"),
        (1, 4, "[######..................]  25 %"),
        (4, 4, "[########################] 100 %"),
        (9, 4, "[########################] 100 %"),
    ],
)
def test_a_bar_is_as_full_as_the_work_is_done(done: int, total: int, shown: str) -> None:
    assert bar(done, total) == shown


def test_counted_work_is_shown_with_its_unit_and_cleared(terminal: Terminal) -> None:
    with Progress("archiving", 0, "segments") as line:
        line.of(1, 2)

    assert terminal.getvalue() == "\r\x1b[Karchiving: [############............]  50 % 1 segments\r\x1b[K"


def test_a_search_for_a_time_shows_how_far_it_is(terminal: Terminal, tmp_path: Path) -> None:
    past = Timed(tmp_path, small=True)
    past.come_and_go(3)

    with clock(past.root) as times:
        assert times.last_until(1 << 62) == past.on_disk()[-1].n

    assert "looking through the journal: [########................]  33 % 1 segments" in terminal.getvalue()


def test_bytes_are_shown_with_their_rate(terminal: Terminal) -> None:
    with Progress("importing", 0) as line:
        line.update(3 << 20)

    assert "importing: 3 MiB, " in terminal.getvalue()


def test_nothing_is_shown_before_a_second_or_to_a_file(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with Progress("work", 2, "events") as line:
        line.update(1)
        assert not line.wanted
    shown = Terminal()
    monkeypatch.setattr(sys, "stderr", shown)
    with Progress("work", 2, "events") as line:
        line.update(1)
        assert line.wanted

    assert (capsys.readouterr().err, shown.getvalue()) == ("", "")


def test_events_pass_unchanged_whether_somebody_looks_or_not(terminal: Terminal) -> None:
    events = [SimpleNamespace(n=n) for n in range(1, 10_000)]

    assert list(counted("reading", events, 10_000)) == events
    assert " 8193 events" in terminal.getvalue()
    terminal.isatty = lambda: False  # type: ignore[method-assign]  # no terminal any more
    assert list(counted("reading", events, 10_000)) == events


def test_work_that_cannot_tell_is_asked_how_far_it_is(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "EVERY", 0.001)
    with Watched("replaying", 10, "events", lambda: 5) as line:
        while not terminal.getvalue():
            line._over.wait(0.001)

    assert terminal.getvalue().startswith("\r\x1b[Kreplaying: [############............]  50 % 5 events")
    assert terminal.getvalue().endswith("\r\x1b[K")
    assert not line._thread.is_alive()
