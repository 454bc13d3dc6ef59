"""The machines that network tests play with: what one is told of another must be true before any engine is there."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import pytest

from tests.lab import Lab, lab, pids_there, snapshot

pytestmark = pytest.mark.root


def test_everybody_is_asked_and_says_who_asks(tmp_path: Path) -> None:
    with lab(tmp_path) as made:
        made.serve(made.internet, "tcp/80", "udp/53")
        made.serve(made.neighbour, "tcp/80")

        assert made.host.ask(Lab.INTERNET, 80) == f"internet {Lab.HOST}"
        assert made.host.ask(Lab.INTERNET6, 53, "udp") == f"internet {Lab.HOST6}"
        assert made.internet.ask(Lab.NEIGHBOUR, 80) == f"neighbour {Lab.INTERNET}"
        assert made.host.pings(Lab.NEIGHBOUR)


def test_who_does_not_answer_is_not_reached(tmp_path: Path) -> None:
    with lab(tmp_path) as made:
        assert not made.internet.reaches(Lab.HOST, 80)
        assert not made.host.pings("198.51.100.77")


def test_a_rebooted_host_has_nothing_of_before(tmp_path: Path) -> None:
    with lab(tmp_path) as made:
        fresh = snapshot(made.host)
        made.host.run("nft", "add", "table", "inet", "x")
        made.host.links("link add br0 type bridge\n")
        assert snapshot(made.host) != fresh
        made.reboot_host({})
        made.serve(made.internet, "tcp/80")

        assert made.host.ask(Lab.INTERNET, 80) == f"internet {Lab.HOST}"
        assert {**snapshot(made.host), "addresses": [], "routes": []} == {
            **fresh,
            "addresses": [],
            "routes": [],
        }


def test_nothing_of_it_outlives_it(tmp_path: Path) -> None:
    with contextlib.suppress(ZeroDivisionError), lab(tmp_path) as made:
        machines = (made.host, made.router, made.neighbour, made.internet)
        pids = [pid for place in machines for pid in pids_there(place)]
        raise ZeroDivisionError

    assert len(pids) == 4
    assert not any(os.path.exists(f"/proc/{pid}") for pid in pids)
