"""One writer to one store, for `tools/bench journal`: the journal, SQLite, or a bare file. See `rounds.serve`.

    PYTHON stores.py STORE DIRECTORY CORPUS WRITER WRITERS

CORPUS: lines of a journal. Whoever stores them need not encode them, but for the journal, which does.
"""

from __future__ import annotations

import os
import sqlite3
import sys

import rounds

from eventstore.codec import decode, encode
from eventstore.event import Event
from eventstore.journal import Journal, clock
from machine.events import SCHEMA
from machine.world import World

FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
SCRIPT = """
pragma journal_mode = wal; pragma synchronous = full;
create table if not exists event (n integer primary key, s text, v integer, line blob, unique (s, v));
"""


class Bare:
    """write(2) and fdatasync(2) of the same bytes: what no store can do without."""

    def __init__(self, directory: str, lines: list[bytes]) -> None:
        self.path = f"{directory}/bare"
        self.lines = iter(lines)
        self.file = os.open(self.path, FLAGS, 0o600)

    def append(self) -> None:
        os.write(self.file, next(self.lines))
        os.fdatasync(self.file)


class BareOpened(Bare):
    def append(self) -> None:
        file = os.open(self.path, FLAGS, 0o600)
        os.write(file, next(self.lines))
        os.fdatasync(file)
        os.close(file)


class Own:
    """What a writer like a container's monitor has: events to append, and a world of their streams alone."""

    def __init__(self, lines: list[bytes]) -> None:
        found = [decode(line, SCHEMA) for line in lines]
        self.streams = frozenset(event.s for event in found)
        self.events = iter(
            [(was, type(was)(**was.payload())) for was in found]
        )  # as it was, and not yet stamped
        self.world = World()


class OurJournal:
    """Lock, read and check the others' events, stamp, encode, link, write, unlock, sync; fold what is of its streams."""

    def __init__(self, directory: str, lines: list[bytes]) -> None:
        self.where = f"{directory}/journal"
        self.own = Own(lines)
        self.journal = Journal.open_or_create(self.where, SCHEMA, only=self.own.streams)
        self.journal.refresh(self.own.world)

    def append(self) -> None:
        was, event = next(self.own.events)
        with self.journal.transaction(self.own.world, by=was.by, why=was.why, op=was.op) as tx:
            tx.append(was.s, event)


class OurJournalOpened(OurJournal):
    def append(self) -> None:
        cursor = self.journal.cursor
        self.journal = Journal.open(self.where, SCHEMA, cursor=cursor)
        super().append()
        self.journal.close()


class SQLite:
    """A row an event, the stream's version unique; WAL and synchronous FULL: durable when it returns."""

    def __init__(self, directory: str, lines: list[bytes]) -> None:
        self.path = f"{directory}/sqlite.db"
        found = [decode(line, SCHEMA) for line in lines]
        self.rows = iter([(event.s, event.v, line) for event, line in zip(found, lines, strict=True)])
        self.connection = self.connect()
        self.connection.executescript(SCRIPT)

    def connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self.path, timeout=60, isolation_level=None)

    def append(self) -> None:
        run = self.connection.execute
        run("begin immediate")
        run("insert into event (s, v, line) values (?, ?, ?)", next(self.rows))
        run("commit")


class SQLiteOpened(SQLite):
    def __init__(self, directory: str, lines: list[bytes]) -> None:
        super().__init__(directory, lines)
        self.connection.close()

    def append(self) -> None:
        self.connection = self.connect()
        self.connection.execute("pragma synchronous = full")
        super().append()
        self.connection.close()


class SQLiteSame(SQLite):
    """The journal's work on SQLite: under its lock the others' events are read, those of its streams folded, its own encoded."""

    def __init__(self, directory: str, lines: list[bytes]) -> None:
        super().__init__(directory, lines)
        self.own = Own(lines)
        self.n = 0

    def append(self) -> None:
        was, event = next(self.own.events)
        run = self.connection.execute
        run("begin immediate")
        for n, stream, line in run("select n, s, line from event where n > ? order by n", (self.n,)):
            if stream in self.own.streams:
                self.own.world.apply(decode(line, SCHEMA))
            self.n = n
        self.stamp(event, was)
        row = (event.s, event.v, encode(event) + b"}")
        self.n = run("insert into event (s, v, line) values (?, ?, ?)", row).lastrowid or 0
        run("commit")
        self.own.world.apply(event)

    def stamp(self, event: Event, was: Event) -> None:
        event.n, event.ts, event.up = self.n + 1, *clock()
        event.s, event.v = was.s, self.own.world.version(was.s) + 1
        event.op, event.by, event.why = was.op, was.by, was.why


STORES: dict[str, type[Bare | OurJournal | SQLite]] = {
    "bare": Bare,
    "bare-opened": BareOpened,
    "journal": OurJournal,
    "journal-opened": OurJournalOpened,
    "sqlite": SQLite,
    "sqlite-opened": SQLiteOpened,
    "sqlite-same": SQLiteSame,
}


def main() -> None:
    """Make the store and append to it as told."""
    name, directory, corpus, writer, writers = sys.argv[1:]
    with open(corpus, "rb") as file:
        lines = rounds.share(file.readlines(), int(writer), int(writers))
    rounds.serve(STORES[name](directory, lines).append)


if __name__ == "__main__":
    main()
