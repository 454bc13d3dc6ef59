"""The library `eventsourcing` on SQLite, for `tools/bench journal`: used as its documentation says, one save an event.

    PYTHON peer.py append|append-opened DIRECTORY CORPUS WRITER WRITERS     as stores.py
    PYTHON peer.py fill|replay DIRECTORY CORPUS COUNT                       COUNT events; prints seconds and peak memory

PYTHON is one that has it installed (and not mydocker). Its defaults: WAL, and SQLite's own synchronous FULL.
"""

from __future__ import annotations

import gc
import json
import sys
import time
from typing import Any
from uuid import UUID, uuid5

import rounds
from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, event

SPACE = UUID("00000000-0000-0000-0000-000000000000")
PAGE = 1000  # events a read


class Subject(Aggregate):
    """What has a stream: its events carry what ours carry, its fold is the smallest there can be."""

    def __init__(self, stream: str, tag: str, data: dict[str, Any]) -> None:
        self.stream, self.status, self.data = stream, tag, data

    @staticmethod
    def create_id(stream: str) -> UUID:
        return uuid5(SPACE, stream)

    @event("Happened")
    def happen(self, tag: str, data: dict[str, Any]) -> None:
        self.status, self.data = tag, data


class Store:
    def __init__(self, directory: str, lines: list[bytes]) -> None:
        self.settings = {
            "PERSISTENCE_MODULE": "eventsourcing.sqlite",
            "SQLITE_DBNAME": f"{directory}/eventsourcing.db",
            "SQLITE_LOCK_TIMEOUT": "60",
        }
        self.events = iter([json.loads(line) for line in lines])
        self.subjects: dict[str, Subject] = {}
        self.app: Application[UUID] = self.open()

    def open(self) -> Application[UUID]:
        return Application(env=self.settings)

    def append(self) -> None:
        found = next(self.events)
        stream = found["s"]
        subject = self.subjects.get(stream)
        if subject is None:
            subject = self.subjects[stream] = Subject(stream, found["t"], found)
        else:
            subject.happen(found["t"], found)
        self.app.save(subject)

    def append_opened(self) -> None:
        self.app = self.open()
        self.append()
        self.app.close()

    def fill(self, count: int) -> None:
        """As fast as may be: many subjects a transaction."""
        for start in range(0, count, PAGE):
            changed: dict[str, Subject] = {}
            for _ in range(min(PAGE, count - start)):
                found = next(self.events)
                stream = found["s"]
                if stream in self.subjects:
                    self.subjects[stream].happen(found["t"], found)
                else:
                    self.subjects[stream] = Subject(stream, found["t"], found)
                changed[stream] = self.subjects[stream]
            self.app.save(*changed.values())

    def replay(self) -> int:
        """All events in the order of the whole, folded into their subjects; how many it was."""
        recorder, event_of = self.app.recorder, self.app.mapper.to_domain_event
        folded: dict[UUID, Any] = {}
        last = 0
        while page := recorder.select_notifications(last, PAGE, inclusive_of_start=False):
            for notification in page:
                happened = event_of(notification)
                folded[happened.originator_id] = happened.mutate(folded.get(happened.originator_id))
            last = page[-1].id
        return last


def peak() -> int:
    """Peak resident bytes of this process (proc(5), VmHWM)."""
    with open("/proc/self/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM:")) << 10


def main() -> None:
    what, directory, corpus, *numbers = sys.argv[1:]
    lines = []
    if what != "replay":
        with open(corpus, "rb") as file:
            lines = file.readlines()
    if what in ("append", "append-opened"):
        lines = rounds.share(lines, int(numbers[0]), int(numbers[1]))
        store = Store(directory, lines)
        rounds.serve(store.append if what == "append" else store.append_opened)
    elif what == "fill":
        Store(directory, lines).fill(int(numbers[0]))
    else:
        store = Store(directory, [])
        gc.disable()
        begun = time.perf_counter()
        count = store.replay()
        taken = time.perf_counter() - begun
        assert count == int(numbers[0]), count
        print(json.dumps({"seconds": taken, "peak": peak(), "count": count}))


if __name__ == "__main__":
    main()
