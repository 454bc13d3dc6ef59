"""Die at the nth step: for the tests that kill every process of ours before each thing it does. LEAN.

Off unless armed, and then a step costs one comparison. A step is an append to the journal, a call of the host that
changes something, or a deed of a job on disk; `kill -9` comes before it is done.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypeVar, cast

    T = TypeVar("T")
else:

    def cast(_kind, value):
        return value


VARIABLE = (
    "MYDOCKER_FAILPOINT"  # "command:7" or "monitor:7": the seventh step of the command, or of its monitor
)
_SIGKILL = 9

_left = [0]  # steps until the end; 0: not armed


def arm(who: str, text: str | None) -> None:
    """Arm this process, a "command" or a "monitor", if `text` (the variable's value) means it."""
    name, _, count = (text or "").partition(":")
    if name == who:
        _left[0] = int(count)


def step() -> None:
    """Call before each step."""
    if _left[0]:
        _left[0] -= 1
        if not _left[0]:
            os.kill(os.getpid(), _SIGKILL)


def fused(thing: T, changes: frozenset[str]) -> T:
    """The same object, with a step before each call of these methods; itself where nothing is armed."""
    return cast("T", _Fused(thing, changes)) if _left[0] else thing


class _Fused:
    def __init__(self, thing: object, changes: frozenset[str]) -> None:
        self.__dict__.update(_thing=thing, _changes=changes)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._thing, name)
        if name not in self._changes:
            return found

        def stepping(*arguments: Any, **more: Any) -> Any:
            step()
            return found(*arguments, **more)

        return stepping

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._thing, name, value)
