"""Start the other process first: its interpreter boots on one core while ours imports and decides on the other.

`cli.entry` calls `start` before anything heavy is imported; the command takes the process over with `take`,
or leaves it: when our end of the socket closes, it has never been. LEAN.
"""

from __future__ import annotations

import os

from cli import handover
from effects import interpreter
from effects.control import Connection

# Which program a command will need beside it.
PROGRAMS = {"run": "cli.monitor", "start": "cli.monitor", "restart": "cli.monitor", "exec": "effects.joiner"}


class Companion:
    """A started monitor or joiner: our end of its control socket, and its pid."""

    def __init__(self, program: str) -> None:
        self.program = program
        ours, theirs = handover.pair()
        self.connection = Connection(ours)
        try:
            # A session of its own: ^C in the terminal is for the container, which hears it from the command.
            self.pid = interpreter.spawn(program, [theirs.fileno()], new_session=True)
        finally:
            theirs.close()

    def close(self) -> None:
        """Never mind: it exits on the closed socket."""
        self.connection.close()


_waiting: list[Companion] = []


def start(command: str) -> None:
    """Start what `command` will need beside it; nothing where that is nothing, or where we are not root. OSError."""
    if command in PROGRAMS and os.geteuid() == 0:
        _waiting.append(Companion(PROGRAMS[command]))


def waiting(program: str) -> Companion | None:
    """The process started early, if it is of that kind and not taken yet."""
    return next((companion for companion in _waiting if companion.program == program), None)


def take(program: str) -> Companion:
    """The process started early, if it is of that kind and not taken yet, else a new one."""
    companion = waiting(program)
    if companion is None:
        return Companion(program)
    _waiting.remove(companion)
    return companion
