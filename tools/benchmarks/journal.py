"""The journal beside the bare disk, plain SQLite and the library `eventsourcing`: append, many writers, replay, snapshots."""

from __future__ import annotations

import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
from typing import Any

from benchmarks.report import HERE, PYTHON, Result, fill, run, verdict, worker

PEERS = HERE / "build" / "peers"  # a venv of its own: what the library brings along slows `import msgspec`
PACKAGE = "eventsourcing==9.5.6"
EVENTS = 1_000_000
CONTAINERS = 400
A_TURN = 50  # appends of one store before the next has its turn
WRITERS = (1, 4, 16)
WRITES = 1600  # appends of all writers together
REPLAYS = 7  # loads of a snapshot
LEAST = 3  # turns of what takes seconds each
SMALL, SEGMENTS = (
    20_000,
    6,
)  # events that eventsourcing replays, and segments that SQLite does: scaled to a million
APPEND_BUDGET, SQLITE_BUDGET, REPLAY_BUDGET = 1.5, 0.3, 2.0
LIBRARY_BUDGET, FIRST_BUDGET = 4.5, 20  # times as fast; docs/adr/0014 says why it is not the first any more
BARE, OURS, SQLITE, SAME, LIBRARY = "bare", "journal", "sqlite", "sqlite-same", "eventsourcing"
NAMES = {
    BARE: "bare disk: write, fdatasync",
    OURS: "mydocker's journal",
    SQLITE: "SQLite, insert only",
    SAME: "SQLite, the journal's work",
    LIBRARY: "eventsourcing on SQLite",
}

Table = list[str]


