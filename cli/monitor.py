"""The monitor: one process per live container, its settler from starting to exited. LEAN.

Started by a command (`cli.early`) from the interpreter's safe handle; it imports while the command decides, and
then waits for the container, the journal's place and the container's lock. It makes what the container needs
(the same `settle` as everywhere), keeps its output, waits for its end, notes it, undoes what it made, and
starts it again where its restart policy says so. Here is the loop, with its clients; what it does to the
container is in `cli.keeper`.
"""

from __future__ import annotations

import _socket
import os
import select

import effects.child
import effects.handler
import effects.host
import effects.linux_network
import effects.net_links
import effects.net_rules
import effects.registry  # noqa: F401 - loaded while the command decides, not when it has
from cli import bootstrap, handover, succession
from cli.execs import Execs
from cli.given import Given
from cli.keeper import Keeper, uptime
from cli.succession import Estate, Succession
from effects import cgroup_tree, control, defects, failpoints, identity, vintage
from effects.control_server import Client, Server
from effects.linux import LinuxHost
from effects.vintage import Outdated
from eventstore.errors import AheadOfJournal, LockTimeout, NewerSchema, UnknownFormat, WriteFailed
from machine import decide, projections
from machine.events import ContainerMonitored
from machine.resources import WATCHED
from machine.subjects import Container

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

FLUSH = 5.0  # seconds that a client may take to read its last message
RETRY = 1_000_000_000  # ns until a journal that took no event is tried again: its disk may have room by then
LATER = 30 * RETRY  # the same, where it is another version's, and nobody told us where that is
QUIET = 250  # milliseconds in which nothing was to be done
MILLISECOND = 1_000_000
KILLED = 137  # 128 + SIGKILL
OF_ANOTHER = "of another version of mydocker, and cannot go on as this one"
OVERTAKEN = (Outdated, NewerSchema, UnknownFormat)  # by another version of the program: no defect of ours


def main() -> int:
    """Take one container over; returns when nothing of it lives any more."""
    vintage.watch()
    command = _socket.socket(fileno=handover.MONITOR_FD)
    try:
        request, fds = handover.receive(command, _look)
    except handover.NeverMind:
        return 0
    os.umask(0o077)
    try:
        return Monitor(command, request, fds[0]).run()
    except OVERTAKEN:
        return 1  # before it had begun: left to the next command, which is of that version
    except Exception:
        # Its stderr is nobody's. The container is left to the next command, as if this process had been killed.
        defects.note(request["root"], f"monitor of container {request['container']['id']}")
        raise


def _look(rows: list[Any], answer: int) -> None:
    """For a container that will be on networks of ours: what these take is loaded then, before it is needed."""
    from cli import lookout

    lookout.look(bootstrap.kernel(LinuxHost()), rows, answer)
    import machine.plan_network  # noqa: F401


