"""Networks and containers on them, for tests without any kernel."""

from __future__ import annotations

from typing import Any

from machine import decide, decide_host, networks
from machine.addresses import subnet
from machine.networks import Wanted
from machine.subjects import Container, Network
from tests.histories import BOOT, MACHINE, History, container_id, created, here

N1, N2 = "1" * 64, "2" * 64
ASKED: dict[str, Any] = {"ip": "", "ip6": "", "mac": "", "aliases": []}
TURNED_ON = {"turned_on": ["net/ipv4/ip_forward"]}


def a_network(name: str = "net", network_id: str = N1, pool: str = "192.168.10.0/24", **more: Any) -> Wanted:
    asked = Wanted(network_id, name, [(subnet(pool), None)])
    for key, value in more.items():
        setattr(asked, key, value)
    return asked


def connection(network_id: str = N1, name: str = "net", **more: Any) -> dict[str, Any]:
    return {"network": network_id, "name": name, **ASKED, **more}


def history(*asked: Wanted) -> History:
    found = History()
    found.decide(decide_host.note_boot, here(BOOT, MACHINE))
    for one in asked or (a_network(),):
        found.decide(networks.create, one)
        found.settle(f"network/{one.id}")
    found.settle("host")
    return found


def add(found: History, name: str = "c1", digit: str = "a", **settings: Any) -> Container:
    """A container on `net`, not yet started."""
    settings = {"network": "bridge", "connections": [connection()], **settings}
    found.decide(decide.create, created(name, digit, **settings))
    found.settle(f"container/{container_id(digit)}")
    return found.world.containers[container_id(digit)]


def start(found: History, c: Container, **more: Any) -> Container:
    found.decide(decide.start, c.name, **more)
    found.settle(c.stream)
    return c


def addresses(c: Container) -> list[str]:
    return [text for one in c.endpoints for text in one["addresses"]]


def net(found: History, network_id: str = N1) -> Network:
    return found.world.networks[network_id]


def asked_port(host: int, address: str = "", port: int = 8080, protocol: str = "tcp") -> dict[str, Any]:
    return {"address": address, "host_port": host, "port": port, "protocol": protocol}
