"""Networks and containers on the host of a lab, made by the handlers alone: no journal, no program, no image."""

from __future__ import annotations

import contextlib
import hashlib
import secrets
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from effects.handler import Effects
from effects.identity import identity
from effects.linux import LinuxHost
from effects.registry import HANDLERS
from tests import cgroups
from tests.lab import Lab, Machine, lab

Spec = dict[str, Any]
ROOT_ID = secrets.token_hex(4)  # another run on this machine has another


class Network:
    """Addresses by number: 10.N.0.0/24 and fdN::/64."""

    def __init__(self, kit: Kit, number: int, *, internal: bool) -> None:
        self.number, self.internal, self.device = number, internal, f"net{number}"
        self.gateways = [f"10.{number}.0.1/24", f"fd{number:02x}::1/64"]
        self.subnets = [f"10.{number}.0.0/24", f"fd{number:02x}::/64"]
        self.directory, self.root_id = f"{kit.base}/dns/{self.device}", kit.mark.split()[1]
        self.mark = f"{kit.mark} network {self.device}"

    @property
    def bridge(self) -> Spec:
        return {
            "device": self.device,
            "gateways": self.gateways,
            "mark": self.mark,
            "internal": self.internal,
        }

    @property
    def dns(self) -> Spec:
        return {
            **self.bridge,
            "directory": self.directory,
            "network": self.device,
            "cgroup": f"mydocker-{self.root_id}",
        }


class Guest:
    """A container: a machine of the lab with an end on one network."""

    def __init__(self, kit: Kit, machine: Machine, network: Network, number: int, ports: list[Spec]) -> None:
        self.machine, self.network, self.ports = machine, network, ports
        self.ip, self.ip6 = f"10.{network.number}.0.{number}", f"fd{network.number:02x}::{number:x}"
        self.mac = f"02:42:0a:{network.number:02x}:00:{number:02x}"
        self.host_device = f"md{hashlib.sha256(machine.name.encode()).hexdigest()[:8]}-{network.number:04x}"
        self.mark = f"{kit.mark} container {machine.name}"
        self.table = kit.table
        for port in ports:
            port.setdefault("to", self.ip6 if ":" in port["address"] else self.ip)

    def door(self, family: int, kind: int) -> socket.socket:
        return self.machine.door(family, kind)

    @property
    def endpoint(self) -> Spec:
        who = identity(self.machine.pid)
        assert who is not None
        return {
            **who,
            "device": "eth0",
            "host_device": self.host_device,
            "bridge": self.network.device,
            "mac": self.mac,
            "addresses": [f"{self.ip}/24", f"{self.ip6}/64"],
            "gateways": [gateway.partition("/")[0] for gateway in self.network.gateways],
            "default": not self.network.internal,
            "mark": self.mark,
            "names": [self.machine.name],
            "names_file": f"{self.network.directory}/{self.machine.name}",
        }

    @property
    def rules(self) -> Spec:
        host = {"device": self.host_device, "mac": self.mac, "addresses": [self.ip, self.ip6]}
        return {"table": self.table, "mark": self.mark, "networks": [], "hosts": [host], "ports": self.ports}


class Kit:
    """What the host of the lab holds. One root id; another kit may stand for another root."""

    def __init__(self, made: Lab, base: Path, *, root_id: str = ROOT_ID) -> None:
        self.lab, self.base = made, base
        self.table, self.mark = f"mydocker-{root_id}", f"mydocker {root_id}"
        cgroups.note(root_id)
        self.host = LinuxHost()
        self.turned_on: list[str] = []
        self.done: list[tuple[str, Spec]] = []
        self.facts: dict[str, Any] = {}

    def do(self, kind: str, spec: Spec) -> Any:
        """As the settler does; what it made is undone by `close`."""
        with self.lab.host.entered():
            result = Effects(HANDLERS, self.host).do(kind, {"table": self.table, **spec})
        assert isinstance(result, dict), result
        self.done.append((kind, spec))
        return result

    def try_do(self, kind: str, spec: Spec) -> Any:
        with self.lab.host.entered():
            return Effects(HANDLERS, self.host).do(kind, {"table": self.table, **spec})

    def probe(self, kind: str, spec: Spec) -> Any:
        with self.lab.host.entered():
            return Effects(HANDLERS, self.host).probe(kind, {"table": self.table, **spec})

    def change(self, kind: str, spec: Spec) -> None:
        with self.lab.host.entered():
            assert Effects(HANDLERS, self.host).change(kind, {"table": self.table, **spec}) == {}

    def undo(self, kind: str, spec: Spec) -> None:
        facts = self.facts.get(spec["family"], {}) if kind == "forwarding" else {}
        with self.lab.host.entered():
            assert Effects(HANDLERS, self.host).undo(kind, {"table": self.table, **spec}, facts) == {}

    # --- what there is on a host ------------------------------------------------------------------------

    def prepare(self) -> None:
        """Forwarding and firewall."""
        for family in ("ipv4", "ipv6"):
            self.facts[family] = self.do("forwarding", {"family": family})
            self.turned_on += self.facts[family]["turned_on"]
        self.do("firewall", self.firewall)

    @property
    def firewall(self) -> Spec:
        return {"turned_on": self.turned_on}

    def network(self, number: int, *, internal: bool = False) -> Network:
        made = Network(self, number, internal=internal)
        self.do("bridge", made.bridge)
        self.do("rules", self.network_rules(made))
        self.do("dns", made.dns)
        return made

    def network_rules(self, made: Network) -> Spec:
        networks = [{"device": made.device, "subnets": made.subnets, "internal": made.internal}]
        return {"table": self.table, "mark": made.mark, "networks": networks, "hosts": [], "ports": []}

    def guest(self, name: str, network: Network, number: int, *ports: Spec) -> Guest:
        """A container that answers on tcp/80 and udp/80, and on tcp/81."""
        machine = self.lab.machine(name, {})
        made = Guest(self, machine, network, number, list(ports))
        self.do("endpoint", made.endpoint)
        self.do("rules", made.rules)
        self.lab.serve(machine, "tcp/80", "udp/80", "tcp/81")
        return made

    def mend(self) -> None:
        """As `replay` does: what is not whole any more is made again."""
        for kind, spec in list(self.done):
            if self.probe(kind, spec) is None:
                self.do(kind, spec)
                self.done.pop()

    def close(self) -> None:
        """Undo everything, last things first."""
        while self.done:
            kind, spec = self.done.pop()
            self.undo(kind, spec)
        self.host.close()

    @property
    def tables(self) -> set[str]:
        return {self.table}


@contextlib.contextmanager
def kit(base: Path) -> Iterator[Kit]:
    """A lab whose host is ready for networks. Nothing of it outlives the block."""
    with lab(base) as made:
        one = Kit(made, base)
        try:
            one.prepare()
            yield one
        finally:
            one.close()


def published(
    port: int, inner: int = 80, protocol: str = "tcp", address: str = "0.0.0.0", **more: Any
) -> Spec:
    return {"address": address, "host_port": port, "port": inner, "protocol": protocol, **more}
