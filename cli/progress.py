"""How far a long piece of work is: one line on stderr, at a terminal, after the first second only."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Self

QUIET = 1.0  # seconds
EVERY = 0.1
BAR = 24  # characters
OFTEN = 4096  # events between two looks at the clock
MIB = 1 << 20


class Progress:
    """`total` in what `update` counts, where it is known, else 0: bytes, or `unit`s such as "segments"."""

    def __init__(self, what: str, total: int, unit: str = "") -> None:
        self._what, self._total, self._unit = what, total, unit
        self._begun = time.monotonic()
        self._next = self._begun + QUIET if sys.stderr.isatty() else float("inf")
        self._shown = False

    @property
    def wanted(self) -> bool:
        """Whether anybody looks."""
        return self._next != float("inf")

    def update(self, done: int) -> None:
        """Call as often as you like."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + EVERY
        self._shown = True
        sys.stderr.write(f"\r\x1b[K{self._what}: {self._line(done, now - self._begun)}")
        sys.stderr.flush()

    def of(self, done: int, total: int) -> None:
        """The same for work that tells its whole only on the way."""
        self._total = total
        self.update(done)

    def _line(self, done: int, seconds: float) -> str:
        share = f"{bar(done, self._total)} " if self._total else ""
        if self._unit:
            return f"{share}{done} {self._unit}"
        return f"{share}{done // MIB} MiB, {done / MIB / seconds:.0f} MiB/s"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        if self._shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


class Watched(Progress):
    """For work that cannot call us: `done` is asked how far it is, by a thread of ours."""

    def __init__(self, what: str, total: int, unit: str, done: Callable[[], int]) -> None:
        import threading  # not for those who do without

        super().__init__(what, total, unit)
        self._done = done
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def _look(self) -> None:
        while not self._over.wait(EVERY):
            self.update(self._done())

    def __enter__(self) -> Self:
        if self.wanted:
            self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()
        super().__exit__(*error)


def counted(what: str, events: Iterable[Any], total: int) -> Iterator[Any]:
    """The events as they come, shown on their way; `n` of each tells how far we are."""
    with Progress(what, total, "events") as progress:
        if not progress.wanted:
            yield from events
            return
        for count, event in enumerate(events):
            if not count % OFTEN:
                progress.update(event.n)
            yield event


def bar(done: int, total: int) -> str:
    """`[######..................]  25 %`."""
    share = min(done, total)
    full = BAR * share // total
    return f"[{'#' * full}{'.' * (BAR - full)}] {100 * share // total:3} %"