class Bench:
    """`base`: a directory on a real disk. Everything that is written lies below it."""

    def __init__(self, base: pathlib.Path, library: str) -> None:
        self.base = base
        self.library = library  # the interpreter that has eventsourcing, or ""
        self.past = base / "past"
        self.corpus = base / "corpus.jsonl"

    def prepare(self) -> None:
        """The million events, and some thousand of them to be appended again."""
        print(f"writing {EVENTS:,} events ...", file=sys.stderr)
        fill(self.past, self.past / "run", EVENTS, CONTAINERS)
        with open(min((self.past / "journal").glob("*.jsonl")), "rb") as segment:
            self.corpus.write_bytes(b"".join(line for line in segment if b'"s":"container/' in line))

    def store(self, name: str, place: str, writer: int = 0, writers: int = 1) -> Store | None:
        """A writer to the store called `name` in the directory `place`; None where it is not installed."""
        where = self.base / place
        where.mkdir(exist_ok=True)
        if name.startswith("eventsourcing"):
            if not self.library:
                return None
            mode = name.replace("eventsourcing", "append")
            command = worker("peer.py", mode, where, self.corpus, writer, writers, python=self.library)
        else:
            command = worker("stores.py", name, where, self.corpus, writer, writers)
        return Store(command)

    def appends(self, names: list[str], rounds: int) -> dict[str, list[list[float]]]:
        """Microseconds of every append to each store, one writer, in turns: a list a turn."""
        stores = {name: store for name in names if (store := self.store(name, name))}
        times: dict[str, list[list[float]]] = {name: [] for name in stores}
        for turn in range(rounds + 1):
            for name, store in stores.items():
                found = store.turn(A_TURN)["times"]
                if turn:  # the first is for warming up
                    times[name].append([ns / 1000 for ns in found])
        for store in stores.values():
            store.close()
        return times

    def writers(self, name: str, count: int, turn: int) -> tuple[float, float] | None:
        """(events a second, longest wait in ms) of `count` processes that append at once."""
        place = f"{name}-{count}-{turn}"
        first = self.store(name, place, 0, count)  # alone, since it makes the store
        if first is None:
            return None
        more = [self.store(name, place, writer, count) for writer in range(1, count)]
        stores = [first, *(store for store in more if store)]
        for store in stores:
            store.begin(WRITES // count)
        found = [store.answer() for store in stores]
        taken = max(one["end"] for one in found) - min(one["start"] for one in found)
        for store in stores:
            store.close()
        return WRITES * 1e9 / taken, max(max(one["times"]) for one in found) / 1e6

    def replay(self, mode: str, place: str = "past") -> dict[str, float]:
        """What replays.py tells of one reading."""
        found: dict[str, float] = json.loads(run(worker("replays.py", mode, self.base / place)))
        return found

    def library_replay(self) -> dict[str, float]:
        script = worker("peer.py", "replay", self.base / "replayed", "-", SMALL, python=self.library)
        found: dict[str, float] = json.loads(run(script))
        return found

    def fill_peers(self) -> None:
        """Less than a million events for the others: theirs are read in proportion."""
        rows, replayed = self.base / "rows", self.base / "replayed"
        (rows / "journal").mkdir(parents=True)
        replayed.mkdir()
        for segment in sorted((self.past / "journal").glob("*.jsonl"))[:SEGMENTS]:
            os.link(segment, rows / "journal" / segment.name)
        self.replay("sqlite-fill", "rows")
        if self.library:
            run(worker("peer.py", "fill", replayed, self.corpus, SMALL, python=self.library))

    def sizes(self, counts: dict[str, int]) -> dict[str, str]:
        """Bytes of an event on disk."""
        ours = sum(path.stat().st_size for path in (self.past / "journal").glob("*.jsonl"))
        files = {SAME: "rows/sqlite.db", LIBRARY: "replayed/eventsourcing.db"}
        bytes_of = {name: (self.base / file).stat().st_size for name, file in files.items() if name in counts}
        return {
            name: f"{size / counts[name]:.0f}" for name, size in {**bytes_of, OURS: ours, BARE: ours}.items()
        }


class Store:
    """A process that appends when told (rounds.py)."""

    def __init__(self, command: list[str]) -> None:
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        if self.process.stdout.readline() != "ready\n":
            raise SystemExit(f"{' '.join(command)}: did not start")

    def begin(self, count: int) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{count}\n")
        self.process.stdin.flush()

    def answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.process.args!r}: died with {self.process.wait()}")
        found: dict[str, Any] = json.loads(line)
        return found

    def turn(self, count: int) -> dict[str, Any]:
        self.begin(count)
        return self.answer()

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def library() -> str:
    """The interpreter that has eventsourcing, put there if need be; "" where that fails."""
    python = PEERS / "bin" / "python"
    has = [str(python), "-c", "import eventsourcing"]
    if not python.exists() or subprocess.run(has, capture_output=True, check=False).returncode:
        print(f"installing {PACKAGE} into {PEERS} ...", file=sys.stderr)
        for step in (
            [os.path.realpath(PYTHON), "-m", "venv", str(PEERS)],
            [str(python), "-m", "pip", "--disable-pip-version-check", "install", "-q", PACKAGE],
        ):
            done = subprocess.run(step, capture_output=True, text=True, check=False)
            if done.returncode:
                print(f"{PACKAGE} is missing: {done.stderr.strip()}", file=sys.stderr)
                return ""
    return str(python)


# --- tables --------------------------------------------------------------------------------------------


def table(heading: list[str], cells: dict[str, list[str]]) -> Table:
    """A row a store; one that is not there is said to be missing."""
    rows = {name: cells.get(name, ["missing"] * (len(heading) - 1)) for name in NAMES}
    lines = [f"| {' | '.join(heading)} |", "|---|" + "---:|" * (len(heading) - 1)]
    return lines + [f"| {NAMES[name]} | {' | '.join(row)} |" for name, row in rows.items()]


def judged(what: str, ratio: float, budget: float) -> str:
    return f"* {what}: {ratio:.2f}x, {verdict(ratio, budget)} (budget {budget:.2g}x)"


def append_rows(bench: Bench, rounds: int) -> Table:
    opened = {name: f"{name}-opened" for name in NAMES if name != SAME}
    times = bench.appends([*NAMES, *opened.values()], rounds)

    def shown(name: str | None) -> str:
        if name not in times:
            return ""
        all_of_them = [one for turn in times[name] for one in turn]
        p99 = statistics.quantiles(all_of_them, n=100)[98]
        return f"{statistics.median(all_of_them):.0f}, {p99:.0f}"

    def ratio(name: str, to: str) -> float:
        """The median over the turns, so that a slow moment of the machine counts against both."""
        pairs = zip(times[name], times[to], strict=True)
        return statistics.median(statistics.median(a) / statistics.median(b) for a, b in pairs)

    heading = ["durable append, one writer; us, p50 and p99", "kept open", "opened and closed each time"]
    cells = {name: [shown(name), shown(opened.get(name))] for name in NAMES if name in times}
    return [
        *table(heading, cells),
        "",
        judged("durable append, of write and fdatasync of the same bytes", ratio(OURS, BARE), APPEND_BUDGET),
        judged("the same opened each time, of SQLite", ratio(opened[OURS], opened[SQLITE]), SQLITE_BUDGET),
    ]


