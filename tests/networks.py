"""The program on the engine's host of a lab, and its containers as machines of that lab."""

from __future__ import annotations

import os
import shutil
import uuid
from pathlib import Path
from typing import Any

import pexpect

from tests import cgroups
from tests.lab import Lab, Machine, Place, pids_there, snapshot
from tests.system.conftest import Docker, left_behind

BOOT_ID = "/proc/sys/kernel/random/boot_id"
SUBNET = ("network", "create", "--driver", "bridge", "--subnet")


class Guest(Place):
    """A running container, seen as a machine: sockets made there are behind its own network."""

    def __init__(self, docker: Net, name: str) -> None:
        self.docker = docker
        self.inspected: dict[str, Any] = docker.inspect(name)
        super().__init__(name, int(self.inspected["State"]["Pid"]))

    @property
    def networks(self) -> dict[str, dict[str, Any]]:
        """Name of the network -> where it is there, as `inspect` shows it."""
        found: dict[str, dict[str, Any]] = self.inspected["NetworkSettings"]["Networks"]
        return found

    @property
    def ip(self) -> str:
        """Its address in the first of its networks."""
        return str(next(iter(self.networks.values()))["IPAddress"])

    @property
    def ip6(self) -> str:
        return str(next(iter(self.networks.values()))["GlobalIPv6Address"])

    def sh(self, script: str) -> str:
        """What a shell inside says."""
        return self.docker.ok("exec", self.name, "sh", "-c", script)


class Net(Docker):
    """`mydocker` on the lab's host."""

    def __init__(self, base: Path, lab: Lab) -> None:
        super().__init__(base)
        self.base, self.lab = base, lab
        self.model = ""
        self.move(lab.host)
        self.before = snapshot(lab.host)

    def move(self, host: Machine) -> None:
        self.prefix = host.prefix_all(self.root)

    def terminal(self, *args: str | Path) -> pexpect.spawn[str]:
        words = [*self.prefix, self.program, *self.words(args)]
        return pexpect.spawn(words[0], words[1:], env=self.env, encoding="utf-8", timeout=20)

    def network(self, name: str, subnet: str, *options: str) -> None:
        self.ok(*SUBNET, subnet, *options, name)

    def guest(self, name: str, *options: str, argv: tuple[str, ...] = ("top",)) -> Guest:
        """A container that runs."""
        self.ok("run", "-d", "--name", name, *options, "busybox", *argv)
        return Guest(self, name)

    def serving(self, name: str, *options: str, doors: tuple[str, ...] = ("tcp/80",)) -> Guest:
        """One that answers with its name, on IPv4 and IPv6."""
        guest = self.guest(name, *options)
        self.lab.serve(guest, *doors)
        return guest

    def links(self) -> list[str]:
        """Names of the links of the engine's host, besides its own."""
        rows = self.lab.host.run("ip", "-o", "link").splitlines()
        return sorted({row.split(": ")[1].split("@")[0] for row in rows} - {"lo", "eth0"})

    def now(self) -> dict[str, list[str]]:
        return snapshot(self.lab.host)

    def rules(self) -> str:
        return self.lab.host.run("nft", "list", "ruleset")

    # --- what happens to it, and what is left of it ----------------------------------------------------

    def reboot(self) -> None:
        """All processes, links, rules, cgroups and the run directory are gone; another boot id."""
        self.kill(*{*self.processes(), *pids_there(self.lab.host)} - {os.getpid()})
        cgroups.remove(self.root_id)
        shutil.rmtree(self.run_dir, ignore_errors=True)
        boot = self.base / f"boot-{uuid.uuid4()}"
        boot.write_text(f"{uuid.uuid4()}\n")
        self.lab.reboot_host({BOOT_ID: boot})
        self.move(self.lab.host)

    def clear(self) -> None:
        """Remove all containers and networks, as a user would."""
        if ids := self("ps", "-aq").stdout.split():
            self("rm", "-f", *ids)
        self("network", "prune", "-f")  # all but `bridge`

    def left(self) -> list[str]:
        """What the host's network still has of us once all is removed, the default network aside."""
        self.lab.fall_silent()
        now = self.now()
        default = f"md-{self.root_id}" in self.links()
        found = [] if default else network_left(self.before, now)
        found += [f"link {name}" for name in self.links() if name != f"md-{self.root_id}"]
        kept = ("dnsmasq", f"/mydocker-{self.root_id}")  # the default network's server, and where it lives
        strangers = [line for line in left_behind(self) if not (default and any(one in line for one in kept))]
        return found + strangers


def network_left(before: dict[str, list[str]], now: dict[str, list[str]]) -> list[str]:
    """What two snapshots of a place differ in."""
    return [
        f"{'new' if row in now[kind] else 'lost'} in {kind}: {row}"
        for kind in before
        for row in [*now[kind], *before[kind]]
        if (row in now[kind]) != (row in before[kind])
    ]
