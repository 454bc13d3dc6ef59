"""The journal beside the bare disk, plain SQLite and the library `eventsourcing`: append, many writers, replay, snapshots."""

from __future__ import annotations

import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
from functools import partial
from typing import Any

from benchmarks.report import HERE, PYTHON, Result, run, verdict, worker

PEERS = HERE / "build" / "peers"  # a venv of its own: what the library brings along slows `import msgspec`
LIBRARY = "eventsourcing==9.5.6"
EVENTS = 1_000_000
CONTAINERS = 400
A_TURN = 50  # appends of one store before the next has its turn
WRITERS = (1, 4, 16)
WRITES = 4800  # appends of all writers together
WRITER_ROUNDS = 5
REPLAYS = 7
SMALL = 20_000  # events that eventsourcing replays, SQLite ten times as many: the time of a million is scaled
APPEND_BUDGET, SQLITE_BUDGET, REPLAY_BUDGET, LIBRARY_BUDGET = 1.5, 0.3, 2.0, 1 / 20
STORES = ("bare", "journal", "sqlite", "eventsourcing")
NAMES = {
    "bare": "bare disk",
    "journal": "mydocker",
    "sqlite": "SQLite",
    "eventsourcing": "eventsourcing",
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
        lives = worker("lives.py", self.past, self.past / "run", EVENTS, CONTAINERS)
        run(["nice", "-n", "10", *lives])
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

    def appends(self, names: list[str], rounds: int) -> dict[str, list[float]]:
        """Microseconds of every append to each store, one writer, in turns."""
        stores = {name: store for name in names if (store := self.store(name, name))}
        times: dict[str, list[float]] = {name: [] for name in stores}
        for turn in range(rounds + 1):
            for name, store in stores.items():
                found = store.turn(A_TURN)["times"]
                if turn:  # the first is for warming up
                    times[name] += [ns / 1000 for ns in found]
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

    def replay(self, mode: str, place: str = "past") -> dict[str, Any]:
        """What replays.py tells of one reading."""
        found: dict[str, Any] = json.loads(run(worker("replays.py", mode, self.base / place)))
        return found

    def library_replay(self) -> dict[str, Any]:
        script = worker("peer.py", "replay", self.base / "replayed", "-", SMALL, python=self.library)
        found: dict[str, Any] = json.loads(run(script))
        return found


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
        print(f"installing {LIBRARY} into {PEERS} ...", file=sys.stderr)
        for step in (
            [os.path.realpath(PYTHON), "-m", "venv", str(PEERS)],
            [str(python), "-m", "pip", "--disable-pip-version-check", "install", "-q", LIBRARY],
        ):
            done = subprocess.run(step, capture_output=True, text=True, check=False)
            if done.returncode:
                print(f"{LIBRARY} is missing: {done.stderr.strip()}", file=sys.stderr)
                return ""
    return str(python)


# --- tables --------------------------------------------------------------------------------------------


def cells(values: dict[str, str]) -> str:
    """One cell a store, in the order of the heading."""
    return " | ".join(values.get(name, "missing") for name in STORES)


def append_rows(bench: Bench, rounds: int) -> Table:
    lines = [
        "| durable append, one writer: p50, p99 in us | bare disk | mydocker | SQLite | eventsourcing | of the disk | of SQLite |",
        "|---|---|---|---|---|---|---|",
    ]
    for what, suffix, of_disk, of_sqlite in (
        ("kept open", "", APPEND_BUDGET, 0.0),
        ("opened and closed around it", "-opened", 0.0, SQLITE_BUDGET),
    ):
        found = bench.appends([name + suffix for name in STORES], rounds)
        times = {name.removesuffix("-opened"): values for name, values in found.items()}
        p50 = {name: statistics.median(values) for name, values in times.items()}
        p99 = {name: statistics.quantiles(values, n=100)[98] for name, values in times.items()}
        shown = {name: f"{p50[name]:.0f}, {p99[name]:.0f}" for name in times}
        ratios = [
            judged(p50["journal"] / p50["bare"], of_disk),
            judged(p50["journal"] / p50["sqlite"], of_sqlite),
        ]
        lines.append(f"| {what} | {cells(shown)} | {' | '.join(ratios)} |")
    return lines


def judged(ratio: float, budget: float) -> str:
    """The ratio, and whether it is within the budget where there is one."""
    return f"{ratio:.2f}x, {verdict(ratio, budget)} ({budget:.2g}x)" if budget else f"{ratio:.2f}x"


def writer_rows(bench: Bench) -> Table:
    lines = [
        "| writers at once: events/s, longest wait in ms | bare disk | mydocker | SQLite | eventsourcing | of the disk | of SQLite |",
        "|---|---|---|---|---|---|---|",
    ]
    for count in WRITERS:
        found: dict[str, list[tuple[float, float]]] = {}
        for turn in range(WRITER_ROUNDS):
            for name in STORES:
                one = bench.writers(name, count, turn)
                if one:
                    found.setdefault(name, []).append(one)
        rate = {name: statistics.median(r for r, _ in values) for name, values in found.items()}
        wait = {name: statistics.median(w for _, w in values) for name, values in found.items()}
        shown = {name: f"{rate[name]:,.0f}, {wait[name]:.0f}" for name in found}
        ratios = f"{rate['journal'] / rate['bare']:.2f}x | {rate['journal'] / rate['sqlite']:.1f}x"
        lines.append(f"| {count} | {cells(shown)} | {ratios} |")
    return lines


def replay_rows(bench: Bench) -> Table:
    for place in ("rows", "replayed"):
        (bench.base / place).mkdir(exist_ok=True)
    os.makedirs(bench.base / "rows" / "journal", exist_ok=True)
    for segment in sorted((bench.past / "journal").glob("*.jsonl"))[: SMALL * 10 // 30_000]:
        os.link(segment, bench.base / "rows" / "journal" / segment.name)
    bench.replay("sqlite-fill", "rows")
    if bench.library:
        run(worker("peer.py", "fill", bench.base / "replayed", bench.corpus, SMALL, python=bench.library))
    found: dict[str, list[dict[str, Any]]] = {}
    for _ in range(REPLAYS):
        found.setdefault("bare", []).append(bench.replay("bare"))
        found.setdefault("journal", []).append(bench.replay("journal"))
        found.setdefault("sqlite", []).append(bench.replay("sqlite", "rows"))
        if bench.library:
            found.setdefault("eventsourcing", []).append(bench.library_replay())
    seconds = {
        name: statistics.median(one["seconds"] * EVENTS / one["count"] for one in values)
        for name, values in found.items()
    }
    peak = {name: max(one["peak"] for one in values) >> 20 for name, values in found.items()}
    shown = {name: f"{seconds[name]:.2f} s" for name in found}
    theirs = seconds.get("eventsourcing")
    of_library = judged(seconds["journal"] / theirs, LIBRARY_BUDGET) if theirs else "missing"
    of_bare = judged(seconds["journal"] / seconds["bare"], REPLAY_BUDGET)
    heading = [
        f"replay of {EVENTS:,} events",
        "bare: read, decode, SHA-256",
        "mydocker: verified and folded",
        f"SQLite: decoded and folded, from {found['sqlite'][0]['count']:,}",
        f"eventsourcing, from {SMALL:,}",
        "of bare",
        "of eventsourcing",
    ]
    return [
        f"| {' | '.join(heading)} |",
        "|---|---|---|---|---|---|---|",
        f"| time | {cells(shown)} | {of_bare} | {of_library} |",
        f"| peak memory, MiB | {cells({name: str(mib) for name, mib in peak.items()})} | | |",
    ]


def size_rows(bench: Bench) -> Table:
    """Bytes of an event in each store, and the snapshot that spares the replay."""
    past = [path.stat().st_size for path in (bench.past / "journal").glob("*.jsonl")]
    counts = [bench.replay("snapshot") for _ in range(REPLAYS)]
    load = statistics.median(one["seconds"] / one["count"] for one in counts) * 1000
    snapshot = max((bench.past / "journal" / "snap").glob("*.snap")).stat().st_size
    size = {"journal": f"{sum(past) / EVENTS:.0f}"}
    rows = bench.base / "rows" / "sqlite.db"
    size["sqlite"] = f"{rows.stat().st_size / bench.replay('sqlite', 'rows')['count']:.0f}"
    if bench.library:
        size["eventsourcing"] = f"{(bench.base / 'replayed' / 'eventsourcing.db').stat().st_size / SMALL:.0f}"
    return [
        "| | bare disk | mydocker | SQLite | eventsourcing |",
        "|---|---|---|---|---|",
        f"| bytes of an event on disk | {cells({**size, 'bare': size['journal']})} |",
        f"| loading the snapshot of {CONTAINERS} containers ({snapshot >> 10} KiB), ms | | {load:.1f} | | |",
    ]


def main(rounds: int) -> Result:
    """All tables, printed as they come."""
    lines: Table = []
    place = os.environ.get("TMPDIR", "/var/tmp")  # a disk, where /tmp may be memory
    with tempfile.TemporaryDirectory(prefix="mydocker-bench-", dir=place) as base:
        bench = Bench(pathlib.Path(base), library())
        bench.prepare()
        for measured in (partial(append_rows, rounds=rounds), writer_rows, replay_rows, size_rows):
            rows = measured(bench)
            print("\n".join(rows), flush=True)
            lines += [*rows, ""]
    return Result(lines[:-1])
