"""What of a network and its containers the one suite for all handlers does not ask."""

from __future__ import annotations

import itertools
import os

import pytest

from effects import tools
from effects.failure import Failure, StepFailed
from effects.handler import Effects
from effects.registry import HANDLERS
from tests.contract.bench import Bench
from tests.fakes import Crash, Fuse, fused


def test_names_half_written_are_gone_after_undo(bench: Bench) -> None:
    for step in itertools.count(1):
        handler, spec = bench.stage("endpoint")
        directory, _, name = spec["names_file"].rpartition("/")
        try:
            handler.do(spec, fused(bench.host, Fuse(step)))
        except Crash:
            handler.undo(spec, {}, bench.host)
            assert not bench.host.exists(f"{directory}/{name}")
            assert not bench.host.exists(f"{directory}/.{name}")
        else:
            return


def test_new_names_replace_the_old_ones_in_place(bench: Bench) -> None:
    bench.stage("endpoint")
    facts = bench.do("endpoint")
    spec = {**bench.spec("endpoint"), "names": ["renamed"]}

    assert Effects(HANDLERS, bench.host).change("endpoint", spec) == facts

    assert bench.host.read_file(spec["names_file"]) == b"10.99.0.2 renamed\nfd99::2 renamed\n"


@pytest.mark.parametrize("kind", ["bridge", "endpoint"])
def test_what_another_root_has_is_neither_taken_nor_removed(kind: str, bench: Bench) -> None:
    bench.stage(kind)
    bench.do(kind)
    theirs = {**bench.spec(kind), "mark": "mydocker 12345678 network net"}

    result = Effects(HANDLERS, bench.host).do(kind, theirs)
    HANDLERS[kind].undo(theirs, {}, bench.host)

    assert isinstance(result, Failure)
    assert "not ours" in result.message
    assert HANDLERS[kind].probe(bench.spec(kind), bench.host) is not None or kind == "endpoint"
    device = theirs["device"] if kind == "bridge" else theirs["host_device"]
    assert bench.host.link(device) is not None


def test_rules_without_a_firewall_say_what_to_do(bench: Bench) -> None:
    bench.stage("firewall")
    result = Effects(HANDLERS, bench.host).do("rules", bench.spec("rules"))
    assert isinstance(result, Failure)
    assert result.message.endswith("[mydocker replay]")


def test_a_server_of_before_that_lost_its_directory_is_replaced(bench: Bench) -> None:
    bench.stage("dns")
    before = bench.do("dns")
    bench.host.remove_tree(bench.spec("dns")["directory"])
    assert HANDLERS["dns"].probe(bench.spec("dns"), bench.host) is None

    after = bench.do("dns")

    assert after["pid"] != before["pid"]
    assert not bench.host.is_alive(before)
    assert bench.host.is_alive(after)


def test_rules_that_change_leave_nothing_of_the_old_ones(bench: Bench) -> None:
    bench.stage("rules")
    bench.do("rules")
    old, new = bench.spec("rules"), {**bench.spec("rules"), "ports": []}

    assert Effects(HANDLERS, bench.host).change("rules", new) == {}

    assert HANDLERS["rules"].probe(new, bench.host) == {}
    assert HANDLERS["rules"].probe(old, bench.host) is None
    assert not [e for e in bench.host.owned_elements(old["table"], old["mark"]) if e[1].startswith("any")]


def test_a_missing_program_is_told_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tools, "_PLACES", ("/nowhere",))
    with pytest.raises(StepFailed, match=r"nft is not installed \[apt-get install nftables\]"):
        tools.run("firewall", "nft", ("nft", "-f", "-"))


@pytest.mark.root
def test_what_fails_before_the_program_begins_is_told_as_other_failures_are() -> None:
    with pytest.raises(StepFailed) as failed:
        tools.run("dnsmasq", "nft", ("nft", "-v"), enter=lambda: os.rmdir("/nowhere/at/all"))
    assert failed.value.strerror == "/nowhere/at/all: No such file or directory"
