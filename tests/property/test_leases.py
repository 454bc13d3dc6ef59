"""Addresses and ports in random lives: nobody ever has what another one has, and none is lost."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from machine import decide, decide_host, networks
from machine.addresses import subnet
from machine.errors import MachineError
from machine.networks import Wanted
from machine.resources import WATCHED
from machine.state import State
from machine.subjects import Container
from machine.world import World
from tests.histories import BOOT, MACHINE, History, created, here

NAMES = ("a", "b", "c")
POOLS = {"n1": ("10.0.0.0/29",), "n2": ("10.0.1.0/29", "fd00::/125")}
ASKED: dict[str, Any] = {"ip": "", "ip6": "", "mac": "", "aliases": []}
MAKING = ("create", "create", "create", "start", "start", "start", "start", "connect", "make")
VERBS = (*MAKING, "stop", "end", "rm", "disconnect", "unmake", "reboot")
steps = st.lists(
    st.tuples(st.sampled_from(VERBS), st.sampled_from(NAMES), st.sampled_from(list(POOLS)), st.booleans()),
    min_size=20,
    max_size=40,
)


class Lives:
    """Three names and two small networks; everything is settled at once."""

    def __init__(self) -> None:
        self.history = History()
        self.boots = self.ids = 0
        self.reboot()
        for name in POOLS:
            self.make(name)

    def ask(self, verb: str, name: str, network: str, *, choice: bool) -> None:
        """One command, refused or not."""
        container = self.history.world.names.get(name, "")
        ways: dict[str, Callable[[], object]] = {
            "create": lambda: self.create(name, network, choice=choice),
            "start": lambda: self.decide(decide.start, name),
            "stop": lambda: self.decide(decide.stop, name),
            "end": lambda: self.decide(decide.note_exit, container, code=0),
            "rm": lambda: self.decide(decide.remove, name, force=choice),
            "connect": lambda: self.decide(networks.connect, network, name, ASKED),
            "disconnect": lambda: self.decide(networks.disconnect, network, name),
            "make": lambda: self.make(network),
            "unmake": lambda: self.decide(networks.remove, network),
            "reboot": self.reboot,
        }
        try:
            ways[verb]()
        except MachineError:
            return

    def decide(self, decision: Callable[..., decide.Decision], *args: Any, **more: Any) -> None:
        self.history.decide(decision, *args, **more)
        for subject in list(self.history.world.subjects()):
            self.history.settle(subject.stream)

    def reboot(self) -> None:
        self.boots += 1
        self.decide(decide_host.note_boot, here(f"{BOOT}-{self.boots}", MACHINE))

    def make(self, name: str) -> None:
        self.ids += 1
        wanted = Wanted(f"{self.ids:064x}", name, [(subnet(pool), None) for pool in POOLS[name]])
        self.decide(networks.create, wanted)

    def create(self, name: str, network: str, *, choice: bool) -> None:
        """`choice`: with ports, one that several want and one of any."""
        self.ids += 1
        net = networks.find(self.history.world, network)
        ports = [
            {"address": "", "host_port": port, "port": 80 + port, "protocol": "tcp"} for port in (0, 8080)
        ]
        settings: dict[str, Any] = {
            "network": "bridge",
            "connections": [{"network": net.id, "name": net.name, **ASKED}],
            "ports": ports if choice else [],
        }
        asked = created(name, **settings)
        asked.id = f"{self.ids:064x}"
        self.decide(decide.create, asked)


def leases(world: World, c: Container) -> list[tuple[str, str]]:
    """(network, address) of all that it has."""
    return [(one["network"], text.partition("/")[0]) for one in c.endpoints for text in one["addresses"]]


def nobody_has_what_another_has(world: World) -> None:
    had = [pair for c in world.containers.values() for pair in leases(world, c)]
    assert len(had) == len(set(had)), had
    rows = [row for c in world.containers.values() for row in c.ports]
    ports = [(row["protocol"], row["address"], row["host_port"]) for row in rows]
    assert len(ports) == len(set(ports)), ports


def addresses_are_hosts_of_their_network(world: World) -> None:
    for c in world.containers.values():
        for network_id, text in leases(world, c):
            address = ipaddress.ip_address(text)
            rows = world.networks[network_id].subnets
            (row,) = [one for one in rows if address in ipaddress.ip_network(one["subnet"])]
            assert address in set(ipaddress.ip_network(row["subnet"]).hosts()), (text, row)
            assert text != row["gateway"]


def only_the_living_have_any(world: World) -> None:
    for c in world.containers.values():
        if c.status not in WATCHED:
            assert (c.endpoints, c.ports) == ([], []), c.status
        assert all(world.networks[one["network"]].status == "active" for one in c.endpoints)


@given(steps)
def test_leases_are_ones_own_and_right(lives: list[tuple[str, str, str, bool]]) -> None:
    played = Lives()
    for verb, name, network, choice in lives:
        played.ask(verb, name, network, choice=choice)
        for claim in (
            nobody_has_what_another_has,
            addresses_are_hosts_of_their_network,
            only_the_living_have_any,
        ):
            claim(played.history.world)


@given(steps)
def test_what_is_free_can_be_had(lives: list[tuple[str, str, str, bool]]) -> None:
    """After whatever happened: once all are gone, a network of five addresses takes five containers again."""
    played = Lives()
    for verb, name, network, choice in lives:
        played.ask(verb, name, network, choice=choice)
    for name in NAMES:
        played.ask("rm", name, "n1", choice=True)
    played.ask("make", "a", "n1", choice=False)
    for name in "abcde":
        played.create(name, "n1", choice=False)
        played.decide(decide.start, name)

    had = [
        text for c in played.history.world.containers.values() for _, text in leases(played.history.world, c)
    ]
    assert sorted(had) == [f"10.0.0.{n}" for n in range(2, 7)]


@given(steps)
def test_a_snapshot_reserves_the_same(lives: list[tuple[str, str, str, bool]]) -> None:
    played = Lives()
    for verb, name, network, choice in lives:
        played.ask(verb, name, network, choice=choice)
    world = played.history.world
    again = World.load(State.dump(world))

    assert {c.id: (c.endpoints, c.ports, c.last) for c in again.containers.values()} == {
        c.id: (c.endpoints, c.ports, c.last) for c in world.containers.values()
    }
