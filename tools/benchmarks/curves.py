"""Whether commands slow down as the journal and the number of containers grow: `ps`, `history` and `run`, cold."""

from __future__ import annotations

import os
import pathlib
import shutil
import statistics
import sys
import tempfile
from typing import NamedTuple

from benchmarks import svg
from benchmarks.report import PROGRAM, Result, fill, once, run, verdict

PASTS = (10, 10_000, 1_000_000)  # events before the containers' own
CONTAINERS = (0, 100, 1000)
PS_BUDGET = 1.5  # the most of both, of an empty engine's
ASKED, GONE = "asked0", "gone"  # of whom the history is asked: one is there, stopped, the other was removed
COMMANDS = {
    "ps": ["ps"],
    "history NAME": ["history", ASKED],
    "history of a removed NAME": ["history", GONE],
    "run --rm busybox true": ["run", "--network", "none", "--rm", "busybox", "true"],
}


class Place(NamedTuple):
    """One root: how much it has been through, and how many containers it has."""

    past: int
    containers: int
    root: pathlib.Path

    def command(self, *words: str) -> list[str]:
        return [PROGRAM, "-r", str(self.root), "--run-dir", f"{self.root}.run", *words]


def make(base: pathlib.Path) -> list[Place]:
    """The nine roots. What is sealed is shared between those with the same past: it is never written again."""
    places = []
    for past in PASTS:
        first = base / f"{past}"
        place = Place(past, 0, first)
        run(
            place.command("run", "--network", "none", "--rm", "--name", GONE, "busybox", "true")
        )  # makes the image too
        print(f"writing {past:,} events ...", file=sys.stderr)
        fill(first, f"{first}.run", past, 0)
        for count in CONTAINERS:
            root = base / f"{past}-{count}"
            copy(first, root)
            run(Place(past, count, root).command("replay", "--fast", "--quiet", "--moved"))
            fill(root, f"{root}.run", 0, count)
            fill(root, f"{root}.run", 0, 1, ASKED.rstrip("0"))
            # As commands leave a root: one that writes, and had to fold many events, keeps what it has folded.
            run(Place(past, count, root).command("replay", "--fast", "--quiet"))
            places.append(Place(past, count, root))
    return places


def copy(root: pathlib.Path, to: pathlib.Path) -> None:
    """The root again, sealed segments by hard links. Its own run directory makes it a journal of its own."""

    def link_sealed(source: str, target: str) -> str:
        sealed = source.endswith(".jsonl") and not os.stat(source).st_mode & 0o200
        return (os.link if sealed else shutil.copy2)(source, target) or target

    shutil.copytree(root, to, copy_function=link_sealed, symlinks=True)


def measure(places: list[Place], rounds: int) -> dict[str, dict[Place, float]]:
    """Median milliseconds of each command in each root, all roots in turns. `run` comes last, as it writes events."""
    found: dict[str, dict[Place, float]] = {}
    for command, words in COMMANDS.items():
        for place in places:
            run(place.command(*words))
        times: dict[Place, list[float]] = {place: [] for place in places}
        for _ in range(rounds):
            for place in places:
                times[place].append(once(place.command(*words)))
        found[command] = {place: statistics.median(values) for place, values in times.items()}
    return found


def table(command: str, found: dict[Place, float]) -> list[str]:
    """Milliseconds, a row for each number of containers."""
    heading = " | ".join(f"{past:,} events" for past in PASTS)
    lines = [f"| {command}, ms | {heading} | of an empty engine |", "|---|" + "---|" * (len(PASTS) + 1)]
    least = found[next(place for place in found if (place.past, place.containers) == (PASTS[0], 0))]
    for count in CONTAINERS:
        row = [ms for place, ms in found.items() if place.containers == count]
        ratio = f"{row[-1] / least:.2f}x"
        if command == "ps" and count == CONTAINERS[-1]:
            ratio += f", {verdict(row[-1] / least, PS_BUDGET)} ({PS_BUDGET}x)"
        cells = " | ".join(f"{ms:.1f}" for ms in row)
        lines.append(f"| {count:,} containers | {cells} | {ratio} |")
    return lines


def picture(found: dict[str, dict[Place, float]]) -> str:
    panels = []
    for command in COMMANDS:
        lines = {
            f"{count:,} containers": [ms for place, ms in found[command].items() if place.containers == count]
            for count in CONTAINERS
        }
        panels.append(svg.Panel(command, [f"{past:,}" for past in PASTS], lines))
    return svg.chart(panels, "past events", "ms")


def main(rounds: int) -> Result:
    """The tables, printed as they come, and the picture."""
    lines: list[str] = []
    with tempfile.TemporaryDirectory(
        prefix="mydocker-bench-", dir=os.environ.get("TMPDIR", "/var/tmp")
    ) as base:
        found = measure(make(pathlib.Path(base)), rounds)
    for command in COMMANDS:
        part = table(command, found[command])
        print("\n".join(part), flush=True)
        lines += [*part, ""]
    return Result(lines[:-1], picture(found))
