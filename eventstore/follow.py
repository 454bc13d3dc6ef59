"""Following a journal: each event exactly once and in order, across rotations, with watchdog as a mere wake-up."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

from watchdog.events import FileCreatedEvent, FileModifiedEvent, FileMovedEvent, FileSystemEventHandler
from watchdog.observers import Observer

from eventstore.cursor import Cursor
from eventstore.segments import LOCK
from eventstore.tail import Tail

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Self

    from watchdog.events import FileSystemEvent
    from watchdog.observers.api import BaseObserver

    from eventstore.event import Event
    from eventstore.schema import Schema

IDLE = 1.0  # seconds after which the journal is read even if nothing woke us: inotify may lose events
POLL = 0.05  # the same where the kernel grants no more inotify watches


class _Wakeup(FileSystemEventHandler):
    def __init__(self, awake: threading.Event) -> None:
        self.awake = awake

    def on_any_event(self, event: FileSystemEvent) -> None:
        # Each append also notes in the lock's file how far all is on disk, which is no news.
        if os.path.basename(os.fsdecode(event.src_path)) != LOCK:
            self.awake.set()


class Follower:
    """Iterates over the events behind `cursor` for ever, or until `stop()`; to be used in a `with` block.

    Where it has come to is `cursor`: kept by the consumer, another Follower goes on from there. Whoever
    counts an event only after it is worked off sees it at least once, and may tell a repetition by `n`.
    """

    def __init__(
        self,
        directory: str,
        schema: Schema,
        cursor: Cursor | None = None,
        *,
        decode: Callable[[bytes], list[Event]] | None = None,
        idle: float = IDLE,
    ) -> None:
        self._tail = Tail(directory, schema, cursor or Cursor(), decode=decode, lenient=True)
        self._awake = threading.Event()
        self._stopped = False
        self._idle = idle
        self._observer: BaseObserver | None = None

    @property
    def cursor(self) -> Cursor:
        """Behind the last piece that was read; all its events are handed out when the iteration asks for more."""
        return self._tail.cursor

    def __enter__(self) -> Self:
        # The filter matters: without it each of our own opens and closes comes back as an event.
        kinds = [FileModifiedEvent, FileCreatedEvent, FileMovedEvent]
        handler = _Wakeup(self._awake)
        try:
            observer = Observer()
            observer.schedule(handler, self._tail.directory, recursive=False, event_filter=kinds)
            observer.start()
        except OSError:  # no inotify instance is left, or no watch
            self._idle = POLL
            return self
        self._observer = observer
        return self

    def __exit__(self, *_error: object) -> None:
        if self._observer is not None:
            self._observer.stop()
            self._observer.join()
        self._tail.close()

    def __iter__(self) -> Iterator[Event]:
        for event, _line in self.lines():
            yield event

    def lines(self) -> Iterator[tuple[Event, bytes]]:
        """The same, each with its line, byte for byte as it is on disk."""
        while not self._stopped:
            self._awake.clear()  # before reading: what is written from now on wakes us again
            for events in self._tail.read():
                yield from zip(events, self._tail.lines.splitlines(keepends=True), strict=True)
            self._awake.wait(self._idle)

    def stop(self) -> None:
        """From another thread or a signal handler: end the iteration."""
        self._stopped = True
        self._awake.set()