class Monitor:
    """`command`: the control connection of who started us. `lock`: the container's, ours from now on."""

    def __init__(self, command: _socket.socket, request: dict[str, Any], lock: int) -> None:
        self.lock = lock  # held until this process ends
        self.request = request
        failpoints.arm("monitor", request["failpoint"])
        self.given = Given(request)
        self.stream = self.given.stream
        # CLOCK_BOOTTIME ns when the journal, which took no event, is tried again; 0: it takes them.
        self.retry_at = 0
        journal, world = self.given.read()
        self.container: Container = next(iter(world.containers.values()))
        self.host = LinuxHost()
        where = bootstrap.places(request["root"], journal, world)
        self.engine = bootstrap.engine(journal, world, where, self.given.actor, bootstrap.kernel(self.host))
        directory = where.container(self.container.id)
        self.estate = Estate(control.Connection(command) if request.get("heir") else None)
        self.server = Server(control.listen(directory, self.estate.listener))
        self.first = self.server.adopt(command)
        self.succession = Succession(request["root"], self.container.id)
        self.overtaken: Exception | None = None  # and could not go on as the version that has overtaken us
        self.exit_waits = False  # to be noted until `retry_at`, since this version could not
        self.unanswered: dict[int, tuple[Client, dict[str, Any]]] = {}  # by descriptor
        self.keeper = Keeper(self.engine, self.container, self.host, self.server, request)
        self.execs = Execs(self.engine, self.container)
        self.home = self.estate.home  # the monitors' cgroup, once we have moved there

    def run(self) -> int:
        """From the hand-over to the end."""
        self._begin()
        left = [(self.server.clients[fd], packet["asked"]) for packet, fd in self.estate.clients]
        asked = [(client, message) for client, message in left if message is not None]
        while self.retry_at or self.container.status in WATCHED:
            try:
                if asked:
                    self._asked(*asked.pop())
                elif self.retry_at and uptime() >= self.retry_at:
                    self._try_again()
                else:
                    self._poll()
            except OVERTAKEN as error:
                self.overtaken = error
                self._go_on()
                may_write = isinstance(error, Outdated)
                self.retry_at = uptime() + (LATER if self.succession.is_sure and not may_write else RETRY)
            except (WriteFailed, AheadOfJournal, LockTimeout):
                self.overtaken = None
                self.retry_at = uptime() + RETRY
        self._finish()
        return 0

    # --- beginning -----------------------------------------------------------------------------------

    def _begin(self) -> None:
        """Settle what we were given, and tell who gave it what became of it."""
        why, size = self.request["why"], (self.request["attach"] or {}).get("size")
        self.host.terminal_size = (size[0], size[1]) if size else None
        me = identity.identity(os.getpid())
        assert me is not None, "we are alive"
        note = ContainerMonitored(**me)
        if self.request.get("heir"):
            self.keeper.act_as_monitor()
            self.keeper.go_on(self.estate, why, note)
        elif self.request["observe"]:
            self.keeper.open_stdio(adopted=True)
            self.engine.observe(self.stream, why=why)
            self.keeper.freezes.thaw()  # a job froze it, and its monitor died before it could thaw
            self.engine.settle(self.stream, why=why, note=note)
        else:
            self.keeper.make_live(why, note)
        if self.container.status == "failed":
            self._tell_failure()
        elif self.container.status in WATCHED:
            self.server.tell(self.first, {"event": "started", "pid": projections.pid(self.container)})
            if self.request["attach"] and self.keeper.stdio is not None:
                self.keeper.stdio.attach(self.server, self.first, self.request["attach"])

    def _tell_failure(self) -> None:
        """The start failed, and everything is undone: the reason, and the code that the command ends with."""
        message = {
            "event": "failed",
            "message": projections.failure_line(self.container),
            "code": projections.failure_code(self.container.error or {}),
        }
        self.engine.decide(decide.give_up, self.container.id, why="auto-remove")
        self.engine.settle(self.stream, why="auto-remove")
        self.server.tell(self.first, message)

    def _go_on(self) -> None:
        """As the version of the program that has overtaken us, if that can be had: then this does not return.

        Else the container is kept as it is, and whoever asked for something is told.
        """
        answer = self.succession.find()
        if answer is not None:
            left = [*self.keeper.bequest(), ({"inherit": "home", "facts": self.home}, ())]
            asked = {fd: message for fd, (_, message) in self.unanswered.items()}
            for packet, _ in left:
                if packet["inherit"] == "client":
                    packet["asked"] = asked.get(packet["fd"])
            succession.go_on(answer, self.lock, left)
        for client, _ in self.unanswered.values():
            self.server.tell(client, {"event": "error", "message": f"process {os.getpid()} is {OF_ANOTHER}"})
        self.unanswered.clear()

    def _try_again(self) -> None:
        """What the journal did not take, or we could not read, some time ago."""
        try:
            self.engine.refresh()
        except AheadOfJournal:
            self.given.read_anew(self.engine, self.container)
        self.engine.settle(self.stream, why="recovery")  # what was asked for meanwhile
        self.retry_at, self.overtaken = 0, None

    # --- the loop ------------------------------------------------------------------------------------

    def _poll(self) -> None:
        """Wait for the container's end, its output, its clients, or what is due; and serve it."""
        poller = select.poll()
        # Its own tree gone, a monitor still writes to the journal; else the next try tells the exit as well.
        can_write = not self.retry_at or (isinstance(self.overtaken, Outdated) and not self.exit_waits)
        may_note = self.keeper.is_live() and can_write
        pidfd = self.host.pidfd(self.container.id) if may_note else None
        if pidfd is not None:
            poller.register(pidfd, select.POLLIN)
        stdio, checks = self.keeper.stdio, self.keeper.checks
        sources = stdio.fds() if stdio is not None and not self.server.held() else []
        for fd in sources:
            poller.register(fd, select.POLLIN)
        for fd in checks.fds() if checks is not None else ():
            poller.register(fd, select.POLLIN)
        for fd, events in self.server.poll_fds(stdin_room=stdio is None or stdio.stdin_room()):
            poller.register(fd, events)
        writer = stdio.wants_write() if stdio is not None else None
        if writer is not None:
            poller.register(writer, select.POLLOUT | (select.POLLIN if writer in sources else 0))
        ready = poller.poll(self._timeout())
        if not ready and self.home is None:
            # Out of the caller's session, which may be killed whole; only now, since the move takes 12 ms.
            self.home = cgroup_tree.enter(self.host, self.engine.places.cgroup, cgroup_tree.MONITORS)
            self.keeper.load_the_rest()
        for fd, events in ready:
            if fd != pidfd and (checks is None or not checks.serve(fd)):
                self._serve(fd, events)
        # Without a pidfd a live container's first process was gone before we could hold it.
        if may_note and (pidfd is None or any(fd == pidfd for fd, _ in ready)):
            self.exit_waits = True
            self.keeper.note_exit()
            self.exit_waits = False
        if not self.retry_at:
            self.keeper.do_what_is_due()

    def _serve(self, fd: int, events: int) -> None:
        stdio = self.keeper.stdio
        if stdio is not None and stdio.owns(fd):
            if stdio.serve(fd, events):
                self.server.broadcast_wake()
            return
        for client, kind, payload in self.server.ready(fd, events):
            self._hear(client, kind, payload)

    def _timeout(self) -> int | None:
        """Milliseconds until something is due, for poll(2); soon, while there is still a move to be made."""
        due = self.retry_at or self.keeper.due()
        left = max(0, (due - uptime()) // MILLISECOND + 1) if due else None
        if self.home is None:
            return QUIET if left is None else min(QUIET, left)
        return left

    # --- clients -------------------------------------------------------------------------------------

    def _hear(self, client: Client, kind: str, payload: Any) -> None:
        stdio = self.keeper.stdio
        if kind == control.CLOSED:
            self.unanswered.pop(client.fd, None)
            self.keeper.freezes.release(client)
            self._end_session(client, None)
        elif kind == control.STDIN and stdio is not None:
            stdio.feed(payload)
        elif kind == control.END and stdio is not None:
            stdio.end_stdin()
        elif kind == control.JSON:
            self._asked(client, payload)

    def _asked(self, client: Client, message: dict[str, Any]) -> None:
        stdio = self.keeper.stdio
        self.unanswered[client.fd] = client, message
        self.succession.told(message.get("code"))
        if message.get("op") == "settle":
            if self.overtaken is not None and not isinstance(self.overtaken, Outdated):
                raise self.overtaken  # whoever asks now may know who can read the journal
            if message.get("observe"):
                vintage.check()  # `replay` brings all that runs to the version that is installed
        match message.get("op"):
            case "settle":
                self.keeper.settle_as_asked(observe=bool(message.get("observe")))
                self.server.tell(client, {"event": "settled", "status": self.container.status})
            case "attach" if stdio is not None:
                stdio.attach(self.server, client, message)
            case "resize" if stdio is not None:
                stdio.resize(message.get("rows", 0), message.get("cols", 0))
            case "freeze":
                self.keeper.freezes.freeze(client)
            case "exec":
                self.execs.begun(client, str(message.get("exec")))
            case "exec_ended":
                self._end_session(client, message.get("code"))
            case "resize" | "wait":
                pass  # no terminal to resize; every client is told of the end
            case _:
                self.server.tell(client, {"event": "error", "message": "not understood, or not possible now"})
        self.unanswered.pop(client.fd, None)

    def _end_session(self, client: Client, code: int | None) -> None:
        if client.session:
            self.keeper.act_as_monitor()
            self.execs.ended(client, code)

    # --- the end -------------------------------------------------------------------------------------

    def _finish(self) -> None:
        """Everything is undone: say so to whoever waits, and go. The lock is free when this process is gone."""
        stdio, checks = self.keeper.stdio, self.keeper.checks
        if checks is not None:
            checks.end()
        ends = stdio.ends() if stdio is not None else {}
        lost = stdio.lost() if stdio is not None else {}
        code = projections.exit_code(self.container)
        if self.container.exit is None and self.container.status in ("removing", "removed"):
            code = KILLED  # `rm -f`: the killing was the removal's own
        message = {"event": "exit", "code": code, "ends": ends, "lost": lost, "status": self.container.status}
        for client in list(self.server.clients.values()):
            self.server.tell(client, message)
        self.server.flush(FLUSH)
        self.server.close()
        self.engine.journal.close()
        if self.home is not None:
            self.host.finish_removals()  # their threads would stay behind
            cgroup_tree.leave(self.host, self.home)
