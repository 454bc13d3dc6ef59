"""What all benchmarks share: the program that is measured, timing in turns, verdicts, and the page they are kept on."""

from __future__ import annotations

import datetime as dt
import math
import os
import pathlib
import platform
import statistics
import subprocess
import time
from typing import NamedTuple

HERE = pathlib.Path(__file__).resolve().parent.parent.parent
PAGE = HERE / "docs" / "performance.md"
PROGRAM = os.environ.get("MYDOCKER_BIN", str(HERE / ".venv/bin/mydocker"))
PYTHON = os.path.join(os.path.dirname(PROGRAM), "python")  # has the program's packages, as a user has them
MARK = "<!-- bench: {} -->"


class Result(NamedTuple):
    """Lines of Markdown, and a picture (SVG) that goes with them."""

    lines: list[str]
    picture: str = ""


def run(command: list[str]) -> str:
    """Run it and return its output; SystemExit with all it said if it fails."""
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}: {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def once(command: list[str]) -> float:
    """Milliseconds from start to end of one command."""
    begun = time.perf_counter()
    run(command)
    return (time.perf_counter() - begun) * 1000


def in_turns(commands: dict[str, list[str]], rounds: int) -> dict[str, float]:
    """Median milliseconds of each command, the rounds interleaved so that noise hits all alike."""
    for command in commands.values():
        run(command)
    times: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(rounds):
        for name, command in commands.items():
            times[name].append(once(command))
    return {name: statistics.median(values) for name, values in times.items()}


def middle(values: list[float]) -> tuple[float, float, float]:
    """The median between its bounds of 95 %, which are ranks of the values (binomial, by the normal distribution)."""
    ranked = sorted(values)
    reach = 0.98 * math.sqrt(len(ranked))
    low, high = (len(ranked) - 1) / 2 - reach, (len(ranked) - 1) / 2 + reach
    return (
        ranked[max(0, math.floor(low))],
        statistics.median(ranked),
        ranked[min(len(ranked) - 1, math.ceil(high))],
    )


def verdict(ratio: float, budget: float) -> str:
    """`kept` or `MISSED`; the program exits with 1 where a line has the latter."""
    return "kept" if ratio <= budget else "MISSED"


def fill(root: pathlib.Path, run_dir: object, past: int, containers: int, name: str = "c") -> None:
    """Lives of containers in the journal of `root` (lives.py), and the snapshot that commands leave now and then."""
    run(["nice", "-n", "10", *worker("lives.py", root, run_dir, past, containers, name)])
    run([PROGRAM, "-r", str(root), "--run-dir", str(run_dir), "journal", "snapshot"])


def worker(script: str, *arguments: object, python: str = PYTHON) -> list[str]:
    """The command line of a program of ours beside this file. Nobody's PYTHONPATH or user site disturbs it."""
    return [python, "-E", "-s", str(pathlib.Path(__file__).with_name(script)), *map(str, arguments)]


def write(name: str, result: Result, how: str) -> None:
    """Replace what is between the two marks of that name in docs/performance.md. `how`: the command that was run."""
    mark = MARK.format(name)
    before, _, rest = PAGE.read_text().partition(mark)
    after = rest.partition(mark)[2]
    machine = f"{os.cpu_count()} cores, Linux {platform.release()}, Python {platform.python_version()}"
    load = f"load {os.getloadavg()[0]:.1f}"
    parts = [f"{dt.datetime.now(dt.UTC):%Y-%m-%d}, {machine}, {load}; `{how}`; medians.", "", *result.lines]
    if result.picture:
        PAGE.with_name(f"performance-{name}.svg").write_text(result.picture)
        parts += ["", f"![The same as curves](performance-{name}.svg)"]
    PAGE.write_text(f"{before}{mark}\n" + "\n".join(parts) + f"\n{mark}{after}")
