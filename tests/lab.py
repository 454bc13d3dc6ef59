"""Machines for network tests: namespaces joined by wires, with real TCP and UDP between them. Gone with the test.

    internet 198.51.100.9 --- router --- host 10.77.0.10 (the engine's)
                                     --- neighbour 10.77.0.20

Each is a process that sleeps in a network namespace of its own and dies with the test process, whatever ends
that: the kernel then drops the namespace with all its links, addresses and rules.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from effects import syscalls_process as kernel
from tests.waiting import until

ECHO = Path(__file__).with_name("echo.py")
KINDS = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}
PATIENCE = 1.0  # seconds without an answer that count as "not reachable"; an answer takes one millisecond
ANSWER = 5.0  # seconds in which one must come, on a machine that is busy
# No router solicitation, no waiting for duplicate addresses: what the tests wait for is the engine. And no router:
# a new namespace has the machine's own setting of IPv4.
QUIET = (
    "for file in /proc/sys/net/ipv6/conf/{all,default}/accept_{ra,dad} /proc/sys/net/ipv4/ip_forward; "
    "do echo 0 >$file; done"
)
SLEEP = "echo ready; exec sleep infinity"


class Place:
    """One network namespace, known by a process in it."""

    def __init__(self, name: str, pid: int) -> None:
        self.name, self.pid = name, pid

    def prefix(self) -> list[str]:
        """The words before a command that make it run there."""
        return ["nsenter", f"--net=/proc/{self.pid}/ns/net", "--"]

    def run(self, *command: str, stdin: str = "", check: bool = True) -> str:
        """A command's standard output, there."""
        done = subprocess.run(
            [*self.prefix(), *command], input=stdin, capture_output=True, text=True, timeout=30, check=False
        )
        assert done.returncode == 0 or not check, f"{self.name}: {command}: {done.stdout}{done.stderr}"
        return done.stdout

    def links(self, batch: str) -> None:
        """Lines for `ip -batch`."""
        self.run("ip", "-batch", "-", stdin=batch)

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """With it, this thread is there: sockets that it makes stay there, and /proc/sys/net is that place's."""
        with open("/proc/thread-self/ns/net") as here, open(f"/proc/{self.pid}/ns/net") as there:
            kernel.setns(there.fileno(), kernel.CLONE_NEWNET)
            try:
                yield
            finally:
                kernel.setns(here.fileno(), kernel.CLONE_NEWNET)

    def door(self, family: int, kind: int) -> socket.socket:
        """A socket that is there."""
        with self.entered():
            return socket.socket(family, kind)

    def sysctl(self, name: str) -> str:
        """Its value of a setting of the network, such as net.ipv4.ip_forward."""
        with self.entered():
            return Path("/proc/sys", *name.split(".")).read_text().strip()

    def set_sysctl(self, name: str, value: str) -> None:
        with self.entered():
            Path("/proc/sys", *name.split(".")).write_text(value)

    # --- asking and answering ------------------------------------------------------------------------

    def ask(self, address: str, port: int, protocol: str = "tcp", *, seconds: float = ANSWER) -> str:
        """What answers there, and as whom it sees us: "NAME ADDRESS". OSError if nobody does."""
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with self.door(family, KINDS[protocol]) as door:
            door.settimeout(seconds)
            door.connect((address, port))
            if protocol == "udp":
                door.send(b"?")
                return door.recv(2048).decode().strip()
            found = b""
            while piece := door.recv(2048):
                found += piece
            return found.decode().strip()

    def reaches(self, address: str, port: int, protocol: str = "tcp") -> bool:
        """Whether somebody answers; that nobody does takes `PATIENCE` (many at once: `reached`). "icmp": a ping."""
        if protocol == "icmp":
            return self.pings(address)
        try:
            return bool(self.ask(address, port, protocol, seconds=PATIENCE))
        except OSError:
            return False

    def pings(self, address: str, *, count: int = 1) -> bool:
        done = self.run("busybox", "ping", "-c", str(count), "-W", "1", address, check=False)
        return " 0% packet loss" in done

    def listening(self, port: int, protocol: str = "tcp", address: str = "::") -> socket.socket:
        """A socket there that listens; "::" is for both families."""
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        door = self.door(family, KINDS[protocol])
        try:
            door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            door.bind((address, port))
            if protocol == "tcp":
                door.listen(64)
        except OSError:
            door.close()
            raise
        return door


Way = tuple[Place, str, int] | tuple[Place, str, int, str]  # from where, address, port, protocol if not TCP


