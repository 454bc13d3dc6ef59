"""Cgroups, as `effects.host` promises them, on the kernel. LEAN."""

from __future__ import annotations

import errno
import os
import select
import time

from effects import syscalls
from effects.failure import StepFailed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from effects.host import Hierarchy

# Every controller version 1 ever had (kernel/cgroup, include/linux/cgroup_subsys.h): the other words
# among a mount's super options are options.
_CONTROLLERS_V1 = {
    *("blkio", "cpu", "cpuacct", "cpuset", "debug", "devices", "freezer", "hugetlb", "memory", "misc"),
    *("net_cls", "net_prio", "perf_event", "pids", "rdma"),
}
_BATCH = 256  # pidfds open at once
_GONE = {errno.ENOENT, errno.ENODEV}  # ENODEV: removed between open and read


class Cgroups:
    """The cgroups half of LinuxHost; holds no state."""

    def hierarchies(self) -> list[Hierarchy]:
        with open("/proc/self/mountinfo", "rb", buffering=0) as file:
            return parse_mountinfo(file.read())

    def pids_in(self, directory: str) -> list[int]:
        try:
            with open(f"{directory}/cgroup.procs", "rb", buffering=0) as file:
                return [int(pid) for pid in file.read().split()]
        except OSError as error:
            if error.errno in _GONE:
                return []
            raise

    def write_control(self, path: str, value: str) -> None:
        descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(descriptor, value.encode() or b"\n")
        except OSError as error:
            raise OSError(error.errno, error.strerror, path) from error
        finally:
            os.close(descriptor)

    def limit_devices(self, directory: str, rules: Sequence[str]) -> None:
        from effects.devices_bpf import attach

        attach(directory, rules)

    def kill_all(self, directories: Sequence[str], seconds: float) -> None:
        deadline = time.monotonic() + seconds
        trees = [tree for directory in directories for tree in _tree(directory)]
        for directory in directories:
            _kill_whole(directory)
        while pids := self._pids(trees):
            if time.monotonic() > deadline:
                raise _timeout("kill", f"{len(pids)} processes do not end: {pids[:5]}", directories[0])
            self._kill_some(pids[:_BATCH], trees)

    def remove_cgroup(self, directory: str, seconds: float) -> None:
        deadline, pause = time.monotonic() + seconds, 0.0002
        while True:
            try:
                os.rmdir(directory)
            except OSError as error:
                if error.errno in _GONE:
                    return
                if error.errno != errno.EBUSY or time.monotonic() > deadline:
                    raise
            else:
                return
            time.sleep(pause)
            pause = min(2 * pause, 0.02)

    def wait_control(self, path: str, line: str, seconds: float) -> None:
        deadline, pause = time.monotonic() + seconds, 1
        wanted = line.encode()
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            # Version 2's cgroup.events wakes its pollers (POLLPRI); version 1's freezer.state does not.
            poll = select.poll()
            poll.register(descriptor, select.POLLPRI)
            while wanted not in (content := os.pread(descriptor, 4096, 0)).split(b"\n"):
                if time.monotonic() > deadline:
                    raise _timeout("wait", f"it is not {line!r} but {content.decode().strip()!r}", path)
                poll.poll(pause)
                pause = min(2 * pause, 16)
        except OSError as error:
            if error.errno != errno.ENODEV:
                raise
            raise FileNotFoundError(errno.ENOENT, "removed meanwhile", path) from error
        finally:
            os.close(descriptor)

    def _pids(self, directories: list[str]) -> list[int]:
        return sorted({pid for directory in directories for pid in self.pids_in(directory)})

    def _kill_some(self, pids: list[int], directories: list[str]) -> None:
        """Signal them, and wait a little for the first to end."""
        pidfds: dict[int, int] = {}
        poll = select.poll()
        try:
            for pid in filter(None, pids):  # 0: of a pid namespace that we do not see into
                try:
                    pidfds[pid] = os.pidfd_open(pid)
                except ProcessLookupError:
                    continue
                poll.register(pidfds[pid], select.POLLIN)
            # What is in the cgroup now was in it under the pidfd, or its pidfd is of the dead: a pid that
            # was used again for a stranger is never hit.
            for pid in set(self._pids(directories)) & set(pidfds):
                try:
                    syscalls.pidfd_send_signal(pidfds[pid], syscalls.SIGKILL)
                except ProcessLookupError:
                    continue
            poll.poll(20)
        finally:
            for pidfd in pidfds.values():
                os.close(pidfd)


def parse_mountinfo(content: bytes) -> list[Hierarchy]:
    """The cgroup hierarchies of a mountinfo file (proc_pid_mountinfo(5)), each once, in their order."""
    found: dict[bytes, Hierarchy] = {}
    whole: set[bytes] = set()
    for line in content.splitlines():
        before, separator, after = line.partition(b" - cgroup")
        if not separator:
            continue
        device, root, mount = before.split()[2:5]
        # Of several mounts of one hierarchy: the first that shows all of it, else the first.
        if device in whole or (device in found and root != b"/"):
            continue
        if root == b"/":
            whole.add(device)
        found[device] = _hierarchy(_unescaped(mount), after)
    return list(found.values())


def _hierarchy(mount: str, after: bytes) -> Hierarchy:
    """`after`: what follows " - cgroup" in a line of mountinfo: "2 " for version 2, source, super options."""
    if after.startswith(b"2 "):
        return {"path": mount, "controllers": [], "version": 2}
    options = after.split()[-1].decode().split(",")
    names = [word for word in options if word in _CONTROLLERS_V1 or word.startswith("name=")]
    return {"path": mount, "controllers": names, "version": 1}


def _unescaped(field: bytes) -> str:
    """Undo what mountinfo does to blank, tab, newline and backslash of a path: three octal digits."""
    first, *rest = field.split(b"\\")
    return os.fsdecode(first + b"".join(bytes([int(part[:3], 8)]) + part[3:] for part in rest))


def _tree(directory: str) -> list[str]:
    """A cgroup and those below it; none if it is gone."""
    try:
        with os.scandir(directory) as entries:
            below = [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
    except FileNotFoundError:
        return []
    return [directory, *(path for child in below for path in _tree(child))]


def _kill_whole(directory: str) -> None:
    """Version 2 kills a whole tree at once, forks in flight included (cgroup.kill, Linux 5.14)."""
    try:
        descriptor = os.open(f"{directory}/cgroup.kill", os.O_WRONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        os.write(descriptor, b"1")
    except OSError as error:
        if error.errno not in _GONE:
            raise
    finally:
        os.close(descriptor)


def _timeout(step: str, message: str, path: str) -> StepFailed:
    return StepFailed(step, errno.ETIMEDOUT, message, path)
