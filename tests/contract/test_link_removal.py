"""A link that is removed is gone on return; what the kernel still does for it is left to a thread."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pytest

from effects import rtnetlink
from effects.failure import StepFailed
from effects.linux import LinuxHost

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.root

BRIDGE, MAC = "removal0", "02:42:00:00:00:01"


def threads() -> set[str]:
    return set(os.listdir("/proc/self/task"))


@pytest.fixture
def others() -> set[str]:
    """Threads that are not the host's."""
    return threads()


@pytest.fixture
def host(others: set[str]) -> Iterator[LinuxHost]:
    """In the tests' own network namespace; closed, it has neither threads nor descriptors of its own left."""
    before = len(os.listdir("/proc/self/fd"))
    host = LinuxHost()
    yield host
    host.close()
    assert threads() <= others
    assert len(os.listdir("/proc/self/fd")) == before


def made(host: LinuxHost) -> int:
    host.make_bridge(BRIDGE, MAC)
    link = host.link(BRIDGE)
    assert link is not None
    return int(link["index"])


def test_it_is_gone_on_return_each_time(host: LinuxHost) -> None:
    for _ in range(20):
        host.delete_link(made(host))
        assert host.link(BRIDGE) is None


def test_one_that_is_gone_already_is_no_error(host: LinuxHost) -> None:
    index = made(host)
    host.delete_link(index)
    host.delete_link(index)


def test_a_refusal_is_told(host: LinuxHost) -> None:
    loopback = host.link("lo")
    assert loopback is not None

    with pytest.raises(StepFailed) as refused:
        host.delete_link(loopback["index"])

    assert refused.value.errno == errno.EOPNOTSUPP


def test_only_the_end_of_this_very_link_counts(host: LinuxHost) -> None:
    index = made(host)
    watch, net = rtnetlink.watch_links(), rtnetlink.open_route()
    net.change("test", [rtnetlink.bridge("removal1", MAC)])
    other = rtnetlink.find_link(net, "removal1")
    assert other is not None
    net.change("test", [rtnetlink.set_link(index, alias="x"), rtnetlink.delete_link(other["index"])])

    told: list[bool] = []
    while not told or not told[-1]:
        told.append(rtnetlink.is_told_gone(watch, other["index"]))

    assert len(told) > 1  # the making and the alias came first
    host.delete_link(index)
    watch.close()
    net.close()


def test_those_that_are_over_hold_nothing(host: LinuxHost, others: set[str]) -> None:
    open_then = []
    for _ in range(5):
        host.delete_link(made(host))
        while threads() - others:
            pass
        open_then.append(len(os.listdir("/proc/self/fd")))

    assert open_then == open_then[:1] * 5


def test_no_process_is_born_while_there_is_a_thread_of_the_hosts(
    host: LinuxHost, others: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    beside: list[set[str]] = []

    def spawn_init(_host: object, _config: object) -> dict[str, object]:
        beside.append(threads() - others)
        return {}

    monkeypatch.setattr("effects.linux.Processes.spawn_init", spawn_init)
    for _ in range(5):
        host.delete_link(made(host))
        host.spawn_init({})

    assert beside == [set()] * 5


def test_a_defect_of_ours_is_no_removal(host: LinuxHost, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody would see what a thread prints."""
    index = made(host)

    def breaks(_index: int) -> object:
        raise ZeroDivisionError("on purpose")

    with monkeypatch.context() as patched:
        patched.setattr(rtnetlink, "delete_link", breaks)
        with pytest.raises(ZeroDivisionError):
            host.delete_link(index)

    host.delete_link(index)
