"""The words in which a life is told: people, moments, durations, sizes. Pure."""

from __future__ import annotations

from errno import errorcode

from machine.acts import by_itself

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from machine.life import Life

_SECOND, _MINUTE, _HOUR, _DAY = 1_000_000_000, 60, 3600, 86400


class Words:
    """`when(ns)` and `who(by)` name a moment and an actor for people."""

    def __init__(self, life: Life, when: Callable[[int], str], who: Callable[[dict[str, Any]], str]) -> None:
        assert life.container is not None, "it has had an event"
        self.life, self.c = life, life.container
        self.when, self.who = when, who

    def by(self, e: Any, *, start: bool = False) -> str:
        """Who did it, and what they typed: root (`mydocker stop web`)."""
        if e is None:
            return "Somebody" if start else "somebody"
        if by_itself(e):
            return "Mydocker itself" if start else "mydocker itself"
        cmd = e.by.get("cmd", "")
        return f"{self.who(e.by)} (`mydocker {cmd}`)" if cmd else self.who(e.by)

    def at(self, e: Any) -> str:
        return f" at {self.when(e.ts)}" if e is not None and e.ts else ""

    def since(self, e: Any) -> str:
        return f" since {self.when(e.ts)}" if e is not None and e.ts else ""

    def lasted(self, e: Any) -> str:
        start = self.life.start
        if start is None or not e.up or e.up < start.up:  # another boot's clock
            return ""
        return f", {long_duration(e.up - start.up)} after its start"


def code_words(code: int | None) -> str:
    return "an unknown code" if code is None else f"code {code}"


def known(code: int | None) -> str:
    return "its code is unknown, and counts as a failure" if code is None else f"its code was {code}"


def errno_words(e: Any) -> str:
    return f"{errorcode.get(e.errno, f'error {e.errno}')} " if e.errno else ""


def times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def count_of(number: int, what: str) -> str:
    """`1 layer`, `2 layers`."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def failed_times(e: Any) -> str:
    """Of an event that tells of unhealthiness: `3 times in a row, the last time with code 1`."""
    last = "without an answer in time" if e.code < 0 else f"with {code_words(e.code)}"
    return f"{times(e.failures)}{' in a row' if e.failures > 1 else ''}, the last time {last}"


def duration(nanoseconds: int) -> str:
    whole, rest = divmod(nanoseconds, _SECOND)
    return f"{nanoseconds // 1_000_000} ms" if rest else f"{whole} s"


def long_duration(nanoseconds: int) -> str:
    """In the largest unit of which there are two."""
    seconds = nanoseconds // _SECOND
    if seconds < 1:
        return "less than a second"
    for size, unit in ((_DAY, "days"), (_HOUR, "hours"), (_MINUTE, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return "a second" if seconds == 1 else f"{seconds} seconds"


def size_words(count: int) -> str:
    for power, unit in ((30, "GiB"), (20, "MiB"), (10, "KiB")):
        if count >= 1 << power and not count % (1 << power):
            return f"{count >> power} {unit}"
    return f"{count} bytes"
