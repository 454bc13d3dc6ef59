"""Whether a start and `ps` stay as quick beside a thousand running containers as beside none."""

from __future__ import annotations

import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

from benchmarks.report import PROGRAM, Result, once, run, verdict

CONTAINERS = 1000
AT_ONCE = 10  # containers that one `rm` takes away
START_BUDGET = 1.2
WORK = ["busybox", "sleep", "86400"]
ONE = "one-more"


class Root:
    """A root of its own; `count` containers run in it."""

    def __init__(self, base: pathlib.Path, count: int) -> None:
        self.program = [PROGRAM, "-r", f"{base}/root", "--run-dir", f"{base}/run"]
        self.names = [f"c{number}" for number in range(count)]

    def start(self, name: str) -> float:
        """Milliseconds of a detached start."""
        return once([*self.program, "run", "--network", "none", "-d", "--name", name, *WORK])

    def ps(self) -> float:
        return once([*self.program, "ps"])

    def one_more(self) -> float:
        """Milliseconds of one more start; it is gone afterwards."""
        taken = self.start(ONE)
        run([*self.program, "rm", "-f", ONE])
        return taken

    def fill(self) -> float:
        """Start them all, one after the other; seconds."""
        begun = time.perf_counter()
        for done, name in enumerate(self.names):
            if done % 100 == 0:
                print(f"starting {len(self.names)} containers: {done} ...", file=sys.stderr)
            self.start(name)
        return time.perf_counter() - begun

    def close(self) -> None:
        """Nothing of it runs any more."""
        for first in range(0, len(self.names), AT_ONCE):
            some = self.names[first : first + AT_ONCE]
            subprocess.run([*self.program, "rm", "-f", *some], capture_output=True, check=False)
        left = run([*self.program, "ps", "-aq"]).split()
        if left:
            run([*self.program, "rm", "-f", *left])


def measure(rounds: int, crowded: Root, empty: Root) -> list[str]:
    """Both roots in turns; the medians of the turns' ratios, so that a slow moment of the machine counts against both."""
    lines = [f"| ms | with none | with {len(crowded.names):,} running | ratio |", "|---|---|---|---|"]
    for what, budget, work in (("run -d, one more", START_BUDGET, Root.one_more), ("ps", 0.0, Root.ps)):
        for root in (empty, crowded):
            work(root)
        times = [(work(empty), work(crowded)) for _ in range(rounds)]
        ratio = statistics.median(crowd / none for none, crowd in times)
        none, crowd = (statistics.median(column) for column in zip(*times, strict=True))
        said = f", {verdict(ratio, budget)} ({budget}x)" if budget else ""
        lines.append(f"| {what} | {none:.1f} | {crowd:.1f} | {ratio:.2f}x{said} |")
    return lines


def main(rounds: int, containers: int = CONTAINERS) -> Result:
    """The table, and how long it took to get there."""
    place = os.environ.get("TMPDIR", "/var/tmp")
    with tempfile.TemporaryDirectory(prefix="mydocker-bench-", dir=place) as base:
        crowded, empty = Root(pathlib.Path(base, "many"), containers), Root(pathlib.Path(base, "none"), 0)
        try:
            seconds = crowded.fill()
            lines = measure(rounds, crowded, empty)
            print("\n".join(lines), flush=True)
        finally:
            crowded.close()
            empty.close()
    each = seconds * 1000 / containers
    lines += ["", f"{containers:,} starts one after the other took {seconds:.0f} s, {each:.1f} ms each."]
    print(lines[-1], flush=True)
    return Result(lines)
