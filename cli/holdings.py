"""What a journal holds: how much, since when, of what, and the files around it."""

from __future__ import annotations

import os

from cli.names import Names
from cli.progress import counted
from cli.render import binary_size, local_time
from cli.sifting import events_behind
from cli.travel import last_event
from eventstore import archive, index, segments, snapshots
from machine.acts import is_decision

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

BUSIEST = 5
WIDE = len("container/") + 12  # characters of a stream: enough to find it by
TORN = "torn"


def holdings(root: str) -> dict[str, Any]:
    """A document for `cli.document.show`. JournalMissing."""
    directory = f"{root}/journal"
    last = last_event(root)
    count, names = _Count(), Names(root, 0)
    for event in counted("reading the journal", events_behind(root, 0), last.n if last is not None else 0):
        count.see(event)
        names.see(event)
    busiest = sorted(count.streams.items(), key=lambda pair: -pair[1])[:BUSIEST]
    live = [os.path.join(directory, segments.name_of(n)) for n in segments.segment_numbers(directory)]
    packed = _files(directory, archive.FOLDER)
    size = sum(map(os.path.getsize, live))
    return {
        "Journal": count.journal,
        "Events": count.events,
        "First": local_time(count.first),
        "Last": local_time(count.last),
        "Boots": count.boots,
        "Commands": len(count.commands),
        "Decisions": count.decisions,
        "Failures": count.failures,
        "Repairs": count.repairs,
        "Containers": count.containers,
        "Segments": {
            "Live": f"{len(live)}, {binary_size(size)}",
            "Archived": f"{len(packed)}, {binary_size(sum(map(os.path.getsize, packed)))}",
        },
        "Caches": {
            "Snapshots": _told(_files(directory, snapshots.FOLDER)),
            "Index": _told(_files(directory, index.FOLDER)),
        },
        "Torn": _told(_files(directory, TORN)),
        "Tags": dict(sorted(count.tags.items(), key=lambda pair: (-pair[1], pair[0]))),
        "Busiest": {f"{names.of(stream)} ({stream[:WIDE]})": number for stream, number in busiest},
    }


class _Count:
    def __init__(self) -> None:
        self.journal = ""
        self.events = self.boots = self.decisions = self.failures = self.containers = self.repairs = 0
        self.first = self.last = 0
        self.commands: set[str] = set()
        self.tags: dict[str, int] = {}
        self.streams: dict[str, int] = {}

    def see(self, event: Any) -> None:
        self.events += 1
        self.first = self.first or event.ts
        self.last = event.ts
        self.commands.add(event.op)
        self.tags[event.tag] = self.tags.get(event.tag, 0) + 1
        self.streams[event.s] = self.streams.get(event.s, 0) + 1
        self.decisions += is_decision(event)
        self.boots += event.tag == "host.booted"
        self.failures += event.tag == "effect.failed"
        self.repairs += event.tag == "journal.repaired"
        self.containers += event.tag == "container.created"
        if event.tag == "journal.segment":
            self.journal = event.journal


def _files(directory: str, folder: str) -> list[str]:
    try:
        names = sorted(os.listdir(os.path.join(directory, folder)))
    except (FileNotFoundError, NotADirectoryError):
        return []
    return [os.path.join(directory, folder, name) for name in names]


def _told(paths: list[str]) -> str:
    return f"{len(paths)}, {binary_size(sum(map(os.path.getsize, paths)))}" if paths else "none"
