"""A container's resources on one host, made one by one in the order in which a container holds them."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

from effects import process_file, syscalls
from effects.handler import Effects
from effects.registry import HANDLERS
from tests import cgroups
from tests.contract.bench_network import network_spec
from tests.fakes import FakeHost, FakeKernel

if TYPE_CHECKING:
    from effects.handler import Handler
    from effects.host import Facts, Host, Spec

# A container's resources in the order of its life, each standing on those before it.
CONTAINER = ("directory", "cgroup", "init", "root_link", "release", "frozen")
# Those of networks, with what each stands on.
NETWORK = {
    "forwarding": (),
    "firewall": (),
    "bridge": (),
    "dns": ("bridge",),
    "endpoint": ("bridge", "dns", "directory", "cgroup", "init"),
    "rules": ("firewall",),
    "resolver": ("firewall", "bridge", "dns"),
}
# The whole life of a container on a network; then what stands alone.
LIFE = (*tuple(NETWORK)[:4], *CONTAINER[:3], "endpoint", "rules", "resolver", *CONTAINER[3:])
ALONE = ("staging",)
FORWARDING = Path("/proc/sys/net/ipv4/ip_forward")
BUSYBOX = "/bin/busybox"
SETTINGS: Spec = {
    "name": "contract",
    "hostname": "contract",
    "cwd": "/",
    "user": "",
    "groups": [],
    "volumes": [],
    "tmpfs": [],
    "network": "none",
    "tty": False,
    "stdin": False,
    "caps": ["CHOWN", "KILL", "SETUID", "SETGID"],
    "privileged": False,
    "read_only": False,
    "no_new_privileges": False,
    "init": "",
    "shm_size": 65536,
    "auto_remove": False,
    "rlimits": {},
}


class Bench:
    """`base`: a directory of this test's own; `root_id`: eight digits of its own."""

    def __init__(self, base: str, root_id: str) -> None:
        self.base, self.root_id = base, root_id
        self.container_id = root_id * 8
        self.argv = [BUSYBOX, "sleep", "600"]
        self.settings: Spec = {}
        self.limits: Spec = {"memory": 32 << 20, "pids": 50, "cpu_shares": 512, "cpuset_cpus": "0"}
        self.facts: dict[str, Facts] = {}
        self._networked = False  # whether there may be something of NETWORK
        self.host: Host = self.new_host()

    # --- what the two kernels differ in ----------------------------------------------------------------

    def new_host(self) -> Host:
        raise NotImplementedError

    def end_host(self, host: Host) -> None:
        """As the end of the process that `host` stands for."""
        raise NotImplementedError

    def leftovers(self) -> list[str]:
        """What is there that was not there before us: cgroups, processes, mounts, links, tables, settings."""
        raise NotImplementedError

    def close(self) -> None:
        """After the test."""

    def control(self, controller: str, file: str) -> str:
        """The content of a control file of the container's cgroup."""
        from effects.cgroup_tree import places

        directory = places(self.facts["cgroup"])["dirs"][controller]
        return self.host.read_file(f"{directory}/{file}").decode().strip()

    # --- the resources ---------------------------------------------------------------------------------

    def succeed(self) -> Host:
        """The settler ends, another takes its place."""
        self.end_host(self.host)
        self.host = self.new_host()
        return self.host

    def spec(self, kind: str) -> Spec:
        """What the planner would specify, from what is held so far."""
        here = f"{self.base}/containers/{self.container_id}"
        identity = {key: self.facts.get("init", {}).get(key) for key in ("pid", "start", "boot")}
        names = {"parent": f"mydocker-{self.root_id}", "name": self.container_id}
        specs: dict[str, Spec] = {
            "directory": {
                "path": here,
                "id": self.container_id,
                "files": {
                    "etc/hostname": "contract\n",
                    "etc/hosts": "127.0.0.1 localhost\n",
                    "etc/resolv.conf": None,
                },
                "fifos": {"stdout": [0, 0], "stderr": [1000, 1000]},
                "process": {"name": "process-1234.json"},
            },
            "cgroup": {**names, "limits": self.limits, "privileged": False},
            "init": {
                **SETTINGS,
                "id": self.container_id,
                "process": f"{here}/process-1234.json",
                "lower": [f"{self.base}/layer"],
                "upper": f"{here}/upper",
                "work": f"{here}/work",
                "files": {
                    f"/etc/{name}": f"{here}/etc/{name}" for name in ("hosts", "hostname", "resolv.conf")
                },
                "stdio": {"stdout": f"{here}/stdout", "stderr": f"{here}/stderr"},
                "cgroup": names,
                **self.settings,
            },
            "root_link": {
                "link": f"{self.base}/mnt/contract",
                "via": f"{self.base}/run/{self.root_id}/mnt/{self.container_id}",
                **identity,
            },
            "release": identity,
            "frozen": self.facts.get("cgroup", {}),
            "staging": {"path": f"{self.base}/staging/job"},
            "layer": {"path": f"{self.base}/layers/0123"},
            "signal": {**identity, "signal": 15},
        }
        if kind not in NETWORK:
            return specs[kind]
        turned_on = self.facts.get("forwarding", {}).get("turned_on", [])
        return network_spec(kind, self.base, self.root_id, self.container_id, {**identity, "on": turned_on})

    def hand_over_secrets(self) -> None:
        self.host.secrets["process-1234.json"] = process_file.encode(self.argv, {"PATH": "/bin"})

    def do(self, kind: str) -> Facts:
        """As a settler does: probe, else do."""
        result = Effects(HANDLERS, self.host).do(kind, self.spec(kind))
        assert isinstance(result, dict), result
        self.facts[kind] = result
        return result

    def undo(self, kind: str) -> None:
        result = Effects(HANDLERS, self.host).undo(kind, self.spec(kind), self.facts.get(kind, {}))
        assert result == {}

    def stage(self, kind: str) -> tuple[Handler, Spec]:
        """Everything before `kind` is made, `kind` and all after it are not; its handler and its spec."""
        self.clear()
        self._networked = kind in NETWORK
        self.hand_over_secrets()
        for earlier in self.before(kind):
            self.do(earlier)
        return HANDLERS[kind], self.spec(kind)

    def clear(self) -> None:
        """Undo everything, last things first."""
        for kind in reversed((*LIFE, *ALONE)):
            if kind in NETWORK and not (self._networked or kind in self.facts):
                continue
            if self._stands_on(kind) in {"", *self.facts}:
                self.undo(kind)
        self.facts.clear()
        self._networked = False

    def before(self, kind: str) -> tuple[str, ...]:
        if kind in ALONE:
            return ()
        if kind in NETWORK:
            return NETWORK[kind]
        return CONTAINER[: CONTAINER.index(kind)] if kind in CONTAINER else CONTAINER[:-1]

    @staticmethod
    def _stands_on(kind: str) -> str:
        """The kind whose facts this kind's spec is made of."""
        return {"root_link": "init", "release": "init", "frozen": "cgroup", "endpoint": "init"}.get(kind, "")


