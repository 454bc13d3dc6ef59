"""Removed containers are found by the journal's index, however short the beginning of an id; and nothing is missed."""

from __future__ import annotations

import shutil
from typing import Any

import pytest

from cli import names, past, sifting
from cli.names import Names
from cli.past import to_sift
from cli.sifting import Sieve, lines_behind
from eventstore.archive import archive
from machine import decide, decide_store
from machine import events as ev
from machine.events import SCHEMA
from tests.histories import created
from tests.timed import Timed

IDS = [f"{number * 0x9E3779B97F4A7C15 % (1 << 64):016x}{number:048x}" for number in range(1, 25)]


@pytest.fixture(scope="module", params=["live", "archived", "no index"])
def long(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Timed:
    """Twenty-four containers that came, were renamed and went, three of them worked on by a job; several segments."""
    timed = Timed(tmp_path_factory.mktemp("long"), small=True)
    for number, container_id in enumerate(IDS):
        timed.clock.now += 1_000_000_000
        one = created(f"web{number}")
        one.id = container_id
        timed.decide(decide.create, one)
        timed.settle(f"container/{container_id}")
        if number % 8 == 0:
            job = ev.JobStarted(
                id=f"{number:032x}", kind="commit", subject=f"web{number}", target="mine", staging=""
            )
            timed.decide(decide_store.begin_job, job)
            timed.decide(decide_store.finish_job, f"{number:032x}", "sha")
        timed.decide(decide.rename, f"web{number}", f"cafe{number}")
        timed.removed(f"cafe{number}")
    if request.param == "archived":
        archive(timed.directory, SCHEMA, 1 << 40)
    if request.param == "no index":
        shutil.rmtree(f"{timed.directory}/idx", ignore_errors=True)
    return timed


def sifted(root: str, lines: Any, place: int, filters: list[str]) -> list[int]:
    sieve = Sieve(filters, Names(root, place), since=None, until=None)
    return [event.n for event, _ in lines if sieve.passes(event)]


REFERENCES = [IDS[3], IDS[7][:11], IDS[7][:12], IDS[7][:13], IDS[9][:5], IDS[9][:4], IDS[9][:3], IDS[9][:1]]


@pytest.mark.parametrize(
    "reference", [*REFERENCES, "web0", "web3", "cafe3", "cafe", "none", "0x", "WEB3", ""]
)
def test_events_about_a_container_are_those_that_a_look_at_every_line_finds(
    long: Timed, reference: str
) -> None:
    for filters in (
        [f"container={reference}"],
        [f"container={reference}", "container=web8", "kind=decision"],
    ):
        place, lines = to_sift(long.root, filters, None)
        assert sifted(long.root, lines, place, filters) == sifted(
            long.root, lines_behind(long.root, 0), 0, filters
        )


def test_a_short_beginning_of_an_id_reads_no_more_than_what_the_index_names(
    long: Timed, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    whole = long.mydocker(capfd, "history", "--format", "{{.N}}", IDS[5])

    def fail(*_args: object, **_more: object) -> None:
        raise AssertionError("all lines were read")

    for module, name in ((names, "naming_events"), (sifting, "lines_behind"), (past, "events")):
        monkeypatch.setattr(module, name, fail)
    for length in (4, 7, 11, 12, 20):
        assert long.mydocker(capfd, "history", "--format", "{{.N}}", IDS[5][:length]) == whole
        assert long.mydocker(capfd, "why", IDS[5][:length])[0] == 0
        found = long.mydocker(
            capfd, "events", "--format", "{{.N}}", "--filter", f"container={IDS[5][:length]}"
        )
        assert found == whole
    assert long.mydocker(capfd, "history", "nobody")[0] == 125
