"""How far a long piece of work is: one line on stderr, at a terminal, after the first second only."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Self

QUIET = 1.0  # seconds
EVERY = 0.1
MIB = 1 << 20


class Progress:
    """`total` bytes where known, else 0."""

    def __init__(self, what: str, total: int) -> None:
        self._what, self._total = what, total
        self._begun = time.monotonic()
        self._next = self._begun + QUIET if sys.stderr.isatty() else float("inf")
        self._shown = False

    def update(self, done: int) -> None:
        """Call as often as you like."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + EVERY
        self._shown = True
        share = f" {min(100, 100 * done // self._total)} %" if self._total else ""
        rate = done / MIB / (now - self._begun)
        sys.stderr.write(f"\r\x1b[K{self._what}:{share} {done // MIB} MiB, {rate:.0f} MiB/s")
        sys.stderr.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _where: TracebackType | None
    ) -> None:
        if self._shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