def writer_rows(bench: Bench, rounds: int) -> Table:
    cells: dict[str, list[str]] = {}
    for count in WRITERS:
        found: dict[str, list[tuple[float, float]]] = {}
        for turn in range(max(LEAST, rounds // 3)):
            for name in NAMES:
                one = bench.writers(name, count, turn)
                if one:
                    found.setdefault(name, []).append(one)
        for name, values in found.items():
            rate, wait = (statistics.median(column) for column in zip(*values, strict=True))
            cells.setdefault(name, []).append(f"{rate:,.0f}, {wait:.0f}")
    heading = ["writers at once; events/s, longest wait in ms", *(f"{count}" for count in WRITERS)]
    return table(heading, cells)


def replay_rows(bench: Bench, rounds: int) -> Table:
    bench.fill_peers()
    readings = {BARE: ("bare", "past"), OURS: ("journal", "past"), SAME: ("sqlite", "rows")}
    found: dict[str, list[dict[str, float]]] = {}
    for _ in range(max(LEAST, rounds // 3)):
        for name, (mode, place) in readings.items():
            found.setdefault(name, []).append(bench.replay(mode, place))
        if bench.library:
            found.setdefault(LIBRARY, []).append(bench.library_replay())
    times = {name: [one["seconds"] / one["count"] for one in values] for name, values in found.items()}

    def ratio(to: str) -> float:
        return statistics.median(ours / theirs for ours, theirs in zip(times[OURS], times[to], strict=True))

    counts = {name: int(values[0]["count"]) for name, values in found.items()}
    size = bench.sizes(counts)
    cells = {
        name: [
            f"{statistics.median(times[name]) * EVENTS:.2f}",
            f"{max(one['peak'] for one in values) / 2**20:.0f}",
            f"{counts[name]:,}",
            size[name],
        ]
        for name, values in found.items()
    }
    cells[SQLITE] = ["", "", "", ""]
    heading = [f"replay of {EVENTS:,} events", "s", "peak MiB", "events it was measured with", "bytes each"]
    lines = [*table(heading, cells), ""]
    lines.append(judged("replay, of read, decode and SHA-256 with no fold", ratio(BARE), REPLAY_BUDGET))
    if LIBRARY in times:
        times_as_fast = 1 / ratio(LIBRARY)
        kept = verdict(LIBRARY_BUDGET, times_as_fast)
        lines.append(
            f"* replay, as fast as eventsourcing's: {times_as_fast:.1f} times, {kept} "
            f"(budget {LIBRARY_BUDGET} times, first {FIRST_BUDGET}; ADR 0014)"
        )
    return lines


def snapshot_rows(bench: Bench, _rounds: int) -> Table:
    loads = [bench.replay("snapshot") for _ in range(REPLAYS)]
    load = statistics.median(one["seconds"] / one["count"] for one in loads) * 1000
    size = max((bench.past / "journal" / "snap").glob("*.snap")).stat().st_size >> 10
    return [
        f"Loading the snapshot of {CONTAINERS} containers ({size} KiB) in place of a replay: {load:.1f} ms."
    ]


def main(rounds: int) -> Result:
    """All tables, printed as they come."""
    lines: Table = []
    place = os.environ.get("TMPDIR", "/var/tmp")  # a disk, where /tmp may be memory
    with tempfile.TemporaryDirectory(prefix="mydocker-bench-", dir=place) as base:
        bench = Bench(pathlib.Path(base), library())
        bench.prepare()
        for measured in (append_rows, writer_rows, replay_rows, snapshot_rows):
            rows = measured(bench, rounds)
            print("\n".join(rows), "\n", flush=True)
            lines += [*rows, ""]
    return Result(lines[:-1])
