"""What can be asked of a `tests.world.Computer` about networks."""

from __future__ import annotations

from typing import Any

from machine import decide_host, networks
from machine.addresses import subnet
from tests.histories import here
from tests.world import Computer, Step

N1, N2 = "2e7" + "0" * 61, "2e8" + "0" * 61
ASKED: dict[str, Any] = {"ip": "", "ip6": "", "mac": "", "aliases": ["db"]}
# Settings of a container on the first of them, with a port of the host.
ON_NET: dict[str, Any] = {
    "network": "bridge",
    "connections": [{"network": N1, "name": "net", **ASKED}],
    "ports": [{"address": "", "host_port": 8080, "port": 80, "protocol": "tcp"}],
}


def make(name: str, network_id: str, pool: str, *, v6: bool = False) -> Step:
    """A network; nothing where it is there."""

    def step(computer: Computer) -> None:
        if networks.named(computer.world, name) is None:
            asked = networks.Wanted(network_id, name, [(subnet(pool), None)])
            asked.v6 = v6
            computer.decide(networks.create, asked)

    return step


def remove(computer: Computer) -> None:
    """The first network; nothing where it has gone."""
    if networks.named(computer.world, "net") is not None:
        computer.decide(networks.remove, "net")


def connect(name: str) -> Step:
    return lambda computer: computer.decide(networks.connect, name, "c1", ASKED)


def disconnect(name: str) -> Step:
    return lambda computer: computer.decide(networks.disconnect, name, "c1")


def move_the_run_directory(computer: Computer) -> None:
    """The next command asks for another one."""
    asked = here(computer.kernel.boot, "machine-1", run="/run/other")
    computer.decide(decide_host.note_boot, asked)


NET, NET2, NET_RM = make("net", N1, "192.168.10.0/24", v6=True), make("two", N2, "10.0.0.0/24"), remove
