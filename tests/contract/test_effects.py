"""One suite every handler must pass, on every kernel."""

from __future__ import annotations

import errno
import itertools

import pytest

from effects.failure import Failure
from effects.handler import Effects
from effects.registry import HANDLERS
from tests.contract.bench import ALONE, LIFE, Bench
from tests.fakes import Crash, Fuse, fused

KINDS = (*LIFE, *ALONE)
# `signal` is done once and leaves nothing to ask for; a `layer` is made by an import, not by its handler.
OTHERS = ("signal", "layer")


def test_every_handler_is_tried() -> None:
    assert {*KINDS, *OTHERS} == set(HANDLERS)


@pytest.mark.parametrize("kind", KINDS)
def test_probe_sees_do_and_undo(kind: str, bench: Bench) -> None:
    handler, spec = bench.stage(kind)
    assert handler.probe(spec, bench.host) is None

    facts = handler.do(spec, bench.host)
    bench.facts[kind] = facts
    assert handler.probe(spec, bench.host) == facts

    handler.undo(spec, facts, bench.host)
    assert handler.probe(spec, bench.host) is None


@pytest.mark.parametrize("kind", KINDS)
def test_probe_changes_nothing(kind: str, bench: Bench) -> None:
    handler, spec = bench.stage(kind)
    fuse = Fuse()
    handler.probe(spec, fused(bench.host, fuse))
    bench.do(kind)
    handler.probe(spec, fused(bench.host, fuse))
    assert fuse.steps == 0


@pytest.mark.parametrize("kind", KINDS)
def test_doing_again_finds_it_done(kind: str, bench: Bench) -> None:
    bench.stage(kind)
    assert bench.do(kind) == bench.do(kind)


@pytest.mark.parametrize("kind", KINDS)
def test_undo_of_what_was_never_done_is_success(kind: str, bench: Bench) -> None:
    handler, spec = bench.stage(kind)
    handler.undo(spec, {}, bench.host)
    handler.undo(spec, {}, bench.host)
    assert handler.probe(spec, bench.host) is None


@pytest.mark.parametrize("kind", KINDS)
def test_undo_any_number_of_times(kind: str, bench: Bench) -> None:
    handler, spec = bench.stage(kind)
    facts = bench.do(kind)
    for recorded in (facts, facts, {}):
        handler.undo(spec, recorded, bench.host)
        assert handler.probe(spec, bench.host) is None


@pytest.mark.parametrize("kind", KINDS)
def test_undo_needs_no_facts(kind: str, bench: Bench) -> None:
    handler, spec = bench.stage(kind)
    bench.do(kind)
    handler.undo(spec, {}, bench.host)
    assert handler.probe(spec, bench.host) is None


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("verb", ["do", "undo"])
def test_do_and_undo_after_a_crash_at_any_call_of_do(verb: str, kind: str, bench: Bench) -> None:
    for step in itertools.count(1):
        handler, spec = bench.stage(kind)
        try:
            handler.do(spec, fused(bench.host, Fuse(step)))
        except Crash:
            if verb == "do":
                assert bench.do(kind) == handler.probe(spec, bench.host)
            else:
                handler.undo(spec, {}, bench.host)
                assert handler.probe(spec, bench.host) is None
        else:
            break
    assert step > 1


@pytest.mark.parametrize("kind", KINDS)
def test_undo_after_a_crash_at_any_call_of_undo(kind: str, bench: Bench) -> None:
    for step in itertools.count(1):
        handler, spec = bench.stage(kind)
        facts = bench.do(kind)
        try:
            handler.undo(spec, facts, fused(bench.host, Fuse(step)))
        except Crash:
            handler.undo(spec, facts, bench.host)
            assert handler.probe(spec, bench.host) is None
        else:
            break
    assert step > 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_refusal_at_any_call_is_an_outcome_and_leaves_what_undo_removes(kind: str, bench: Bench) -> None:
    for step in itertools.count(1):
        handler, spec = bench.stage(kind)
        fuse = Fuse(step, OSError(errno.EIO, "broken", "/there"))
        result = Effects(HANDLERS, fused(bench.host, fuse)).do(kind, spec)
        if fuse.steps < step:
            break
        assert isinstance(result, Failure)
        assert result.errno == errno.EIO
        assert "broken" in result.message
        handler.undo(spec, {}, bench.host)
        assert handler.probe(spec, bench.host) is None


def test_a_whole_life_leaves_nothing_behind(bench: Bench) -> None:
    bench.hand_over_secrets()
    for kind in LIFE:
        bench.do(kind)
    for kind in reversed(LIFE):
        bench.undo(kind)
    assert bench.leftovers() == []
    assert not bench.host.exists(bench.spec("directory")["path"])
    assert not bench.host.exists(bench.spec("root_link")["link"])
    assert not bench.host.exists(bench.spec("root_link")["via"])
