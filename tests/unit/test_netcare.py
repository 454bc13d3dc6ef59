"""What a monitor looks at before a policy's restart, and the helper that mends it."""

from __future__ import annotations

import errno
import sys
from typing import TYPE_CHECKING, Any

import pytest

from cli import netcare, session
from effects import interpreter, nft_elements
from machine import plan
from machine.network_errors import NoSuchNetwork
from machine.plan_network import of_lease
from tests.histories import PLACES, History
from tests.networked import N1, N2, a_network, add, connection, history, net, start

if TYPE_CHECKING:
    from pathlib import Path

    from machine.subjects import Container, Network

POOL6 = "fd00:60::/64"


def dual(**more: Any) -> Any:
    asked = a_network(**more)
    asked.subnets += a_network(pool=POOL6).subnets
    return asked


def specified(network: Network) -> dict[str, Any]:
    """Its specifications; of its rules, what they come to in the firewall's sets."""
    found = {kind: plan.maker(kind)(network, PLACES, key) for kind, key in plan.wanted(network)}
    found["rules"]["networks"] = set(nft_elements.elements(found["rules"]))
    return found


@pytest.mark.parametrize(
    "asked",
    [a_network(), a_network(pool=POOL6), dual(), dual(internal=True), a_network(pool="10.0.0.0/8")],
    ids=["IPv4", "IPv6", "both", "internal", "large"],
)
def test_a_lease_tells_all_that_is_specified_of_its_network(asked: Any) -> None:
    happened = history(asked)
    c = start(happened, add(happened))

    assert specified(of_lease(c.endpoints[0])) == specified(net(happened))


class Kernel:
    """Has all it is asked for but one kind, and remembers what that was."""

    def __init__(self, *, lacks: str = "") -> None:
        self.lacks = lacks
        self.asked: list[tuple[str, str]] = []

    def probe(self, kind: str, spec: dict[str, Any], facts: dict[str, Any]) -> dict[str, Any] | None:
        self.asked.append((kind, str(spec.get("mark", ""))))
        return None if kind == self.lacks else facts


class Engine:
    def __init__(self, happened: History, kernel: Kernel) -> None:
        self.world, self.places, self.effects = happened.world, PLACES, kernel
        self.actor = type("Actor", (), {"by": {"cmd": "monitor"}})()


def on_two_networks() -> tuple[History, Container]:
    happened = history(a_network(), a_network("other", N2, "10.9.0.0/24"))
    return happened, start(happened, add(happened, connections=[connection(), connection(N2, "other")]))


@pytest.fixture
def helpers(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """The arguments of each that was to be started; none ever can be."""
    started: list[tuple[str, ...]] = []

    def spawn(_module: str, _fds: list[int], *arguments: str, new_session: bool) -> int:
        started.append(arguments)
        raise OSError(errno.EAGAIN, "Resource temporarily unavailable")

    monkeypatch.setattr(interpreter, "spawn", spawn)
    return started


def mended(happened: History, c: Container, kernel: Kernel) -> None:
    engine: Any = Engine(happened, kernel)
    netcare.mend(engine, c)


def test_all_that_is_held_for_it_is_looked_at(helpers: list[tuple[str, ...]]) -> None:
    happened, c = on_two_networks()
    kernel = Kernel()
    mended(happened, c, kernel)

    held = [row for one in (happened.world.host, net(happened), net(happened, N2)) for row in one.held]
    assert kernel.asked == [(row.kind, row.spec["mark"]) for row in held]
    assert helpers == []


@pytest.mark.parametrize("kind", ["forwarding", "firewall", "bridge", "rules", "dns"])
def test_a_helper_is_called_for_what_is_gone_and_the_monitor_lives_on_without_one(
    helpers: list[tuple[str, ...]], kind: str
) -> None:
    mended(*on_two_networks(), Kernel(lacks=kind))

    assert helpers == [(PLACES.root, "monitor", N1, N2)]


def helped(root: Path, monkeypatch: pytest.MonkeyPatch, error: Exception) -> int:
    """The exit code of a helper that meets this error; the error where it is passed on."""

    def fails(*_args: str) -> None:
        raise error

    monkeypatch.setattr(session, "Session", fails)
    monkeypatch.setattr(sys, "argv", ["cli.netcare", str(root), "monitor", N1])
    return netcare.main()


def test_a_helper_that_breaks_leaves_its_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ZeroDivisionError):
        helped(tmp_path, monkeypatch, ZeroDivisionError("on purpose"))

    told = (tmp_path / "defects.txt").read_text()
    assert N1 in told
    assert "ZeroDivisionError: on purpose" in told


@pytest.mark.parametrize("error", [NoSuchNetwork("n1"), OSError(errno.ENOSPC, "No space left on device")])
def test_what_the_world_does_to_a_helper_is_no_defect(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    assert helped(tmp_path, monkeypatch, error) != 0
    assert list(tmp_path.iterdir()) == []