def reached(*ways: Way) -> list[str]:
    """Those on which somebody answers, all tried at once: silence takes `PATIENCE`, and here only once."""
    with ThreadPoolExecutor(len(ways)) as pool:
        answers = pool.map(lambda way: way[0].reaches(*way[1:]), ways)
        return [
            " ".join(map(str, (way[0].name, *way[1:])))
            for way, found in zip(ways, answers, strict=True)
            if found
        ]


class Machine(Place):
    """A place that is made, with its own mounts; `files` stand in for those of the system at these paths."""

    def __init__(self, name: str, files: dict[str, Path]) -> None:
        binds = "".join(f"mount --bind {source} {path}; " for path, source in files.items())
        command = ["setpriv", "--pdeathsig", "KILL", "unshare", "--net", "--mount", "bash", "-c"]
        self._process = subprocess.Popen(
            [*command, f"set -e; {binds}ip link set lo up; {QUIET}; {SLEEP}"],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n", f"{name} did not come up"
        super().__init__(name, self._process.pid)

    def close(self) -> None:
        """Ended, and whatever runs there: servers that outlived their parents too."""
        for pid in pids_there(self):
            if pid != os.getpid():
                os.kill(pid, signal.SIGKILL)
        self._process.wait()
        if self._process.stdout:
            self._process.stdout.close()

    def prefix_all(self, directory: Path) -> list[str]:
        """As `prefix`, with its mounts too, in a directory that both see."""
        space = f"/proc/{self.pid}/ns"
        return ["nsenter", f"--net={space}/net", f"--mount={space}/mnt", f"--wd={directory}", "--"]


class Lab:
    """The four machines and whoever answers on them."""

    HOST, NEIGHBOUR, INTERNET = "10.77.0.10", "10.77.0.20", "198.51.100.9"
    HOST6, NEIGHBOUR6, INTERNET6 = "fd77::10", "fd77::20", "2001:db8::9"
    SITE = "site.example"  # a name that the name server of the internet knows

    def __init__(self, base: Path) -> None:
        self.resolv = base / "resolv.conf"
        self.resolv.write_text(f"nameserver {self.INTERNET}\n")
        self._servers: list[subprocess.Popen[str]] = []
        self._machines: list[Machine] = []
        self.host = self.machine("host", {"/etc/resolv.conf": self.resolv})
        self.router, self.neighbour, self.internet = (
            self.machine(name, {}) for name in ("router", "neighbour", "internet")
        )
        self._wire()

    def machine(self, name: str, files: dict[str, Path]) -> Machine:
        self._machines.append(Machine(name, files))
        return self._machines[-1]

    def reboot_host(self, files: dict[str, Path]) -> None:
        """The engine's host anew: no process, link or rule of before is there."""
        self._machines.remove(self.host)
        self.host.close()
        self.router.run("ip", "link", "del", "host", check=False)  # its end may have gone with the namespace
        self.host = self.machine("host", {"/etc/resolv.conf": self.resolv, **files})
        self._plug(self.host)
        self._address(self.host, f"{self.HOST}/24", f"{self.HOST6}/64", "10.77.0.1", "fd77::1")

    def _plug(self, at: Place) -> None:
        """A wire from the router; of the LAN, unless it is the internet. The same address after a boot."""
        mac = {"host": "02:77:00:00:00:10", "neighbour": "02:77:00:00:00:20"}.get(
            at.name, "02:77:00:00:00:99"
        )
        self.router.links(
            f"link add {at.name} type veth peer name eth0 address {mac} netns {at.pid}\n"
            + (f"link set {at.name} master lan\n" if at is not self.internet else "")
            + f"link set {at.name} up\n"
        )

    def _wire(self) -> None:
        self.router.links("link add lan type bridge\nlink set lan up\n")
        for at in (self.host, self.neighbour, self.internet):
            self._plug(at)
        self.router.links(
            "addr add 10.77.0.1/24 dev lan\naddr add fd77::1/64 dev lan nodad\n"
            "addr add 198.51.100.1/24 dev internet\naddr add 2001:db8::1/64 dev internet nodad\n"
        )
        for name in ("net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"):
            self.router.set_sysctl(name, "1")
        self._address(self.host, f"{self.HOST}/24", f"{self.HOST6}/64", "10.77.0.1", "fd77::1")
        self._address(self.neighbour, f"{self.NEIGHBOUR}/24", f"{self.NEIGHBOUR6}/64", "10.77.0.1", "fd77::1")
        self._address(
            self.internet, f"{self.INTERNET}/24", f"{self.INTERNET6}/64", "198.51.100.1", "2001:db8::1"
        )

    def _address(self, at: Place, v4: str, v6: str, gateway: str, gateway6: str) -> None:
        at.links(
            f"addr add {v4} dev eth0\naddr add {v6} dev eth0 nodad\nlink set eth0 up\n"
            f"route add default via {gateway}\nroute add default via {gateway6}\n"
        )
        until(lambda: _has_ipv6(at), f"the routes of {at.name}'s addresses are not made")

    def serve(self, at: Place, *doors: str, address: str = "::", name: str = "") -> None:
        """Answer on these, such as "tcp/80", until the end of the test; ready on return."""
        made = []
        for door in doors:
            protocol, _, port = door.partition("/")
            made.append(at.listening(int(port), protocol, address))
        numbers = [door.fileno() for door in made]
        command = [sys.executable, "-I", "-S", str(ECHO), name or at.name, *map(str, numbers)]
        server = subprocess.Popen(command, pass_fds=numbers, stdout=subprocess.PIPE, text=True)
        self._servers.append(server)
        for one in made:
            one.close()
        assert server.stdout is not None
        assert server.stdout.readline() == "ready\n"

    def serve_names(self) -> None:
        """The internet's name server: it knows `SITE`, and nothing else."""
        command = ["dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts"]
        command += [f"--address=/{self.SITE}/{address}" for address in (self.INTERNET, self.INTERNET6)]
        command += ["--local=/#/", "--bind-interfaces", "--interface=eth0"]
        command += ["--pid-file", "--log-facility=/dev/null", "--user=root"]
        self._servers.append(subprocess.Popen([*self.internet.prefix(), *command], text=True))
        while "dnsmasq" not in self.internet.run("ss", "-Hlunp", "sport", "=", ":53"):
            assert self._servers[-1].poll() is None, "dnsmasq ended"

    def fall_silent(self) -> None:
        """Nobody answers any more."""
        while self._servers:
            process = self._servers.pop()
            process.kill()
            process.wait()
            if process.stdout:
                process.stdout.close()

    def close(self) -> None:
        self.fall_silent()
        for machine in self._machines:
            machine.close()


@contextlib.contextmanager
def lab(base: Path) -> Iterator[Lab]:
    """The machines, for as long as the block runs."""
    made = Lab(base)
    try:
        yield made
    finally:
        made.close()


def snapshot(at: Place) -> dict[str, list[str]]:
    """All that an engine may alter of a place's network, to be compared with a later one.

    Less what a link gives itself (fe80::/64), when it comes to that: it goes with the link.
    """
    with at.entered():
        forwarding = [
            f"{path} {path.read_text().strip()}"
            for path in (
                Path("/proc/sys/net/ipv4/ip_forward"),
                Path("/proc/sys/net/ipv6/conf/all/forwarding"),
            )
        ]
    return {
        "links": sorted(row.split(": ")[1].split("@")[0] for row in at.run("ip", "-o", "link").splitlines()),
        "addresses": sorted(
            row.split(": ")[1].split("\\")[0]
            for row in at.run("ip", "-o", "addr").splitlines()
            if "inet6 fe80:" not in row
        ),
        # "linkdown" comes and goes a while after the last port of a bridge does.
        "routes": [
            row.replace(" linkdown", "")
            for row in at.run("ip", "route", "show", "table", "all").splitlines()
            if "fe80:" not in row
        ],
        "rules": at.run("nft", "list", "ruleset").splitlines(),
        "sockets": sorted(" ".join(row.split()[4:5]) for row in at.run("ss", "-Hlntu").splitlines()),
        "forwarding": forwarding,
    }


def _has_ipv6(at: Place) -> bool:
    """Whether the kernel has made the routes of eth0's addresses, ours and the link's own: a worker does, once the link is up."""
    here = Path(f"/proc/{at.pid}/net")
    addresses = {
        row.split()[0] for row in (here / "if_inet6").read_text().splitlines() if row.endswith("eth0")
    }
    rows = [row.split() for row in (here / "ipv6_route").read_text().splitlines()]
    hosts = {row[0] for row in rows if row[1] == "80"}
    return len(addresses) > 1 and addresses <= hosts and any(row[0].startswith("ff00") for row in rows)


def pids_there(at: Place) -> list[int]:
    """The processes whose network namespace is that place's."""
    try:
        wanted = os.readlink(f"/proc/{at.pid}/ns/net")
    except FileNotFoundError:
        return []  # it ended, and all there with it
    found = []
    for entry in os.listdir("/proc"):
        with contextlib.suppress(OSError, ValueError):
            if os.readlink(f"/proc/{int(entry)}/ns/net") == wanted:
                found.append(int(entry))
    return found
