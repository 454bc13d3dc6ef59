"""A monitor that waits for its container looks at the kernel meanwhile, and the command goes on deciding. LEAN.

It has what looking takes, since it will make such things itself; for the command to load all of that takes 5 ms.
"""

from __future__ import annotations

import os
import select

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, TypeAlias

    from cli.early import Companion
    from machine.engine import Effects
    from machine.subjects import Subject

    Rows: TypeAlias = list[list[Any]]  # [kind, spec, facts] of each resource

_PATIENCE = 2000  # milliseconds for a monitor that has yet to load what it needs; then we look ourselves
_WHOLE, _NOT_WHOLE = b"1", b"0"


class Lookout:
    """The command's end of a question: whether the kernel has all of these."""

    def __init__(self, monitor: Companion, rows: Rows) -> None:
        self._rows = rows
        self._answer, theirs = os.pipe2(os.O_CLOEXEC)
        try:
            monitor.connection.send({"look": rows}, (theirs,))
        except (BrokenPipeError, ConnectionResetError):
            pass  # it has died: nobody will answer, which `sees` hears at once
        finally:
            os.close(theirs)

    def sees(self, rows: Rows) -> bool:
        """Whether the question was for exactly these, and the answer is yes. To be asked once."""
        try:
            poller = select.poll()
            poller.register(self._answer, select.POLLIN)
            ready = poller.poll(_PATIENCE)
            return bool(ready) and os.read(self._answer, 1) == _WHOLE and rows == self._rows
        finally:
            os.close(self._answer)


def look(effects: Effects, rows: Rows, answer: int) -> None:
    """The monitor's end: look, and say so."""
    try:
        os.write(answer, _WHOLE if is_whole(effects, rows) else _NOT_WHOLE)
    except BrokenPipeError:
        return  # the command has gone, as we are about to hear
    finally:
        os.close(answer)


def rows_of(subjects: Iterable[Subject]) -> Rows:
    """All that these hold."""
    return [[row.kind, row.spec, row.facts] for subject in subjects for row in subject.held]


def is_whole(effects: Effects, rows: Rows) -> bool:
    """Whether the kernel has all of these; where it does not tell, who goes to mend them will hear that himself."""
    try:
        return all(effects.probe(kind, spec, facts) is not None for kind, spec, facts in rows)
    except OSError:
        return False