class FakeBench(Bench):
    def __init__(self, layout: str) -> None:
        self.kernel = FakeKernel(layout)
        self.kernel.tree.make_dirs("/base/layer/bin")
        self.kernel.tree.make_file("/etc/resolv.conf", b"nameserver 192.0.2.1\n")
        super().__init__("/base", "0badcafe")

    def new_host(self) -> Host:
        return FakeHost(self.kernel)

    def end_host(self, host: Host) -> None:
        assert isinstance(host, FakeHost)
        host.die()

    def leftovers(self) -> list[str]:
        mine = f"process {self.host.myself.pid}" if isinstance(self.host, FakeHost) else ""
        return [left for left in self.kernel.leftovers if left != mine]


class LinuxBench(Bench):
    """On the real kernel: a busybox root file system in `base`, cgroups named after `root_id`, and until `close` a
    network namespace of our own.
    """

    def __init__(self, base: Path, root_id: str) -> None:
        layer = base / "layer" / "bin"
        layer.mkdir(parents=True)
        busybox = shutil.which("busybox")
        assert busybox is not None, "the contract suite needs busybox-static"
        shutil.copy(busybox, layer / "busybox")
        self._children = _children()
        self._outside = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        syscalls.unshare(syscalls.CLONE_NEWNET)
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        FORWARDING.write_text("0")  # a new namespace of IPv4 begins with what the machine's first one has
        super().__init__(str(base), root_id)
        cgroups.note(root_id)

    def new_host(self) -> Host:
        from effects.linux import LinuxHost

        return LinuxHost()

    def end_host(self, host: Host) -> None:
        from effects.linux import LinuxHost

        assert isinstance(host, LinuxHost)
        host.close()

    def leftovers(self) -> list[str]:
        # Other programs mount things too: ours have our directory as their place or their source.
        found = [f"mount {mount}" for mount in _mounts() if self.base in mount]
        for hierarchy in self.host.hierarchies():
            name = f"mydocker-{self.root_id}"
            found += [path for path in self.host.subdirs(hierarchy["path"]) if path.endswith(name)]
        found += [f"process {pid}" for pid in _children() - self._children]
        return found + self._network_leftovers()

    def _network_leftovers(self) -> list[str]:
        found = [f"link {link['name']}" for link in self.host.links() if link["name"] != "lo"]
        found += [f"table {table}" for family in ("inet", "bridge") for table in self.host.chains(family)]
        for whose in ("net", self.container_id):
            name = f"dnsmasq:{self.base}/run/{self.root_id}/dns/{whose}"
            found += [f"server {server['pid']}" for server in self.host.processes_with(name)]
        if FORWARDING.read_text() != "0\n":
            found.append("forwarding")
        return found

    def close(self) -> None:
        syscalls.setns(self._outside, syscalls.CLONE_NEWNET)
        os.close(self._outside)


def _mounts() -> set[str]:
    return set(Path("/proc/self/mountinfo").read_text().splitlines())


def _children() -> set[str]:
    return set(Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())


def value_of(bench: Bench, v1: tuple[str, str], v2: tuple[str, str]) -> Any:
    """A control file's content, by the version of the hierarchy that its controller is in."""
    facts = bench.facts["cgroup"]
    controller = v1[0]
    return bench.control(*(v2 if facts["at"][controller] == facts["cgroup2"] else v1))


def may_open(cgroup2: str, device: str) -> bool:
    """Whether a process of this version 2 cgroup may open a device of the host."""
    child = os.fork()
    if child == 0:
        status = 2
        try:
            with open(f"{cgroup2}/cgroup.procs", "w") as file:
                file.write("0")
            os.close(os.open(device, os.O_RDWR))
            status = 0
        except PermissionError:
            status = 1
        finally:
            os._exit(status)
    return {0: True, 1: False}[os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])]
