"""Reading a whole past, for `tools/bench journal`; each mode prints seconds, peak resident bytes and events as JSON.

    PYTHON replays.py journal|bare|sqlite|sqlite-fill|snapshot|memory DIRECTORY

DIRECTORY holds a root's journal/ (and run/), or sqlite.db. `journal` verifies and folds with the real World; `bare`
reads, decodes and digests the same bytes and folds nothing; `sqlite` decodes and folds its rows and verifies nothing.
"""

from __future__ import annotations

import gc
import json
import os
import sqlite3
import sys
import time
from typing import Any

from eventstore.journal import Journal
from eventstore.segments import segment_numbers
from machine.events import SCHEMA
from machine.evolve_effects import UNREAD
from machine.world import World

PIECE = 64 << 10
ROWS = 2000
TIMES = 21  # loads of a snapshot, of which the median


def memory(field: str) -> int:
    """Bytes of this process, by proc(5): VmHWM is the peak that was resident."""
    with open("/proc/self/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith(f"{field}:")) << 10


def journal(directory: str) -> int:
    from eventstore.bulk import bulk_decoder

    world = World()
    opened = Journal.open(
        f"{directory}/journal",
        SCHEMA,
        decode=bulk_decoder(SCHEMA, UNREAD),
        read_only=True,
    )
    count = opened.refresh(world)
    assert world.host.boot, "the fold has seen the boot"
    assert not any(subject.anomalies for subject in world.subjects()), "all of it was legal"
    return count


def bare(directory: str) -> int:
    from _hashlib import openssl_sha256

    from eventstore.bulk import bulk_decoder

    decode, count = bulk_decoder(SCHEMA), 0
    for first in segment_numbers(f"{directory}/journal"):
        digest = openssl_sha256()
        with open(f"{directory}/journal/{first:020d}.jsonl", "rb", buffering=0) as file:
            rest = b""
            while piece := file.read(PIECE):
                digest.update(piece)
                whole = piece.rfind(b"\n") + 1
                count += len(decode(rest + piece[:whole]))
                rest = piece[whole:]
    return count


def sqlite(directory: str) -> int:
    from eventstore.bulk import bulk_decoder

    decode, count, world = bulk_decoder(SCHEMA, UNREAD), 0, World()
    rows = sqlite3.connect(f"{directory}/sqlite.db").execute("select line from event order by n")
    while some := rows.fetchmany(ROWS):
        for event in decode(b"".join([line for (line,) in some])):
            world.apply(event)
        count += len(some)
    return count


def sqlite_fill(directory: str) -> int:
    """The lines of the directory's first segment as rows, in one transaction."""
    from stores import SCRIPT

    from eventstore.codec import decode

    connection = sqlite3.connect(f"{directory}/sqlite.db", isolation_level=None)
    connection.executescript(SCRIPT)
    connection.execute("begin")
    count = 0
    for first in segment_numbers(f"{directory}/journal"):
        with open(f"{directory}/journal/{first:020d}.jsonl", "rb") as file:
            for line in file:
                event: Any = decode(line, SCHEMA)
                connection.execute(
                    "insert into event (s, v, line) values (?, ?, ?)", (event.s, event.v, line)
                )
                count += 1
    connection.execute("commit")
    return count


def snapshot(directory: str) -> int:
    """What a command does in place of a replay; TIMES times."""
    from cli.session import snapshot_code
    from eventstore.snapshots import Snapshots

    for _ in range(TIMES):
        found = Snapshots(f"{directory}/journal").load(snapshot_code())
        assert found is not None
        World.unpack(found[1])
    return TIMES


MODES = {
    "journal": journal,
    "bare": bare,
    "sqlite": sqlite,
    "sqlite-fill": sqlite_fill,
    "snapshot": snapshot,
}


def main() -> None:
    """Run one, with nothing collected: looking for garbage costs all of them the same fifth."""
    mode, directory = sys.argv[1:]
    gc.disable()
    begun = time.perf_counter()
    count = MODES[mode](directory)
    taken = time.perf_counter() - begun
    print(json.dumps({"seconds": taken, "peak": memory("VmHWM"), "count": count}), flush=True)
    os._exit(0)  # no need to take a million objects apart


if __name__ == "__main__":
    main()
