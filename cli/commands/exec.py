"""`mydocker exec`."""

from __future__ import annotations

import os
import sys

from cli import early, handover, joining, terminal
from cli.answers import await_packet
from cli.declare import command
from cli.relay import Outcome
from cli.relay_exec import relay_pipes, relay_pty
from cli.run_options import ExecOptions, exec_options
from cli.session import Session, pass_session
from cli.shown import shown
from effects import cgroup_tree, control, process_file
from machine import decide
from machine.errors import MachineError
from machine.events import ExecStarted
from machine.subjects import Container

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

LOST = 255


class ExecFailed(MachineError):
    """The joiner's own words; 126 and 127 as docker has them."""

    def __init__(self, name: str, failed: dict[str, Any]) -> None:
        self.exit_code = failed["code"]
        path = f": {failed['path']}" if failed.get("path") else ""
        super().__init__(f"cannot exec in {name}: {failed['step']}: {failed['message']}{path}")


@command(interspersed=False)
@exec_options
@pass_session
def exec_(session: Session, options: ExecOptions) -> int:
    """Run a command in a running container."""
    if not (options.interactive or options.tty or options.detach) and _at_terminal():
        options.interactive = options.tty = True
    container = session.touch(options.container)
    exec_id = os.urandom(32).hex()
    started = ExecStarted(exec=exec_id, command=shown(options.argv), user=options.user or "", tty=options.tty)
    engine = session.engine()
    engine.decide(decide.begin_exec, container.id, started)
    code: int | None = None
    try:
        code = _join(session, container, options, exec_id)
    finally:
        # A detached session goes on; its joiner tells the monitor of its end.
        if not (options.detach and code == 0):
            engine.decide(decide.end_exec, container.id, exec_id, code)
    return code


def _at_terminal() -> bool:
    return os.isatty(sys.stdin.fileno()) and os.isatty(sys.stdout.fileno())


def _terminal_size() -> list[int] | None:
    size = terminal.size(1, 0)
    return list(size) if size else None


def _join(session: Session, container: Container, options: ExecOptions, exec_id: str) -> int:
    """Have a joiner run it, and relay; the exit code."""
    companion = early.take("effects.joiner")
    theirs, ours = _stdio(options)
    try:
        request: dict[str, Any] = {
            "identity": container.process_identity,
            "id": container.id,
            "config": _config(session, container, options),
            "size": _terminal_size() if options.tty else None,
        }
        if options.detach and (monitor := control.connect(session.directory(container))) is not None:
            request["session"] = exec_id
            theirs.append(monitor.sock.detach())
        handover.give(companion.connection, request, theirs)
    finally:
        for fd in theirs:
            os.close(fd)
    master = _await_started(companion, container.name)
    if options.detach:
        return 0
    if options.tty:
        outcome = relay_pty(master, companion.connection)
    else:
        stdin, stdout, stderr = ours
        outcome = relay_pipes(
            stdin if stdin >= 0 else None,
            stdout,
            stderr,
            companion.connection,
            signal_process=lambda number: _signal(companion.connection, number),
        )
    return _ended(container, outcome)


def _signal(connection: control.Connection, number: int) -> None:
    try:
        connection.send({"op": "signal", "signal": number})
    except (BrokenPipeError, ConnectionResetError):
        return  # it has just ended, which the relay is about to hear


def _stdio(options: ExecOptions) -> tuple[list[int], list[int]]:
    """(the joiner's 0, 1, 2; our ends of them, -1 where there is none). None at all for a terminal."""
    if options.tty and not options.detach:
        return [], []
    if options.detach:
        options.tty = False
        return [os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC) for _ in range(3)], []
    if options.interactive:
        stdin_theirs, stdin_ours = os.pipe2(os.O_CLOEXEC)
    else:
        stdin_theirs, stdin_ours = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC), -1
    stdout_ours, stdout_theirs = os.pipe2(os.O_CLOEXEC)
    stderr_ours, stderr_theirs = os.pipe2(os.O_CLOEXEC)
    return [stdin_theirs, stdout_theirs, stderr_theirs], [stdin_ours, stdout_ours, stderr_ours]


def _config(session: Session, container: Container, options: ExecOptions) -> dict[str, Any]:
    """The first process's own limits, rights and environment, with what was said here on top."""
    path = f"{session.directory(container)}/{container.process}"
    with open(path, "rb") as file:
        _argv, env = process_file.decode(file.read(), path)
    cgroup = container.cgroup
    where = cgroup_tree.places(cgroup) if cgroup is not None else {"joins": [], "cgroup2": ""}
    config = joining.stage_config(container, options.argv, {**env, **options.env})
    config |= {"tty": options.tty, "joins": where["joins"], "cgroup2": where["cgroup2"]}
    if options.workdir:
        config["cwd"] = options.workdir
    if options.user is not None:
        config["user"] = options.user
    return config


def _await_started(companion: early.Companion, name: str) -> int:
    """The terminal's master, -1 without one. Raises ExecFailed, NoAnswer."""
    while True:
        kind, message, fds = await_packet(companion.connection, f"cannot exec in {name}", companion.pid)
        if kind != control.JSON or "waiting" not in message:
            break  # else a job holds the container still: it takes as long as that does
    if kind != control.JSON:
        raise ExecFailed(name, {"code": LOST, "step": "join", "message": "the joiner has died"})
    if "failed" in message:
        raise ExecFailed(name, message["failed"])
    return fds[0] if fds else -1


def _ended(container: Container, outcome: Outcome) -> int:
    if outcome.kind == "lost":
        raise ExecFailed(container.name, {"code": LOST, "step": "exec", "message": "the joiner has died"})
    return outcome.code
