"""A bridge network beside podman's: what it adds to a cold `run`, whether it stays flat, and what goes through it.

All of it happens in network namespaces of the benchmark's own, one for each engine; nothing of the machine's is changed.
"""

from __future__ import annotations

import json
import pathlib
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from typing import Any, NamedTuple

from benchmarks.report import HERE, PROGRAM, Result, in_turns, middle, run, verdict

sys.path.insert(0, str(HERE))
from tests.lab import Machine, Place

ENDPOINTS, PORTS = 500, 100
DOOR = 19000  # a published port
CONNECTS = 1000  # through a published port, one after the other
VOLUME, TURNS = "512M", 12  # of each throughput measurement, and how many a round: few tell nothing of 1 %
COLD, GOAL, ADDED, FLAT, THROUGH = 0.35, 0.12, 15.0, 1.2, 1.0
WAYS = ("between two containers", "through a published port")
SUBNET = "10.60.0.0/20"
HOST, CLIENT = "10.61.0.1", "10.61.0.2"
# Where root lacks CAP_SYS_RESOURCE, podman cannot raise what it raises by default.
LIMITS = ["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1000:1000"]


class Engine:
    """An engine on a machine of its own, with a network `n1`, and a client of that machine."""

    def __init__(self, base: pathlib.Path, name: str, program: list[str], limits: list[str]) -> None:
        self.name, self.limits = name, limits
        self.host, self.client = Machine(name, {}), Machine("client", {})
        self._prefix = self.host.prefix_all(base)
        # podman keeps namespaces, locks and its name server's files in /run, wherever its own directories are.
        run([*self._prefix, "mount", "-t", "tmpfs", "none", "/run"])
        self.host.links(
            f"link add eth0 type veth peer name eth0 netns {self.client.pid}\n"
            f"addr add {HOST}/24 dev eth0\nlink set eth0 up\n"
        )
        self.client.links(f"addr add {CLIENT}/24 dev eth0\nlink set eth0 up\n")
        self.program = [*self._prefix, *program]

    def cold(self, network: str) -> list[str]:
        return [*self.program, "run", "--rm", "--network", network, *self.limits, "busybox", "true"]

    def start(self, name: str, *options: str) -> Place:
        """A container on the network, as a place."""
        words = ["run", "-d", "--name", name, "--network", "n1", *options, *self.limits, "busybox", "top"]
        run([*self.program, *words])
        (shown,) = json.loads(run([*self.program, "inspect", name]))
        return Guest(name, shown)

    def remove(self, *names: str) -> None:
        grace = ["-t", "0"] if self.name == "podman" else []
        subprocess.run([*self.program, "rm", "-f", *grace, *names], capture_output=True, check=False)

    def close(self) -> None:
        names = run([*self.program, "ps", "-aq"]).split()
        if names:
            self.remove(*names)
        for network in ("n1", "bridge", "podman"):
            subprocess.run([*self.program, "network", "rm", network], capture_output=True, check=False)
        self.client.close()
        self.host.close()


class Guest(Place):
    """A container by what `inspect` shows of it, which is the same with both engines."""

    def __init__(self, name: str, shown: dict[str, Any]) -> None:
        super().__init__(name, int(shown["State"]["Pid"]))
        self.ip = str(next(iter(shown["NetworkSettings"]["Networks"].values()))["IPAddress"])


def mydocker(base: pathlib.Path, name: str = "mydocker") -> Engine:
    """Our engine with a root of its own."""
    engine = Engine(base, name, [PROGRAM, "-r", f"{base}/{name}", "--run-dir", f"{base}/{name}-run"], [])
    run([*engine.program, "run", "--rm", "--network", "none", "busybox", "true"])
    run([*engine.program, "network", "create", "--subnet", SUBNET, "n1"])
    return engine


