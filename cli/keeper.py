"""One container in its monitor's hands: made live, settled as somebody asked or as is due, its end noted. LEAN.

`cli.monitor` is the loop around it: what it waits for, and its clients.
"""

from __future__ import annotations

import os
import time

from cli import pipes
from cli.freezes import Freezes
from eventstore.event import Actor
from machine import decide, health, restarts
from machine.plan import plan
from machine.resources import LIVE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from cli.health import Checks
    from cli.succession import Estate, Heirloom
    from effects.control_server import Server
    from effects.linux import LinuxHost
    from effects.stdio import Stdio
    from machine.engine import Engine
    from machine.events import ContainerMonitored
    from machine.subjects import Container


class Keeper:
    """`request`: what the monitor was asked at the hand-over. All moments are CLOCK_BOOTTIME ns."""

    def __init__(
        self, engine: Engine, container: Container, host: LinuxHost, server: Server, request: dict[str, Any]
    ) -> None:
        self._engine, self._container, self._host, self._server = engine, container, host, server
        self._request = request
        self.freezes = Freezes(engine, container, server)
        self.checks = self._checks()
        self.stdio: Stdio | None = None

    def is_live(self) -> bool:
        """Whether it has a first process."""
        return self._container.status in LIVE

    def _checks(self) -> Checks | None:
        if not self._container.setting("health"):
            return None
        from cli.health import Checks

        return Checks(self._engine, self._container, self._host, self.act_as_monitor)

    def load_the_rest(self) -> None:
        """What its end and its next start take, while nothing else is to be done: by then the files may be gone."""
        import eventstore.rotation  # noqa: F401 - for later; so are the others

        if self._container.endpoints:
            import effects.conntrack  # noqa: F401 - see above
        if self._container.endpoints and self._container.setting("restart")["policy"] != "no":
            import cli.netcare  # noqa: F401 - see above

    def make_live(self, why: str, note: ContainerMonitored | None = None) -> None:
        """Settle a starting container: pipes before its first process, a terminal's master after it."""
        if not self._container.setting("tty"):
            self.open_stdio()
        self._engine.settle(self._container.stream, why=why, note=note)
        if self._container.setting("tty") and self.is_live():
            self.open_stdio()
        if self._container.status == "restarting":  # it could not be started, and is tried again
            self._close_stdio()
        elif self.stdio is not None:
            self.stdio.started()

    def _close_stdio(self) -> None:
        """Its next run has its own."""
        if self.stdio is not None:
            self.stdio.close()
            self.stdio = None

    def open_stdio(self, *, adopted: bool = False, left: Heirloom | None = None) -> None:
        """`adopted`: of a container that outlived its last monitor; `left`: by the code that we ran before."""
        directory = self._engine.places.container(self._container.id)
        self.stdio = pipes.open_stdio(self._host, self._container, directory, adopted=adopted, left=left)
        if self.stdio is not None:
            self.stdio.server = self._server

    def go_on(self, estate: Estate, why: str, note: ContainerMonitored) -> None:
        """Watch a container that we watched before, with other code: its parent still."""
        container, who = self._container, self._container.process_identity
        if self.is_live():
            self.open_stdio(adopted=True, left=estate.stdio)
        for packet, fd in estate.clients:
            client = self._server.inherit(packet, fd)
            if packet["freezes"]:
                self.freezes.inherit(client)
        lives = who is None or self._host.recall(container.id, who, estate.status)
        if lives:
            self._engine.observe(container.stream, why=why)
        self._engine.settle(container.stream, why=why, note=note)
        if not lives and self.is_live():
            self.note_exit()
        self.load_the_rest()

    def bequest(self) -> list[Heirloom]:
        """All that goes on with other code in this process (`go_on`)."""
        if self.checks is not None:
            self.checks.end()
        self._host.finish_removals()
        left = self._server.bequest()
        for packet, _ in left:
            if packet["inherit"] == "client":
                packet["freezes"] = self.freezes.is_held_by(packet["fd"])
        if self.stdio is not None:
            left.append(self.stdio.bequest())
        status = self._host.reap(self._container.id)
        if status is not None:
            left.append(({"inherit": "ending", "status": status}, ()))
        return left

    def settle_as_asked(self, *, observe: bool) -> None:
        """Carry out what somebody has decided, in his name. `observe`: mend what was lost, in nobody's."""
        was_restarting = self._container.status == "restarting"
        self._engine.refresh()
        if observe:
            is_decided = plan(self._container, self._engine.places) is not None
            self.act_as_monitor()
            self._engine.observe(self._container.stream, why="replay")
            if not is_decided:
                self._engine.settle(self._container.stream, why="replay")
        asked = self._container.asked or self._request
        self._engine.actor = Actor({**asked["by"], "pid": os.getpid()}, asked["op"])
        if was_restarting and self.is_live():
            self.make_live(asked["why"])  # somebody would not wait for the policy
        else:
            self._engine.settle(self._container.stream, why=asked["why"])

    def act_as_monitor(self) -> None:
        """What follows nobody asked for: it was seen, or was due."""
        by = {**self._request["by"], "pid": os.getpid(), "cmd": "monitor"}
        self._engine.actor = Actor(by, os.urandom(8).hex())

    def due(self) -> int:
        """CLOCK_BOOTTIME ns of what is next to be done by itself; 0: nothing."""
        if self._container.status == "restarting":
            return self._container.restart_due or 1
        if self._container.status == "stopping":
            return self._container.stop_deadline
        return self.checks.due(still=self._is_still()) if self.checks is not None else 0

    def _is_still(self) -> bool:
        return self._container.status == "paused" or self.freezes.has_any()

    def do_what_is_due(self) -> None:
        """Probe its health, start it again, end a stop that took too long; nothing, where nothing is due yet."""
        if self.checks is not None:
            self.checks.tick(uptime(), still=self._is_still())
        due = self.due()
        if not due or uptime() < due or self._container.status == "running":
            return
        self.act_as_monitor()
        if self._container.status == "restarting":
            why = health.CAUSE if restarts.for_health(self._container) else restarts.POLICY
            if self._container.endpoints:
                from cli import netcare

                netcare.mend(self._engine, self._container)
            if self._engine.decide(decide.restart_now, self._container.id, uptime(), why=why):
                self.make_live(why)
        elif self._engine.decide(decide.overdue, self._container.id, uptime(), why="stop deadline"):
            self._engine.settle(self._container.stream, why="stop deadline")

    def note_exit(self) -> None:
        """The first process is gone: keep its last output, note how it ended, undo what it held."""
        self.act_as_monitor()
        if self.checks is not None:
            self.checks.end()
        status = self._host.reap(self._container.id)
        if self.stdio is not None:
            self.stdio.drain()
        self._engine.note_exit(self._container, status, why="exit", up=uptime())
        self._engine.settle(self._container.stream, why="exit")
        if self._container.status == "restarting":
            self._close_stdio()


def uptime() -> int:
    """CLOCK_BOOTTIME, in ns."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)
