"""A further process in a running container: `exec`. A program of its own, started from the interpreter's handle. LEAN.

On its control socket (descriptor 3, packets as `effects.control` has them) it reads one request:

    {"identity": {pid, start, boot} of the container's first process, "id": container id,
     "config": StageConfig, "size": [rows, columns] of its tty where known, "leash": true to end with the command,
     "session": id, where the monitor is to be told of its end}
    and, without a tty, three descriptors: stdin, stdout, stderr; with a session, a connection to the monitor behind them

and answers {"waiting": true} every ten seconds while a frozen container keeps it waiting; {"started": {pid, start,
boot}}, with a tty with the pty's master; then {"exited": exit code, "signal": number or 0}; or {"failed": {step, errno,
message, path, code}}, `code` being what the command ends with. Meanwhile {"op": "signal", "signal": number} is passed on.
When the command closes its end before the request, nothing has been; later, a session on a terminal is hung up, one on a
leash is killed, and another goes on without it. It ends with the container.
"""

from __future__ import annotations

import _socket
import errno
import os
import select
import struct
import sys

from effects import cgroup_entry, heritage, identity, last_stage, newborn, syscalls, terminal
from effects.control import JSON, Connection, pack
from effects.failure import StepFailed
from effects.newborn import refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

    from effects.identity import Identity
    from effects.init_config import StageConfig
    from effects.newborn import Newborn, Report

CONTROL = 3
_FDS = 3
# All but the cgroup namespace: with it the kernel might refuse to clone into the cgroup (nsdelegate).
_JOINED = (
    syscalls.CLONE_NEWNS
    | syscalls.CLONE_NEWPID
    | syscalls.CLONE_NEWUTS
    | syscalls.CLONE_NEWIPC
    | syscalls.CLONE_NEWNET
)
_PATIENCE = 10_000  # milliseconds
_NOT_RUNNING = "the container is not running"


def main() -> int:
    control = _socket.socket(fileno=CONTROL)
    request, stdio = _receive(control)
    if request is None:
        return 0
    proc = os.open("/proc", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)  # the host's, wherever we go
    # An import from here on would look into the container, or fail because of it.
    sys.path.clear()
    sys.meta_path.clear()
    try:
        monitor = _socket.socket(fileno=stdio.pop()) if "session" in request else None
        session = Session(request, stdio, proc)
        born = session.start(control)
        if born is not None:
            if monitor is not None:
                _answer(monitor, {"op": "exec", "exec": request["session"]})
            code = _stay(control, born, leash=bool(request.get("leash")))
            if monitor is not None:
                _answer(monitor, {"op": "exec_ended", "code": code})
    except Exception as error:  # noqa: BLE001 - a traceback would be read from the container's files
        failed = refused("join", error)
        if identity.is_ending(request["identity"], proc):
            # Then the kernel says whatever lay in the way first: no memory, no process, a child that was killed.
            failed = StepFailed("join", errno.ESRCH, _NOT_RUNNING)
        _answer(control, {"failed": _failure(failed)})
    return 0


