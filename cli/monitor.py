"""The monitor: one process per live container, its settler from starting to exited. LEAN.

Started by a command (`cli.early`) from the interpreter's safe handle; it imports while the command decides, and
then waits for the container, the journal's place and the container's lock. It makes what the container needs
(the same `settle` as everywhere), keeps its output, waits for its end, notes it, and undoes what it made.
"""

from __future__ import annotations

import _socket
import os
import select
import time

from cli import bootstrap, handover
from effects import control, identity
from effects.control_server import Client, Server
from effects.linux import LinuxHost
from effects.stdio import Stdio
from eventstore.cursor import Cursor
from machine import decide, projections
from machine.engine import Actor
from machine.events import ContainerMonitored
from machine.subjects import Container
from machine.world import World

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

LIVE = ("starting", "running", "paused", "stopping")
FLUSH = 5.0  # seconds that a client may take to read its last message
MILLISECOND = 1_000_000
KILLED = 137  # 128 + SIGKILL


def main() -> int:
    """Take one container over; returns when nothing of it lives any more."""
    command = _socket.socket(fileno=handover.MONITOR_FD)
    try:
        request, fds = handover.receive(command)
    except handover.NeverMind:
        return 0
    os.umask(0o077)
    return Monitor(command, request, fds[0]).run()


