"""Every event has a sentence, the sentences say what matters, and nothing that was recorded breaks one."""

from __future__ import annotations

import errno
from typing import Any

import pytest

from eventstore.bulk import struct_of
from eventstore.event import Event
from machine import events as ev
from machine.story import THINGS, WORDS, sentence
from tests.histories import alive, container_id, failing

SAMPLES: dict[str, Any] = {"int": 7, "str": "x", "bool": True, "int | None": None}


def sample(kind: type[Event]) -> Event:
    """An event with some value in each field."""
    values = {}
    for name in kind.fields:
        annotation = kind.__annotations__[name]
        values[name] = SAMPLES.get(annotation, [] if annotation.startswith("list") else {})
    return kind(**values)


def test_every_event_of_the_schema_has_its_words_and_no_other_tag_has() -> None:
    assert set(WORDS) == set(ev.SCHEMA.by_tag)


@pytest.mark.parametrize("kind", ev.SCHEMA.events, ids=lambda kind: kind.tag)
def test_every_event_makes_one_line(kind: type[Event]) -> None:
    told = sentence(sample(kind))

    assert told
    assert "\n" not in told
    assert "None" not in told


@pytest.mark.parametrize("kind", ev.SCHEMA.events, ids=lambda kind: kind.tag)
def test_an_event_that_was_decoded_in_bulk_is_told_alike(kind: type[Event]) -> None:
    plain = sample(kind)
    envelope = {"n": 1, "ts": 1, "up": 1, "s": "host", "v": 1, "op": "", "by": {}, "why": ""}
    struct = struct_of(kind)(**envelope, **plain.payload())

    assert sentence(struct) == sentence(plain)


def test_every_kind_of_resource_has_a_name() -> None:
    from machine.plan import MAKERS
    from machine.plan_network import MAKERS as OF_NETWORKS
    from machine.resources import ONE_SHOT

    assert set(THINGS) == {*MAKERS, *OF_NETWORKS} | ONE_SHOT


@pytest.mark.parametrize(
    ("event", "told"),
    [
        (ev.ContainerDisconnected(network="a" * 64, name="shop"), "disconnected from network shop"),
        (ev.ContainerDisconnected(network="a" * 64), "disconnected from network aaaaaaaaaaaa"),
        (ev.EffectDo(kind="cgroup", key="c", spec={}), "about to make its cgroup"),
        (ev.EffectDone(verb="do", kind="cgroup", key="c"), "made its cgroup"),
        (
            ev.EffectDone(verb="do", kind="init", key="c", facts={"pid": 4711, "mounts": ["/", "/proc"]}),
            "made its first process: pid 4711, 2 mounts",
        ),
        (ev.EffectDone(verb="undo", kind="root_link", key="c"), "undone: root link"),
        (ev.EffectDone(verb="do", kind="release", key="c"), "ran its program"),
        (ev.EffectUndo(kind="frozen", key="c"), "about to let its processes go on"),
        (ev.EffectDone(verb="undo", kind="release", key="c"), "ended its program"),
        (ev.EffectDo(kind="signal", key="12", spec={"signal": 15}), "about to send it SIGTERM"),
        (ev.EffectDone(verb="do", kind="signal", key="12"), "sent it the signal asked for in event 12"),
        (ev.EffectLost(kind="init", key="c"), "found gone: first process"),
        (
            ev.EffectFailed(
                verb="do",
                kind="init",
                key="c",
                errno=errno.EPERM,
                step="mount /proc",
                message="not permitted: /proc",
            ),
            "could not make its first process: mount /proc: EPERM not permitted: /proc",
        ),
        (
            ev.EffectFailed(verb="undo", kind="cgroup", key="c", errno=0, step="cgroup", message="busy"),
            "could not undo cgroup: cgroup: busy",
        ),
        (ev.EffectDone(verb="do", kind="veth_pair", key="c"), "made its veth pair"),
    ],
)
def test_effects_are_told_in_words(event: Event, told: str) -> None:
    assert sentence(event) == told


def test_a_place_on_a_network_is_told_with_its_name_where_that_is_known() -> None:
    event = ev.EffectDone(verb="do", kind="endpoint", key="a" * 64)

    assert sentence(event) == "made its place on a network"
    names = {f"network/{event.key}": "network shop"}
    assert sentence(event, names.__getitem__) == "made its place on network shop"


@pytest.mark.parametrize(
    ("exited", "told"),
    [
        ({"code": 3}, "ended by itself, code 3"),
        ({"code": 137, "signal": 9, "reason": "signal"}, "ended by SIGKILL, code 137"),
        ({"code": 137, "signal": 9, "reason": "oom"}, "was killed for want of memory, code 137"),
        (
            {"code": None, "reason": "oom"},
            "ended while nobody watched it, after the kernel had killed in it for want of memory, its code unknown",
        ),
        ({"code": None, "reason": "lost: monitor"}, "ended while nobody watched it, its code unknown"),
        ({"code": None, "reason": "lost: reboot"}, "went down with the machine, its code unknown"),
        ({"code": 1, "reason": "of a later engine"}, "ended (of a later engine), code 1"),
    ],
)
def test_an_end_tells_its_reason_and_an_unknown_code_is_never_zero(exited: dict[str, Any], told: str) -> None:
    assert sentence(ev.ContainerExited(**exited)) == told


@pytest.mark.parametrize(
    ("timeout", "told"),
    [
        (10_000_000_000, "SIGKILL after 10 s"),
        (1_500_000_000, "SIGKILL after 1500 ms"),
        (0, "SIGKILL after 0 s"),
        (-1, "and no SIGKILL ever"),
    ],
)
def test_a_stop_tells_its_signal_and_its_deadline(timeout: int, told: str) -> None:
    stop = ev.ContainerStopRequested(signal=15, timeout=timeout)

    assert sentence(stop) == f"asked to stop: SIGTERM, {told}"


@pytest.mark.parametrize(
    ("health", "failures", "code", "told"),
    [
        ("healthy", 0, 0, "healthy by its health check"),
        ("unhealthy", 1, 7, "unhealthy: its health check failed once, the last time with code 7"),
        ("unhealthy", 3, -1, "unhealthy: its health check failed 3 times in a row, the last time without an answer in time"),
    ],
)  # fmt: skip
def test_a_change_of_health_tells_how_often_it_failed(
    health: str, failures: int, code: int, told: str
) -> None:
    assert sentence(ev.ContainerHealthChanged(health=health, failures=failures, code=code)) == told


def test_an_update_tells_each_limit() -> None:
    updated = ev.ContainerUpdated(settings={"limits": {"memory": 64, "cpuset_cpus": "0"}, "groups": []})

    assert sentence(updated) == "changed: limits memory=64 cpuset_cpus=0; groups none"


def test_a_whole_life_is_told_without_a_gap() -> None:
    history = alive("c1", "a")
    history.settle(f"container/{container_id('a')}", failing(("undo", "cgroup")))

    assert all(sentence(event) for event in history.events)
