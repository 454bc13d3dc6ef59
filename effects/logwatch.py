"""Wakes a reader when something happens in a directory. A hint only: the reader also looks by itself."""

from __future__ import annotations

import threading

from watchdog.events import (
    FileCreatedEvent,
    FileModifiedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from watchdog.observers.api import BaseObserver


class Watch(FileSystemEventHandler):
    """Watches while entered. Where the kernel has no instance or watch left (max_user_* of inotify(7)), waits just time out."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._happened = threading.Event()
        self._observer: BaseObserver | None = None

    def __enter__(self) -> Self:
        # Our own reading makes events too, which the filter keeps out.
        wanted: list[type[FileSystemEvent]] = [FileModifiedEvent, FileMovedEvent, FileCreatedEvent]
        try:
            observer = Observer()  # takes the instance
            observer.schedule(self, self._directory, event_filter=wanted)
            observer.start()  # takes the watch
        except OSError:
            return self
        self._observer = observer
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._observer is not None:
            self._observer.stop()
            self._observer.join()

    def on_any_event(self, event: FileSystemEvent) -> None:  # noqa: ARG002 # what happened is seen by looking
        self._happened.set()

    def wait(self, seconds: float) -> None:
        """Until something has happened since the last call, or for so long."""
        if self._happened.wait(seconds):
            self._happened.clear()
