"""Processes, as `effects.host` promises them, on the kernel. LEAN."""

from __future__ import annotations

import errno
import fcntl
import os
import select
import struct
import time

from effects import cgroup_tree, syscalls
from effects.failure import StepFailed
from effects.identity import alive, boot_id, exit_status, of, open_identity

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from effects.host import Facts
    from effects.newborn import Newborn

_TIOCSWINSZ = 0x5414  # asm-generic/ioctls.h
_PF_FORKNOEXEC = 0x40  # forked, and has not exec'ed: field 9 of /proc/PID/stat, include/linux/sched.h
_FLAGS, _START = 9 - 3, 22 - 3  # places in what follows the name


class _Held:
    """An init that this process holds. `newborn` while its gate is ours: not of an adopted one."""

    def __init__(self, container_id: str, facts: Facts, pidfd: int, newborn: Newborn | None) -> None:
        self.container_id, self.facts, self.pidfd, self.newborn = container_id, facts, pidfd, newborn

    @property
    def lives(self) -> bool:
        return not _readable(self.pidfd, 0)

    def close(self) -> None:
        if self.newborn is not None:
            self.newborn.close()  # the pidfd is its own
        else:
            os.close(self.pidfd)


class Processes:
    """The processes half of LinuxHost. It holds inits and root handles by container; `close` lets go.

    stdin          the end of a pipe that the next init reads as its standard input; -1: /dev/null
    terminal_size  (rows, columns) of the next init's terminal from its first instruction on; None: 0 x 0
    """

    def __init__(self) -> None:
        self.stdin = -1
        self.terminal_size: tuple[int, int] | None = None
        self._inits: dict[str, _Held] = {}
        self._statuses: dict[str, int] = {}
        self._roots: dict[str, int] = {}

    # --- for the monitor -----------------------------------------------------------------------------

    def pidfd(self, container_id: str) -> int | None:
        """A descriptor that becomes readable when the init ends; ours. None if none is held."""
        held = self._inits.get(container_id)
        return held.pidfd if held is not None else None

    def take_pty(self, container_id: str) -> int | None:
        """The master of the init's terminal, the caller's from now on. None without one."""
        held = self._inits.get(container_id)
        if held is None or held.newborn is None or held.newborn.terminal < 0:
            return None
        master, held.newborn.terminal = held.newborn.terminal, -1
        return master

    def reap(self, container_id: str) -> int | None:
        """How the init ended, as os.waitstatus_to_exitcode tells it; reaped, if it was our child.

        None while it lives, and where nobody can tell any more.
        """
        held = self._inits.get(container_id)
        if held is not None and not held.lives:
            self._remember(held, _ending(held.pidfd))
        return self._statuses.get(container_id)

    def recall(self, container_id: str, identity: Facts, status: int | None) -> bool:
        """For who goes on with a container as its parent: whether it lives; if not, `reap` will tell how it ended.

        `status`: as it was reaped before.
        """
        if self.is_alive(identity):
            return True
        status = self.exit_status(identity) if status is None else status
        if status is not None:
            self._statuses[container_id] = status
        return False

    def close(self) -> None:
        """Let go of everything, as the end of this process does: inits still at their gate end."""
        for held in self._inits.values():
            held.close()
        for descriptor in self._roots.values():
            os.close(descriptor)
        self._inits.clear()
        self._roots.clear()

    # --- observations --------------------------------------------------------------------------------

    def held_init(self, container_id: str) -> Facts | None:
        held = self._inits.get(container_id)
        return held.facts if held is not None and held.lives else None

    def is_alive(self, identity: Facts) -> bool:
        return alive(of(identity))

    def exit_status(self, identity: Facts) -> int | None:
        status = exit_status(of(identity))
        return None if status is None else os.waitstatus_to_exitcode(status)

    def has_execed(self, identity: Facts) -> bool:
        if not self.is_alive(identity):
            return False
        try:
            with open(f"/proc/{identity['pid']}/stat", "rb", buffering=0) as file:
                content = file.read()
        except (FileNotFoundError, ProcessLookupError):
            return False
        fields = content[content.rindex(b")") + 2 :].split()
        return int(fields[_START]) == identity["start"] and not int(fields[_FLAGS]) & _PF_FORKNOEXEC

    def oom_kills(self, cgroup: Facts) -> int:
        directory = cgroup_tree.places(cgroup)["dirs"].get("memory")
        if directory is None:
            return 0
        version2 = cgroup["at"]["memory"] == cgroup["cgroup2"]
        try:
            with open(f"{directory}/{'memory.events' if version2 else 'memory.oom_control'}", "rb") as file:
                counts = dict(line.split() for line in file)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENODEV):  # removed; removed since it was opened
                raise
            return 0
        return int(counts.get(b"oom_kill", 0))

    # --- changes -------------------------------------------------------------------------------------

    def spawn_init(self, config: Facts) -> Facts:
        # A monitor imports this early; a command that makes no init does without.
        from effects import child

        container_id = config["id"]
        self._forget(container_id)
        self._statuses.pop(container_id, None)
        # Our end of stdin by its name in /proc: the child, which closes what it inherits, opens it anew.
        stdin = f"/proc/{os.getpid()}/fd/{self.stdin}" if self.stdin >= 0 else ""
        whole: Any = {**config, "stdio": {**config["stdio"], "stdin": stdin}}
        newborn = child.spawn_init(whole)
        mounts = newborn.wait_ready()["mounts"]
        if newborn.terminal >= 0 and self.terminal_size is not None:
            fcntl.ioctl(newborn.terminal, _TIOCSWINSZ, struct.pack("4H", *self.terminal_size, 0, 0))
        facts = {"pid": newborn.pid, "start": newborn.start, "boot": boot_id(), "mounts": mounts}
        self._inits[container_id] = _Held(container_id, facts, newborn.pidfd, newborn)
        return facts

    def adopt_init(self, container_id: str, facts: Facts) -> None:
        pidfd = open_identity(of(facts))
        if pidfd is not None:
            self._forget(container_id)
            self._inits[container_id] = _Held(container_id, facts, pidfd, None)

    def open_gate(self, identity: Facts) -> None:
        held = self._find(identity)
        if held is None or held.newborn is None:
            raise StepFailed("gate", errno.ESRCH, "the container's first process is not held here", None)
        try:
            held.newborn.release()
            held.newborn.wait_exec()
        except OSError:
            del self._inits[held.container_id]
            if held.newborn.pidfd >= 0:  # it was gone before we could let it go, and is not reaped
                held.newborn.abandon()
            raise

    def signal(self, identity: Facts, signal: int) -> None:
        pidfd = open_identity(of(identity))
        if pidfd is None:
            return
        try:
            syscalls.pidfd_send_signal(pidfd, signal)
        except ProcessLookupError:
            return
        finally:
            os.close(pidfd)

    def kill(self, identity: Facts, seconds: float) -> None:
        held = self._find(identity)
        pidfd = held.pidfd if held is not None else open_identity(of(identity))
        if pidfd is None:
            return
        try:
            _kill(pidfd, identity, seconds)
            status = _ending(pidfd)
        finally:
            if held is None:
                os.close(pidfd)
        if held is not None:
            self._remember(held, status)
            self._forget(held.container_id)

    # --- root handles --------------------------------------------------------------------------------

    def held_root(self, via: str) -> str | None:
        descriptor = self._roots.get(via)
        return f"/proc/{os.getpid()}/fd/{descriptor}" if descriptor is not None else None

    def hold_root(self, via: str, identity: Facts) -> str:
        pid = identity["pid"]
        try:
            descriptor = os.open(f"/proc/{pid}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError as error:
            raise StepFailed("root link", errno.ESRCH, "the process is gone", f"/proc/{pid}") from error
        # Only after the opening: alive now, it was alive then, and the pid was its own.
        if not self.is_alive(identity):
            os.close(descriptor)
            raise StepFailed("root link", errno.ESRCH, "the process is gone", f"/proc/{pid}")
        self.drop_root(via)
        self._roots[via] = descriptor
        return f"/proc/{os.getpid()}/fd/{descriptor}"

    def drop_root(self, via: str) -> None:
        descriptor = self._roots.pop(via, None)
        if descriptor is not None:
            os.close(descriptor)

    # --- within --------------------------------------------------------------------------------------

    def _find(self, identity: Facts) -> _Held | None:
        """The held init of exactly this identity."""
        wanted = of(identity)
        return next((held for held in self._inits.values() if of(held.facts) == wanted), None)

    def _remember(self, held: _Held, status: int | None) -> None:
        if status is not None:
            self._statuses[held.container_id] = status

    def _forget(self, container_id: str) -> None:
        held = self._inits.pop(container_id, None)
        if held is not None:
            held.close()


def _kill(pidfd: int, identity: Facts, seconds: float) -> None:
    """SIGKILL, and wait until it is dead."""
    try:
        syscalls.pidfd_send_signal(pidfd, syscalls.SIGKILL)
    except ProcessLookupError:
        return
    deadline = time.monotonic() + seconds
    while not _readable(pidfd, max(0, int(1000 * (deadline - time.monotonic())))):
        if time.monotonic() >= deadline:
            message = f"it does not end {seconds:.0f} s after SIGKILL"
            raise StepFailed("kill", errno.ETIMEDOUT, message, f"/proc/{identity['pid']}")


def _ending(pidfd: int) -> int | None:
    """How the dead process ended, as os.waitstatus_to_exitcode tells it; reaped, if it was our child."""
    try:
        result = os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOHANG)
    except ChildProcessError:
        # Another's child, or reaped before: the kernel may still know.
        status = exit_status(pidfd)
        return None if status is None else os.waitstatus_to_exitcode(status)
    if result is None:
        return None
    return result.si_status if result.si_code == os.CLD_EXITED else -result.si_status


def _readable(descriptor: int, milliseconds: int) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(milliseconds))
