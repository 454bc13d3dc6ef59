"""One boot, one run directory: which one it is, when it may be another, and what moves there then."""

from __future__ import annotations

import pytest

from machine import decide_host
from machine import events as ev
from machine.errors import OtherRunDir
from machine.home import USUAL_RUN_DIR, at_home, run_dir
from machine.places import Places
from machine.resources import WATCHED
from machine.story import sentence
from machine.subjects import Host
from tests import networked
from tests.histories import BOOT, IN_LIFE, PLACES, History, events, here, in_status

A, B = "/run/a", "/run/b"


@pytest.mark.parametrize(
    ("boot", "noted", "asked", "expected"),
    [
        (BOOT, A, "", A),
        (BOOT, A, B, B),
        (BOOT, "", "", USUAL_RUN_DIR),
        ("another", A, "", USUAL_RUN_DIR),  # what it lay in may be anybody's by now
        ("another", A, B, B),
    ],
)
def test_it_is_what_was_asked_for_else_that_of_this_boot_else_the_usual_one(
    boot: str, noted: str, asked: str, expected: str
) -> None:
    host = Host()
    host.boot, host.run = boot, noted

    assert run_dir(host, here(BOOT, run=asked)) == expected


def booted(run: str = A) -> History:
    history = History()
    history.decide(decide_host.note_boot, here(BOOT, run=run))
    return history


def test_a_boot_has_the_one_that_its_first_command_asked_for() -> None:
    history = booted(A)

    assert history.world.host.run == A
    for asked in ("", A):
        assert at_home(history.world.host, here(BOOT, run=asked))
        assert decide_host.note_boot(history.world, here(BOOT, run=asked)) == []


def test_another_one_where_nothing_lives_is_a_fact_of_its_own_and_no_boot() -> None:
    history = booted(A)
    (noted,) = events(history.decide(decide_host.note_boot, here(BOOT, run=B)))

    assert (noted.tag, noted.payload()) == ("host.run_dir_changed", {"run": B})
    assert (history.world.host.run, history.world.host.boots) == (B, 1)


@pytest.mark.parametrize("status", IN_LIFE)
def test_another_one_is_refused_as_long_as_something_lives(status: str) -> None:
    history = in_status(status)
    used = history.world.host.run
    if status not in WATCHED:
        assert events(history.decide(decide_host.note_boot, here(BOOT, run=B)))
        return

    with pytest.raises(OtherRunDir) as refused:
        history.decide(decide_host.note_boot, here(BOOT, run=B))

    assert history.world.host.run == used
    told = str(refused.value)
    assert f"with the run directory {used}, not with {B} [" in told
    assert "stop c1 first]" in told
    assert "\n" not in told


def test_after_a_boot_nothing_lives_and_any_will_do() -> None:
    history = in_status("running")
    history.decide(decide_host.note_boot, here("boot-2", run=B))

    assert history.world.host.run == B


def test_a_root_that_is_adopted_takes_any() -> None:
    history = in_status("running")
    history.decide(decide_host.note_boot, here(BOOT, run=B), moved=True)

    assert history.world.host.run == B


def test_a_journal_that_names_none_yet_gets_one_under_what_lives() -> None:
    history = in_status("running")
    history.world.host.run = ""

    assert events(history.decide(decide_host.note_boot, here(BOOT, run=B)))


def test_a_name_server_moves_there_and_nothing_else_of_its_network_does() -> None:
    history = networked.history()
    net = networked.net(history)
    assert history.step(net.stream) is None
    history.decide(decide_host.note_boot, here(BOOT, run=B))
    steps = []

    while (step := history.step(net.stream)) is not None:
        steps.append((step.verb, step.kind, step.spec["directory"].partition("/dns/")[0]))

    root = f"/{PLACES.root_id}"
    assert steps == [("undo", "dns", USUAL_RUN_DIR + root), ("do", "dns", B + root)]


def test_places_are_as_the_journal_tells_them_where_it_does() -> None:
    host = Host()
    given = Places("/root", A, "0badcafe")
    assert given.noted(host) is given
    host.run, host.id = B, "5ca1ab1e"

    found = given.noted(host)

    assert (found.root, found.run, found.root_id) == ("/root", B, "5ca1ab1e")


def test_more_names_than_fit_into_a_line_are_not_all_told() -> None:
    names = [f"c{number}" for number in range(9)]

    assert "stop c0, c1, c2, c3, c4, ... first]" in str(OtherRunDir("/r", used=A, asked=B, names=names))


def test_a_boot_and_a_change_are_told_in_words() -> None:
    assert sentence(ev.HostRunDirChanged(run=B)) == f"the run directory is {B} from now on"