def podman(base: pathlib.Path, image: pathlib.Path) -> Engine | None:
    """Podman with runc and netavark; None where it is not installed."""
    if not shutil.which("podman"):
        return None
    words = [
        "podman", "--root", f"{base}/podman", "--runroot", f"{base}/podman-run", "--tmpdir", f"{base}/tmp",
        "--runtime", "runc", "--cgroup-manager", "cgroupfs", "--events-backend", "file",
        "--storage-driver", "overlay", "--network-backend", "netavark", "--network-config-dir", f"{base}/nets",
    ]  # fmt: skip
    (base / "nets").mkdir()
    engine = Engine(base, "podman", words, LIMITS)
    run([*engine.program, "import", str(image), "busybox"])
    run([*engine.program, "network", "create", "--subnet", SUBNET, "n1"])
    return engine


# --- what is measured -----------------------------------------------------------------------------------


def attach(ours: Engine, peer: Engine | None, rounds: int) -> list[str]:
    """Cold `run --rm busybox true` with the network and without, in turns."""
    engines = [engine for engine in (ours, peer) if engine]
    commands = {f"{e.name} {network}": e.cold(network) for e in engines for network in ("none", "n1")}
    found = in_turns(commands, rounds)
    lines = ["| run --rm busybox true, ms | network none | a bridge | the bridge adds |", "|---|---|---|---|"]
    for engine in engines:
        bare, bridged = found[f"{engine.name} none"], found[f"{engine.name} n1"]
        lines.append(f"| {engine.name} | {bare:.1f} | {bridged:.1f} | {bridged - bare:.1f} |")
    added = found["mydocker n1"] - found["mydocker none"]
    lines += ["", f"* a bridge adds {added:.1f} ms, {verdict(added, ADDED)} (budget {ADDED:.0f} ms)"]
    if peer:
        ratio = found["mydocker n1"] / found["podman n1"]
        lines.append(
            f"* with a bridge, of podman: {ratio:.2f}x, {verdict(ratio, COLD)} (first {COLD}x, goal {GOAL}x)"
        )
    return lines


def flat(few: Engine, many: Engine, rounds: int) -> list[str]:
    """The same start, and a connection through a published port: beside nobody, and beside 500 endpoints."""
    words = {"alone": few.cold("n1"), "beside": many.cold("n1")}
    starts = in_turns(words, rounds)
    connects: dict[str, list[float]] = {"alone": [], "beside": []}
    engines = {"alone": few, "beside": many}
    doors = {name: engine.start("door", "-p", f"{DOOR}:80").listening(80) for name, engine in engines.items()}
    for _ in range(CONNECTS):
        for name, engine in engines.items():
            connects[name].append(_connect(engine.client, doors[name]))
    times = {name: statistics.median(values) for name, values in connects.items()}
    what = f"{ENDPOINTS} endpoints, {PORTS} ports"
    lines = [f"| | alone | beside {what} | ratio |", "|---|---|---|---|"]
    for label, found in (
        ("run --rm busybox true, ms", starts),
        ("a connection to a published port, ms", times),
    ):
        ratio = found["beside"] / found["alone"]
        cells = f"{found['alone']:.2f} | {found['beside']:.2f}"
        lines.append(f"| {label} | {cells} | {ratio:.2f}x, {verdict(ratio, FLAT)} ({FLAT}x) |")
    return lines


def crowd(engine: Engine) -> None:
    """500 containers on the network, 100 of them with a published port."""
    for number in range(ENDPOINTS):
        ports = ["-p", f"{20000 + number}:80"] if number < PORTS else []
        run(
            [
                *engine.program,
                "run",
                "-d",
                "--name",
                f"c{number}",
                "--network",
                "n1",
                *ports,
                "busybox",
                "top",
            ]
        )


