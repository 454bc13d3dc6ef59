"""Commands as people type them, cold, beside podman with runc and the bare runtime."""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import time

from benchmarks.report import PROGRAM, Result, in_turns, once, run, verdict

HEADING = ["| work | mydocker ms | peers ms | of podman | budget: first, goal |", "|---|---|---|---|---|"]
STARTS = 100
CLEANUP = 20.0  # seconds


class Case:
    """One row: what is measured, ours and the peers' commands, the budget as a ratio to podman's."""

    def __init__(
        self, what: str, ours: list[str], peers: dict[str, list[str]], budget: float, goal: float
    ) -> None:
        self.what, self.ours, self.peers = what, ours, peers
        self.budget, self.goal = budget, goal


class Bench:
    """A root of our own, a podman store of its own, one image in both."""

    def __init__(self, base: pathlib.Path) -> None:
        self.base = base
        self.mydocker = [PROGRAM, "-r", f"{base}/root", "--run-dir", f"{base}/run"]
        self.podman = [
            "podman", "--root", f"{base}/podman", "--runroot", f"{base}/podman-run", "--tmpdir", f"{base}/tmp",
            "--runtime", "runc", "--cgroup-manager", "cgroupfs", "--events-backend", "file",
            "--storage-driver", "overlay",
        ]  # fmt: skip
        # Where root lacks CAP_SYS_RESOURCE, podman cannot raise what it raises by default.
        self.limits = ["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1000:1000"]

    def prepare(self) -> None:
        """The image on both sides, one running container on both for exec and ps."""
        run([*self.mydocker, "run", "--network", "none", "--rm", "busybox", "true"])
        run([*self.mydocker, "run", "--network", "none", "-d", "--name", "w", "busybox", "top"])
        if shutil.which("podman"):
            run([*self.podman, "import", f"{self.base}/root/busybox.tar", "busybox"])
            run(
                [
                    *self.podman,
                    "run",
                    "-d",
                    "--name",
                    "w",
                    "--network",
                    "none",
                    *self.limits,
                    "busybox",
                    "top",
                ]
            )

    def runc(self) -> list[str]:
        """A bundle for `runc run`: the bare runtime, without image, journal, log or clean-up of storage."""
        bundle = self.base / "bundle"
        (bundle / "rootfs").mkdir(parents=True)
        run(["tar", "-xf", f"{self.base}/root/busybox.tar", "-C", str(bundle / "rootfs")])
        run(["runc", "spec", "--bundle", str(bundle)])
        config = json.loads((bundle / "config.json").read_text())
        config["process"].update(terminal=False, args=["true"])
        config["process"].pop("rlimits", None)
        (bundle / "config.json").write_text(json.dumps(config))
        return ["runc", "--root", f"{self.base}/runc", "run", "--bundle", str(bundle), f"bench{os.getpid()}"]

    def cases(self) -> list[Case]:
        """The rows of the design's budgets that can be measured today."""
        ours, podman = self.mydocker, self.podman if shutil.which("podman") else []
        cold = [*podman, "run", "--rm", "--network", "none", *self.limits, "busybox", "true"]
        peers = {"podman": cold} if podman else {}
        if shutil.which("runc"):
            peers["runc run"] = self.runc()
        yes = {"podman": [*podman, "exec", "w", "true"]} if podman else {}
        ps = {"podman": [*podman, "ps"]} if podman else {}
        return [
            Case(
                "run --rm busybox true",
                [*ours, "run", "--network", "none", "--rm", "busybox", "true"],
                peers,
                0.45,
                0.17,
            ),
            Case("exec w true", [*ours, "exec", "w", "true"], yes, 0.4, 0.14),
            Case("ps (1 running)", [*ours, "ps"], ps, 2.0, 0.3),
        ]

    def starts(self, count: int) -> tuple[dict[str, float], dict[str, float]]:
        """Milliseconds per detached start, `count` one after the other, and of one `ps` then; all are removed."""
        names = [f"s{i}" for i in range(count)]
        starts, ps = {"mydocker": self._starts([*self.mydocker, "run", "--network", "none", "-d"], names)}, {}
        ps["mydocker"] = once([*self.mydocker, "ps"])
        run([*self.mydocker, "rm", "-f", *names])
        if shutil.which("podman"):
            starts["podman"] = self._starts(
                [*self.podman, "run", "-d", "--network", "none", *self.limits], names
            )
            ps["podman"] = once([*self.podman, "ps"])
            run([*self.podman, "rm", "-f", "-t", "0", *names])
        return starts, ps

    def _starts(self, command: list[str], names: list[str]) -> float:
        begun = time.perf_counter()
        for name in names:
            run([*command, "--name", name, "busybox", "top"])
        return (time.perf_counter() - begun) * 1000 / len(names)

    def close(self) -> None:
        """Leave nothing running, on either side."""
        subprocess.run([*self.mydocker, "rm", "-f", "w"], capture_output=True, check=False)
        if shutil.which("podman"):
            subprocess.run([*self.podman, "rm", "-f", "-t", "0", "-a"], capture_output=True, check=False)
            self._await_podman()
            subprocess.run(["umount", "-l", f"{self.base}/podman/overlay"], capture_output=True, check=False)

    def _await_podman(self) -> None:
        """Until its clean-up of each container is over, which goes on after `rm` and mounts its storage again."""
        end = time.monotonic() + CLEANUP
        while time.monotonic() < end and any(
            map(self._names_us, pathlib.Path("/proc").glob("[0-9]*/cmdline"))
        ):
            time.sleep(0.05)

    def _names_us(self, cmdline: pathlib.Path) -> bool:
        try:
            return os.fsencode(self.base) in cmdline.read_bytes()
        except OSError:
            return False  # it has ended


def row(what: str, found: dict[str, float], budget: float, goal: float) -> str:
    """One line of the table."""
    ours = found["mydocker"]
    peer = found.get("podman")
    ratio = f"{ours / peer:.2f}x, {verdict(ours / peer, budget)}" if peer else "podman is not installed"
    others = ", ".join(f"{name} {ms:.1f}" for name, ms in found.items() if name != "mydocker")
    return f"| {what} | {ours:.1f} | {others} | {ratio} | {budget}x, {goal}x |"


def main(rounds: int) -> Result:
    """The table, line by line, printed as it comes."""
    lines = list(HEADING)
    print("\n".join(lines))

    def add(line: str) -> None:
        lines.append(line)
        print(line, flush=True)

    with tempfile.TemporaryDirectory(prefix="mydocker-bench-") as base:
        bench = Bench(pathlib.Path(base))
        try:
            bench.prepare()
            for case in bench.cases():
                found = in_turns({"mydocker": case.ours, **case.peers}, rounds)
                add(row(case.what, found, case.budget, case.goal))
            starts, ps = bench.starts(STARTS)
            add(row(f"{STARTS} detached starts, each", starts, 0.5, 0.2))
            add(row(f"ps ({STARTS + 1} running)", ps, 0.7, 0.15))
        finally:
            bench.close()
    return Result(lines)
