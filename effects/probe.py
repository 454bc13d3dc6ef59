"""One run of a health check's command in a running container: begun, watched without waiting, killed whole. LEAN.

A joiner (`effects.joiner`) runs it, so it has the container's namespaces, rights and limits. It is born in a cgroup of
its own below the container's, which tells what it has forked from the container's other processes.
"""

from __future__ import annotations

import errno
import os

from effects import cgroup_tree, syscalls
from effects.control import CLOSED, JSON, Connection

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from effects.host import Facts, Host

LEAF = "mydocker-health"
OUTPUT = 4096  # bytes of its output that are kept, as docker does
NO_CODE = -1  # it did not end in time, or could not be begun
_CHUNK = 1 << 16
_KILLING = 1.0  # seconds for killed processes to end; what takes longer is tried again
_MOVES = 10  # rounds of moving what goes on forking


class Probe:
    """`connection` and `pid` are the joiner's, a child of ours; `config` a StageConfig without its cgroups.

    Poll `fds()` for reading and `serve` what is ready, until `over`; then `close` and take `code` and `output`.
    StepFailed or OSError where it cannot even be begun.
    """

    def __init__(
        self, host: Host, container: dict[str, Any], config: dict[str, Any], connection: Connection, pid: int
    ) -> None:
        self._host, self._connection, self._pid = host, connection, pid
        self._cgroup: Facts = container["cgroup"]
        self.code, self.over, self._failed = NO_CODE, False, ""
        self._speaks = True
        self._kept = b""
        self._pidfd = self._output = -1
        try:
            self._pidfd = os.pidfd_open(pid)
            request = {
                "identity": container["identity"],
                "id": container["id"],
                "config": {**config, **make_leaf(host, self._cgroup)},
                "leash": True,
            }
            self._send(request)
        except OSError:
            self.close()
            raise

    def _send(self, request: dict[str, Any]) -> None:
        self._output, theirs = os.pipe2(os.O_CLOEXEC)
        nothing = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        try:
            os.set_blocking(self._output, False)
            self._connection.send(request, (nothing, theirs, theirs))
        finally:
            os.close(nothing)
            os.close(theirs)

    @property
    def output(self) -> str:
        """What it said, or why it could not be run."""
        return self._failed or self._kept.decode(errors="replace")

    def fds(self) -> list[int]:
        """Descriptors to poll for reading; that it is over is told once."""
        pidfd = -1 if self.over else self._pidfd
        fds = [pidfd, self._output, self._connection.fileno() if self._speaks else -1]
        return [fd for fd in fds if fd >= 0]

    def serve(self, fd: int) -> None:
        """One of them is ready."""
        if fd == self._output:
            self._read()
        elif fd == self._pidfd:
            self._hear()
            self.over = True
        else:
            self._hear()

    def kill(self) -> None:
        """End it with all that it has forked; it is over when its joiner has seen that."""
        self._connection.shut()
        sweep(self._host, self._cgroup)

    def close(self) -> None:
        """Let go of it, once it is over or its container has ended: nothing of it is left behind."""
        self._read()
        os.kill(self._pid, syscalls.SIGKILL)  # our child, not reaped yet: the pid is its own
        os.waitid(os.P_PID, self._pid, os.WEXITED)
        self._connection.close()
        for fd in (self._pidfd, self._output):
            if fd >= 0:
                os.close(fd)
        self._pidfd = self._output = -1
        let_go(self._host, self._cgroup)

    def _read(self) -> None:
        while self._output >= 0:
            try:
                data = os.read(self._output, _CHUNK)
            except BlockingIOError:
                return
            self._kept += data[: OUTPUT - len(self._kept)]
            if not data:
                os.close(self._output)
                self._output = -1

    def _hear(self) -> None:
        while self._speaks and (packet := self._connection.receive()) is not None:
            kind, message, _descriptors = packet
            if kind == CLOSED:
                self._speaks = False
            elif kind == JSON and "exited" in message:
                self.code = message["exited"]
            elif kind == JSON and "failed" in message:
                failed = message["failed"]
                self.code, self._failed = failed["code"], f"{failed['step']}: {failed['message']}"


def sweep(host: Host, cgroup: Facts) -> None:
    """Kill what is in the cgroup of probes. What does not die is for the next time, or for the container's end."""
    leaf = _leaf(cgroup)
    try:
        if host.exists(leaf):
            host.kill_all([leaf], _KILLING)
    except OSError:
        return  # a check that cannot be ended is no reason for its monitor to die


def _leaf(cgroup: Facts) -> str:
    """Version 2's where there is one, since it kills a whole cgroup at once; else the first of version 1."""
    mount = cgroup["cgroup2"] or next(iter(cgroup["at"].values()))
    return f"{mount}/{cgroup['leaf']}/{LEAF}"


def make_leaf(host: Host, cgroup: Facts) -> dict[str, Any]:
    """The `joins` and `cgroup2` of a process that is born in the container's cgroup, and in one of its own in one
    hierarchy of them. What an earlier probe left there is moved up first.
    """
    let_go(host, cgroup)
    where, leaf = cgroup_tree.places(cgroup), _leaf(cgroup)
    host.make_dir(leaf, 0o755)
    if where["cgroup2"]:
        return {"joins": where["joins"], "cgroup2": leaf}
    above = leaf.rpartition("/")[0]
    if host.exists(f"{leaf}/cpuset.cpus"):
        cgroup_tree.inherit_cpuset(host, cgroup["at"]["cpuset"], leaf)
    joins = [f"{leaf}/tasks" if join == f"{above}/tasks" else join for join in where["joins"]]
    return {"joins": joins, "cgroup2": ""}


def let_go(host: Host, cgroup: Facts) -> None:
    """Remove the cgroup; a process that a probe left behind on purpose becomes one of the container's."""
    leaf = _leaf(cgroup)
    for _ in range(_MOVES):
        try:
            host.remove_cgroup(leaf, 0)
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
        else:
            return
        for pid in host.pids_in(leaf):
            try:
                host.write_control(f"{leaf.rpartition('/')[0]}/cgroup.procs", str(pid))
            except OSError:
                continue  # it has ended meanwhile; or the container has cgroups of its own, and it stays here