def throughput(ours: Engine, peer: Engine | None, rounds: int) -> list[str]:
    """iperf3 between two containers, and from another machine through a published port, in turns.

    A ratio is the median of those of each turn: what else the machine does at that time weighs on both. Containers are
    new in each round, so that what one pair of them happens to have does not count for all.
    """
    if not shutil.which("iperf3"):
        return ["Throughput: iperf3 is not installed."]
    engines = [engine for engine in (ours, peer) if engine]
    found: dict[tuple[str, str], list[Flow]] = {}
    for number in range(rounds):
        for key, flows in _streams(engines, str(number)).items():
            found.setdefault(key, []).extend(flows)
    lines = ["| TCP | mydocker | podman | ratio, and where it is by 95 % |", "|---|---|---|---|"]
    for way in WAYS:
        for place, unit in enumerate(Flow._fields):
            mine = [flow[place] for flow in found[way, "mydocker"]]
            what = f"{way}, {unit.replace('_', ' ')} | {statistics.median(mine):.2f}"
            if not peer:
                lines.append(f"| {what} | not installed | |")
                continue
            theirs = [flow[place] for flow in found[way, "podman"]]
            low, ratio, high = middle([one / other for one, other in zip(mine, theirs, strict=True)])
            kept = "kept" if ratio >= THROUGH else "MISSED"
            told = f", {kept} ({THROUGH}x)" if place == 0 else ""
            cells = f"{statistics.median(theirs):.2f} | {ratio:.2f}x ({low:.2f}-{high:.2f}){told}"
            lines.append(f"| {what} | {cells} |")
    return lines


def _streams(engines: list[Engine], suffix: str) -> dict[tuple[str, str], list[Flow]]:
    """(way, engine) -> streams between two new containers of each engine, which are gone on return."""
    names = [f"server{suffix}", f"client{suffix}"]
    pairs = [(e, e.start(names[0], "-p", "5201:5201"), e.start(names[1])) for e in engines]
    found: dict[tuple[str, str], list[Flow]] = {}
    for turn in range(TURNS):
        for engine, server, client in pairs[:: -1 if turn % 2 else 1]:
            for way, (place, address) in zip(WAYS, ((client, server.ip), (engine.client, HOST)), strict=True):
                found.setdefault((way, engine.name), []).append(_flow(server, place, address))
    for engine in engines:
        engine.remove(*names)
    return found


class Flow(NamedTuple):
    """What iperf3 tells of one. By CPU time, others who work on the machine matter less."""

    Gbit_per_second: float
    Gbit_per_CPU_second: float


def _flow(server: Place, client: Place, address: str) -> Flow:
    listening = subprocess.Popen(
        [*server.prefix(), "iperf3", "-s", "-1", "--forceflush"], stdout=subprocess.PIPE, text=True
    )
    assert listening.stdout is not None
    while "listening" not in (line := listening.stdout.readline()):
        assert line, "iperf3 ended"
    end = json.loads(client.run("iperf3", "-c", address, "-n", VOLUME, "-J"))["end"]
    listening.communicate()
    speed = float(end["sum_received"]["bits_per_second"]) / 1e9
    cpu = end["cpu_utilization_percent"]
    return Flow(speed, speed / (cpu["host_total"] + cpu["remote_total"]) * 100)


def _connect(client: Place, door: socket.socket) -> float:
    """Milliseconds until a connection from `client` to the published port stands and is accepted."""
    with client.door(socket.AF_INET, socket.SOCK_STREAM) as caller:
        begun = time.perf_counter()
        caller.connect((HOST, DOOR))
        door.accept()[0].close()
        return (time.perf_counter() - begun) * 1000


def main(rounds: int) -> Result:
    """The tables, printed as they come."""
    lines: list[str] = []

    def add(part: list[str]) -> None:
        lines.extend(["", *part] if lines else part)
        print("\n".join(part), flush=True)

    with tempfile.TemporaryDirectory(prefix="mydocker-bench-", dir="/var/tmp") as base:
        place = pathlib.Path(base)
        ours = mydocker(place)
        engines = [ours]
        try:
            peer = podman(place, place / "mydocker" / "busybox.tar")
            engines += [peer] if peer else []
            add(attach(ours, peer, rounds))
            add(throughput(ours, peer, rounds))
            many = mydocker(place, "crowd")
            engines.append(many)
            crowd(many)
            add(flat(ours, many, rounds))
        finally:
            for engine in engines:
                engine.close()
    return Result(lines)