class Session:
    """The way into the container. What it needs of the host is opened before it goes in; `proc`: the host's /proc."""

    def __init__(self, request: dict[str, Any], stdio: list[int], proc: int) -> None:
        who: Identity = request["identity"]
        config: StageConfig = request["config"]
        self._config, self._stdio, self._id, self._size = config, stdio, request["id"], request.get("size")
        pidfd = identity.open_identity(who)
        if pidfd is None:
            raise StepFailed("join", errno.ESRCH, _NOT_RUNNING)
        self._pidfd, self._proc = pidfd, proc
        if not config["tty"] and len(stdio) != _FDS:
            raise StepFailed("join", errno.EINVAL, f"{len(stdio)} of 3 descriptors came with the request")
        self._joins = cgroup_entry.open_joins(config["joins"])
        self._cgroup = cgroup_entry.open_cgroup(config["cgroup2"])
        heritage.reset_oom_score()
        heritage.copy_limits(who["pid"])
        # No process of the container may look into this one, or its child before the exec (CVE-2016-9962).
        syscalls.prctl(syscalls.PR_SET_DUMPABLE, 0)
        # One call for all, so that it is all or none. The pidfd still is the process that was asked for.
        syscalls.setns(pidfd, _JOINED)

    def start(self, control: _socket.socket) -> Newborn | None:
        """The process, its program running and the command told; None if the command gave up first."""
        keep = {self._pidfd, *self._joins, *self._stdio}
        born = newborn.bear(self._live, cgroup=self._cgroup, keep=keep, proc=self._proc)
        for descriptor in (*self._joins, *self._stdio):
            os.close(descriptor)
        if not _comes(born, control):
            # Not waited for: in a frozen container it dies when that is thawed.
            syscalls.pidfd_send_signal(born.pidfd, syscalls.SIGKILL)
            return None
        born.wait_ready()
        if self._size and born.terminal >= 0:
            terminal.resize(born.terminal, *self._size)
        born.release()
        born.wait_exec()
        started = {"pid": born.pid, "start": born.start, "boot": identity.boot_id()}
        _answer(control, {"started": started}, born.terminal)
        if born.terminal >= 0:
            # The command's is the only one: when it dies, the kernel hangs the terminal up.
            os.close(born.terminal)
            born.terminal = -1
        return born

    def _live(self, report: Report) -> NoReturn:
        """In the container, as a child of this program."""
        os.setsid()
        cgroup_entry.join(self._joins)
        # After the joining, and by the child itself: only where it is does that namespace make sense.
        syscalls.setns(self._pidfd, syscalls.CLONE_NEWCGROUP)
        os.close(self._pidfd)
        heritage.leave_keyring(self._id)
        master = -1
        if self._config["tty"]:
            master, slave = terminal.open_pair("/dev/ptmx")
            terminal.take(slave)
        else:
            _take(self._stdio)
        report.ready({}, master)
        if master >= 0:
            os.close(master)
        report.wait_gate()
        last_stage.run(self._config, report)


def _comes(born: Newborn, control: _socket.socket) -> bool:
    """Wait for its first word; False if the command is gone before. A frozen container's comes late, and we say so."""
    poll = select.poll()
    poll.register(born, select.POLLIN)
    poll.register(control, 0)  # only its end
    while not (ready := poll.poll(_PATIENCE)):
        _answer(control, {"waiting": True})
    return born.fileno() in [descriptor for descriptor, _events in ready]


def _stay(control: _socket.socket, born: Newborn, *, leash: bool) -> int:
    """Until the session's end, to reap it and to tell how it ended: its code. On a leash it ends with the command."""
    poll = select.poll()
    poll.register(born.pidfd, select.POLLIN)
    poll.register(control, select.POLLIN)
    while born.pidfd not in [descriptor for descriptor, _events in poll.poll()]:
        if not _obey(control, born):
            poll.unregister(control)
            control.close()
            if leash:
                _signal(born, syscalls.SIGKILL)
    result = os.waitid(os.P_PIDFD, born.pidfd, os.WEXITED)
    assert result is not None
    signal = 0 if result.si_code == os.CLD_EXITED else result.si_status
    code = 128 + signal if signal else result.si_status
    if control.fileno() >= 0:
        _answer(control, {"exited": code, "signal": signal})
    return code


def _obey(control: _socket.socket, born: Newborn) -> bool:
    """Do what one packet of the command's says; False once the command is gone."""
    message, _descriptors = _receive(control)
    if message is None:
        return False
    if message.get("op") == "signal":
        _signal(born, message["signal"])
    return True


def _signal(born: Newborn, number: int) -> None:
    try:
        syscalls.pidfd_send_signal(born.pidfd, number)
    except ProcessLookupError:
        return


def _take(stdio: list[int]) -> None:
    """As 0, 1 and 2, which none of them is: those came open with this program."""
    for number, descriptor in enumerate(stdio):
        os.dup2(descriptor, number, inheritable=True)
    for descriptor in stdio:
        os.close(descriptor)


def _receive(control: _socket.socket) -> tuple[dict[str, Any] | None, list[int]]:
    """One packet and the descriptors with it; None when the command is gone."""
    packet = Connection(control).receive(wait=True)
    if packet is None or packet[0] != JSON:
        return None, []
    return packet[1], packet[2]


def _answer(control: _socket.socket, message: dict[str, Any], descriptor: int = -1) -> None:
    rights = (
        [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, struct.pack("i", descriptor))] if descriptor >= 0 else []
    )
    try:
        control.sendmsg([pack(message)], rights, _socket.MSG_NOSIGNAL)
    except (BrokenPipeError, ConnectionResetError):
        return  # nobody to tell


def _failure(error: StepFailed) -> dict[str, Any]:
    code = last_stage.exit_code(error.step, error.errno or 0)
    return {
        "step": error.step,
        "errno": error.errno,
        "message": error.strerror,
        "path": error.filename,
        "code": code,
    }