class Monitor:
    """`command`: the control connection of who started us. `lock`: the container's, ours from now on."""

    def __init__(self, command: _socket.socket, request: dict[str, Any], lock: int) -> None:
        self.lock = lock  # held until this process ends
        self.request = request
        world = World.load(
            {
                "containers": [request["container"]],
                "host": request["host"],
                "journal": request["journal"],
            }
        )
        self.container: Container = next(iter(world.containers.values()))
        world.only = self.stream = self.container.stream
        root, run = request["root"], request["run"]
        journal = bootstrap.open_journal(root, run, cursor=Cursor.load(request["cursor"]))
        self.host = LinuxHost()
        actor = Actor({**request["by"], "pid": os.getpid()}, request["op"])
        self.engine = bootstrap.engine(
            journal, world, bootstrap.places(root, run, journal), actor, host=self.host
        )
        self.directory = self.engine.places.container(self.container.id)
        self.server = Server(control.listen(self.directory))
        self.first = self.server.adopt(command)
        self.login = request["by"]["login"]
        self.freezers: set[int] = set()
        size = (request["attach"] or {}).get("size")
        self.host.terminal_size = (size[0], size[1]) if size else None
        self.stdio: Stdio | None = None

    def run(self) -> int:
        """From the hand-over to the end."""
        self._begin()
        while self._is_live():
            self._poll()
        self._finish()
        return 0

    def _is_live(self) -> bool:
        return self.container.status in LIVE

    # --- beginning -----------------------------------------------------------------------------------

    def _begin(self) -> None:
        why = self.request["why"]
        tty = self.container.setting("tty")
        if not tty:
            self._open_stdio()
        if self.request["observe"]:
            self.engine.observe(self.stream, why=why)
            self._end_forgotten_freeze()
        me = identity.identity(os.getpid())
        assert me is not None, "we are alive"
        self.engine.settle(self.stream, why=why, note=ContainerMonitored(**me))
        if tty and self._is_live():
            self._open_stdio()
        if self.stdio is not None:
            self.stdio.started()
        if self.container.status == "failed":
            self._tell_failure()
            return
        attach = self.request["attach"]
        if self._is_live():
            self.server.tell(self.first, {"event": "started", "pid": projections.pid(self.container)})
            if attach and self.stdio is not None:
                self.stdio.attach(self.server, self.first, attach)

    def _open_stdio(self) -> None:
        log, directory = self.container.setting("log"), self.directory
        sizes = {"max_size": log["max_size"], "keep": log["keep"]}
        if self.container.setting("tty"):
            master = self.host.take_pty(self.container.id)
            if master is None:
                return  # taken over from a dead monitor, and the terminal died with it
            self.stdio = Stdio.over_pty(f"{directory}/log", master, **sizes)
        else:
            stdin = self.container.setting("stdin") and not self.request["observe"]
            self.stdio = Stdio.over_fifos(
                f"{directory}/log", f"{directory}/stdout", f"{directory}/stderr", stdin=stdin, **sizes
            )
            self.host.stdin = self.stdio.stdin_reader
        self.stdio.server = self.server

    def _end_forgotten_freeze(self) -> None:
        """A job froze the container, and its monitor died before it could thaw."""
        cgroup = self.container.holding("cgroup")
        if cgroup is not None and cgroup.done and self.container.status != "paused":
            self.engine.effects.undo("frozen", cgroup.facts, {})

    def _tell_failure(self) -> None:
        error = self.container.error or {}
        message = {
            "event": "failed",
            "message": projections.failure_line(self.container),
            "code": projections.failure_code(error),
        }
        self.engine.decide(decide.give_up, self.container.id, why="auto-remove")
        self.engine.settle(self.stream, why="auto-remove")
        self.server.tell(self.first, message)

    # --- the loop ------------------------------------------------------------------------------------

    def _poll(self) -> None:
        poller = select.poll()
        pidfd = self.host.pidfd(self.container.id)
        if pidfd is not None:
            poller.register(pidfd, select.POLLIN)
        sources = self._sources()
        for fd in sources:
            poller.register(fd, select.POLLIN)
        room = self.stdio is None or self.stdio.stdin_room()
        for fd, events in self.server.poll_fds(stdin_room=room):
            poller.register(fd, events)
        writer = self.stdio.wants_write() if self.stdio is not None else None
        if writer is not None:
            poller.register(writer, select.POLLOUT | (select.POLLIN if writer in sources else 0))
        ready = poller.poll(self._timeout())
        for fd, events in ready:
            if fd != pidfd:
                self._serve(fd, events, sources, writer)
        if pidfd is None or any(fd == pidfd for fd, _ in ready):
            self._note_exit(pidfd)
        self._overdue()

    def _sources(self) -> list[int]:
        if self.stdio is None or self.server.held():
            return []
        return self.stdio.fds()

    def _serve(self, fd: int, events: int, sources: list[int], writer: int | None) -> None:
        stdio = self.stdio
        if stdio is not None and fd == writer and events & select.POLLOUT:
            stdio.flush_stdin()
        if stdio is not None and fd in sources:
            if events & select.POLLIN and stdio.pump(fd):
                self.server.broadcast_wake()
            return
        if fd == writer:
            return
        for client, kind, payload in self.server.ready(fd, events):
            self._hear(client, kind, payload)

    def _timeout(self) -> int | None:
        """Milliseconds until the stop deadline; None: nothing is due."""
        if self.container.status != "stopping" or not self.container.stop_deadline:
            return None
        left = self.container.stop_deadline - time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        return max(0, left // MILLISECOND + 1)

    def _overdue(self) -> None:
        now = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        if not self.container.stop_deadline or now < self.container.stop_deadline:
            return
        self._act_as_monitor()
        if self.engine.decide(decide.overdue, self.container.id, now, why="stop deadline"):
            self.engine.settle(self.stream, why="stop deadline")

    # --- clients -------------------------------------------------------------------------------------

    def _hear(self, client: Client, kind: str, payload: Any) -> None:
        if kind == control.CLOSED:
            self._thaw(client)
        elif kind == control.STDIN and self.stdio is not None:
            self.stdio.feed(payload)
        elif kind == control.END and self.stdio is not None:
            self.stdio.end_stdin()
        elif kind == control.JSON:
            self._asked(client, payload)

    def _asked(self, client: Client, message: dict[str, Any]) -> None:
        match message.get("op"):
            case "settle":
                self._settle_as_asked(observe=bool(message.get("observe")))
                self.server.tell(client, {"event": "settled", "status": self.container.status})
            case "attach" if self.stdio is not None:
                self.stdio.attach(self.server, client, message)
            case "resize" if self.stdio is not None:
                self.stdio.resize(message.get("rows", 0), message.get("cols", 0))
            case "freeze":
                self._freeze(client)
            case "wait":
                pass  # every client is told of the end
            case _:
                self.server.tell(client, {"event": "error", "message": "not understood"})

    def _settle_as_asked(self, *, observe: bool) -> None:
        """Carry out what somebody has decided, in his name."""
        self.engine.refresh()
        if observe:
            self._act_as_monitor()
            self.engine.observe(self.stream, why="replay")
        asked = self.container.asked or self.request
        self.engine.actor = Actor({**asked["by"], "pid": os.getpid()}, asked["op"])
        self.engine.settle(self.stream, why=asked["why"])

    def _act_as_monitor(self) -> None:
        """What follows nobody asked for: it was seen, or was due."""
        by: dict[str, int | str] = {
            "uid": os.getuid(),
            "login": self.login,
            "pid": os.getpid(),
            "cmd": "monitor",
        }
        self.engine.actor = Actor(by, os.urandom(8).hex())

    def _freeze(self, client: Client) -> None:
        """For as long as the client stays connected: a job reads the container's files."""
        cgroup = self.container.holding("cgroup")
        if self.container.status != "running" or cgroup is None:
            self.server.tell(client, {"event": "frozen", "already": True})
            return
        result = self.engine.effects.do("frozen", cgroup.facts)
        if isinstance(result, dict):
            self.freezers.add(client.fd)
            self.server.tell(client, {"event": "frozen"})
        else:
            self.server.tell(client, {"event": "error", "message": f"{result.step}: {result.message}"})

    def _thaw(self, client: Client) -> None:
        if client.fd not in self.freezers:
            return
        self.freezers.discard(client.fd)
        cgroup = self.container.holding("cgroup")
        if not self.freezers and self.container.status != "paused" and cgroup is not None:
            self.engine.effects.undo("frozen", cgroup.facts, {})

    # --- the end -------------------------------------------------------------------------------------

    def _note_exit(self, pidfd: int | None) -> None:
        """The first process is gone: keep its last output, note how it ended, undo what it held."""
        self._act_as_monitor()
        status = self.host.reap(self.container.id) if pidfd is not None else None
        if self.stdio is not None:
            self.stdio.drain()
        cgroup = self.container.holding("cgroup")
        oom = cgroup is not None and self.host.oom_kills(cgroup.facts) > 0
        up = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        self.engine.decide(
            decide.note_exit, self.container.id, up=up, why="exit", **decide.ending(status, oom=oom)
        )
        self.engine.settle(self.stream, why="exit")

    def _finish(self) -> None:
        """Everything is undone: say so to whoever waits, and go. The lock is free when this process is gone."""
        ends = self.stdio.ends() if self.stdio is not None else {}
        lost = self.stdio.lost() if self.stdio is not None else {}
        code = projections.exit_code(self.container)
        if self.container.exit is None and self.container.status in ("removing", "removed"):
            code = KILLED  # `rm -f`: the killing was the removal's own
        message = {"event": "exit", "code": code, "ends": ends, "lost": lost, "status": self.container.status}
        for client in list(self.server.clients.values()):
            self.server.tell(client, message)
        self.server.flush(FLUSH)
        self.server.close()
        self.engine.journal.close()
