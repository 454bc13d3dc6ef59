"""A monitor that goes on as another version of the program: one process, one pid, all that it holds. LEAN.

execve(2) keeps a process's children and what it has open. So a monitor that cannot go on with the code that it has (the
journal is a newer version's, or the files of its own are not there any more) executes that of whoever can: it stays the
container's parent, keeps its lock, terminal, standard input and clients, and loses nothing. Nobody else could take over
how the container ends.

What is handed on lies in the queue of a socket, descriptor 3 of the new program: the request of `cli.handover` with the
lock, then packets {"inherit": what, ...} with their descriptors. This, the names `cli.heir` and `cli.monitor`, the
helper's two arguments and its answer are what versions must agree on: keys and kinds come, none goes or changes.
"""

from __future__ import annotations

import os
import select
import time

from cli import handover
from effects import interpreter, syscalls, vintage
from effects.control import JSON, Connection, close_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    Heirloom = tuple[dict[str, Any], tuple[int, ...]]  # the packet, and its descriptors

HELPER = "cli.heir"
PATIENCE = 20_000  # milliseconds for the helper, which may have to fold a long journal
AGAIN = 30.0  # seconds until what failed is tried once more, though nothing has changed


class Succession:
    """Who could go on with the container, as far as its monitor knows."""

    def __init__(self, root: str, container_id: str) -> None:
        self._root, self._id = root, container_id
        self._told: list[str] = []
        self._is_news = False
        self._seen: Any = None  # the tree as it was when we looked last
        self._failed: list[Any] = []
        self._again = 0.0

    @property
    def is_sure(self) -> bool:
        """Whether another look at once would find nothing else."""
        return self._failed != []

    def told(self, argv: Any) -> None:
        """How a command, which has just spoken to us, would have its version's helper started."""
        if isinstance(argv, list) and argv and all(isinstance(word, str) for word in argv):
            self._told, self._failed, self._is_news = argv, [], True

    def find(self) -> dict[str, Any] | None:
        """The answer of a helper (`cli.heir`); None where none can be had now, which need not be so for ever.

        A command that has just spoken to us comes from a whole program. Our own tree may be in the midst of a removal or
        an installation: it must have been the same when we looked last.
        """
        now = [vintage.stamp(), self._told]
        is_sure, self._is_news = self._is_news or self._seen == now[0], False
        self._seen = now[0]
        if not is_sure:
            return None
        if self._failed == now and time.monotonic() < self._again:
            return None
        own = interpreter.command(HELPER)
        for argv in [self._told, own] if self._told not in ([], own) else [own]:
            answer = self._ask(argv)
            if answer is not None:
                return answer
        self._failed, self._again = now, time.monotonic() + AGAIN
        return None

    def _ask(self, argv: list[str]) -> dict[str, Any] | None:
        ours, theirs = handover.pair()
        try:
            pid = interpreter.spawn(HELPER, [theirs.fileno()], self._root, self._id, argv=argv)
        except OSError:
            ours.close()
            return None  # that interpreter is gone, or no process more is to be had
        finally:
            theirs.close()
        connection = Connection(ours)
        try:
            poller = select.poll()
            poller.register(connection, select.POLLIN)
            packet = connection.receive() if poller.poll(PATIENCE) else None
        finally:
            connection.close()
        if packet is None:
            os.kill(pid, syscalls.SIGKILL)  # our child, not reaped yet: the pid is its own
        os.waitpid(pid, 0)
        return packet[1] if packet is not None and packet[0] == JSON else None


def go_on(answer: dict[str, Any], lock: int, heirlooms: Iterable[Heirloom]) -> None:
    """Become what the helper told us to; returns where that failed, and nothing has changed."""
    ours, theirs = handover.pair()
    try:
        sender = Connection(ours)
        if all(sender.send(packet, fds) for packet, fds in [(answer["request"], (lock,)), *heirlooms]):
            _become(answer["argv"], theirs.fileno())
    except OSError:
        return  # that interpreter is gone since it was asked, or there is no memory
    finally:
        ours.close()
        theirs.close()


def _become(argv: list[str], socket: int) -> None:
    program = interpreter.handle(argv[0])
    # The number is taken, by a client or by the pair's other end: it was the lowest that was free.
    before = os.dup(handover.MONITOR_FD)
    os.dup2(socket, handover.MONITOR_FD)
    try:
        # No shell ever; only the kernel's own way to another program.
        os.execve(f"/proc/self/fd/{program}", argv, {"PATH": interpreter.PATH})  # noqa: S606 - see above
    finally:
        os.dup2(before, handover.MONITOR_FD, inheritable=False)
        os.close(before)
        os.close(program)


class Estate:
    """What a monitor was left by the code that it ran before; all empty for one that is new.

    listener  the control socket, -1 without one
    clients   (packet, descriptor) of each
    stdio     the packet and its descriptors
    status    how the container ended, if that is known
    home      the facts of the cgroup that the process is in, if it has left its caller's
    """

    def __init__(self, connection: Connection | None = None) -> None:
        self.listener = -1
        self.clients: list[tuple[dict[str, Any], int]] = []
        self.stdio: Heirloom | None = None
        self.status: int | None = None
        self.home: dict[str, Any] | None = None
        while connection is not None and (packet := connection.receive()) is not None and packet[0] == JSON:
            self._take(packet[1], packet[2])

    def _take(self, packet: dict[str, Any], fds: list[int]) -> None:
        match packet.get("inherit"):
            case "listener":
                self.listener = fds[0]
            case "client":
                self.clients.append((packet, fds[0]))
            case "stdio":
                self.stdio = packet, tuple(fds)
            case "ending":
                self.status = packet["status"]
            case "home":
                self.home = packet["facts"]
            case _:
                close_all(fds)  # of a newer version than ours, which can do without
