"""Waiting for another process of ours to answer: never for ever, since it may be stopped, or hang. LEAN."""

from __future__ import annotations

import select

from machine.errors import MachineError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from effects.control import Connection
    from machine.subjects import Container

ANSWER = 60.0  # seconds; a machine that is that slow is told of, too


class NoAnswer(MachineError):
    """A monitor or joiner lives and says nothing. `pid` 0: nobody knows which it is."""

    def __init__(self, what: str, pid: int) -> None:
        self.what, self.pid = what, pid
        hint = f"if it is stopped: kill -CONT {pid}; if it hangs: kill -9 {pid}, then mydocker replay"
        who = f"process {pid}" if pid else "its monitor"
        super().__init__(f"{what}: {who} has not answered in {ANSWER:.0f} s" + (f" [{hint}]" if pid else ""))


def await_packet(connection: Connection, what: str, pid: int) -> tuple[str, Any, list[int]]:
    """The next packet, as `Connection.receive` has it; CLOSED where the other side has gone.

    `what` was attempted, `pid` is to answer. Raises NoAnswer.
    """
    poller = select.poll()
    poller.register(connection, select.POLLIN)
    while poller.poll(int(ANSWER * 1000)):
        packet = connection.receive()
        if packet is not None:
            return packet
    raise NoAnswer(what, pid)


def monitor_pid(container: Container) -> int:
    """The process that is to answer for a container; 0 where none has said so."""
    return int(container.monitor["pid"]) if container.monitor is not None else 0
