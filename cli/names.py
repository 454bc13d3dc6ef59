"""What containers are called, as of the event that is being told; of removed ones too, wherever the telling begins."""

from __future__ import annotations

from itertools import pairwise

from machine.events import NAMING, SCHEMA
from machine.settings import SHORT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

MOST = 1 << 63  # no journal has so many events
BY_INDEX = 10  # containers whose past is looked for one by one, before all names are read
_NEEDLES = tuple(f'\n{{"t":"{tag}",'.encode() for tag in NAMING)


class Bearer:
    """What a container was created as; `name` is its present one."""

    __slots__ = ("image", "labels", "name")

    def __init__(self, name: str, image: str, labels: dict[str, str]) -> None:
        self.name, self.image, self.labels = name, image, labels


class Names:
    """Of the journal of `root`, for whoever is told its events behind number `after`, in order.

    The events before are only read when a container turns up that was created before: its own, by the journal's
    index, and those that name any container when there are many such.
    """

    def __init__(self, root: str, after: int) -> None:
        self._root, self._after = root, after
        self._bearers: dict[str, Bearer] = {}
        self._looked_back = after == 0
        self._looked_for: set[str] = set()
        self._networks: dict[str, str] = {}  # stream -> name

    def see(self, event: Any) -> None:
        """Take note of an event's name, before it is told."""
        if event.tag == "container.created":
            labels = event.settings.get("labels", {})
            self._bearers[event.s] = Bearer(event.name, event.image, labels)
        elif event.tag == "container.renamed" and (bearer := self.bearer(event.s)) is not None:
            bearer.name = event.name
        elif event.tag == "network.created":
            self._networks[event.s] = event.name

    def bearer(self, stream: str) -> Bearer | None:
        """Who has the stream, if a container has."""
        if stream not in self._bearers and not self._looked_back and stream.startswith("container/"):
            self._look_back(stream)
        return self._bearers.get(stream)

    def of(self, stream: str) -> str:
        """How people call what has the stream: `web`, `network shop`, `image busybox`, `layer 4f2a5c…`."""
        bearer = self.bearer(stream)
        if bearer is not None:
            return bearer.name
        kind, _, key = stream.partition("/")
        if kind == "network":
            if stream not in self._networks:
                self._networks[stream] = ""
                for event in self._past_of(stream):
                    self.see(event)
                    break  # its first
            return f"network {self._networks[stream] or key[:SHORT]}"
        return f"{kind} {key if kind == 'image' else key[:SHORT]}" if key else kind

    def _look_back(self, stream: str) -> None:
        if stream in self._looked_for:
            return
        self._looked_for.add(stream)
        since, self._bearers = self._bearers, {}
        if len(self._looked_for) > BY_INDEX:
            self._looked_back = True
            past = naming_events(self._root, up_to=self._after)
        else:
            past = self._past_of(stream)
        for event in past:
            self.see(event)
        self._bearers |= since

    def _past_of(self, stream: str) -> Iterator[Any]:
        from eventstore.reader import stream_events

        for event in stream_events(f"{self._root}/journal", SCHEMA, stream):
            if event.n > self._after:
                return
            yield event


def naming_events(root: str, *, up_to: int = MOST) -> Iterator[Any]:
    """The events up to number `up_to` that created or renamed containers; all else is skipped undecoded.

    None where there is no journal.
    """
    from eventstore.archive import all_numbers, open_source
    from eventstore.codec import decode
    from eventstore.errors import JournalMissing
    from eventstore.segments import header_in

    directory = f"{root}/journal"
    try:
        numbers = [first for first in all_numbers(directory) if first <= up_to]
    except JournalMissing:
        return
    for first, following in pairwise([*numbers, up_to + 1]):
        with open_source(directory, first) as source:
            written = header_in(source.head(), first, SCHEMA).schema
            data = source.read(source.size, 0)
        for line in _naming_lines(data):
            event = decode(line, SCHEMA, written)
            if event.n < following:
                yield event


def _naming_lines(data: bytes) -> Iterator[bytes]:
    found = []
    for needle in _NEEDLES:
        place = data.find(needle)
        while place >= 0:
            found.append(place + 1)
            place = data.find(needle, place + 1)
    for start in sorted(found):
        end = data.find(b"\n", start)
        if end >= 0:
            yield data[start:end]
