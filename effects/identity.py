"""Which process is meant: boot id, pid and start time together, since pids are used again. LEAN."""

from __future__ import annotations

import errno
import os

from effects import syscalls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypedDict

    from effects.host import Facts

    class Identity(TypedDict):
        """`start` is field 22 of /proc/PID/stat: clock ticks after the boot `boot`."""

        pid: int
        start: int
        boot: str


# Numbers of fields, as proc_pid_stat(5) counts.
_NAME, _STATE, _FLAGS, _THREADS, _START, _EXIT_CODE = 2, 3, 9, 20, 22, 52
_DEAD = {"Z", "X", "x"}
_PF_EXITING = 0x4  # include/linux/sched.h
_GONE = {errno.ESRCH, errno.ENOENT}

_boot: list[str] = []


def boot_id() -> str:
    """The kernel's id of this boot. It cannot change under a living process, so it is read once."""
    if not _boot:
        # As bytes: a text file's codec would be looked for, at worst inside a container.
        with open("/proc/sys/kernel/random/boot_id", "rb") as file:
            _boot.append(file.read().strip().decode())
    return _boot[0]


def start_time(pid: int, proc: int | None = None) -> int | None:
    """Field 22 of /proc/PID/stat, in clock ticks; None if there is no such process.

    `proc`: a handle of the /proc to ask, for a process whose own root is elsewhere.
    """
    fields = _stat(pid, proc)
    return None if fields is None else int(fields[_START])


def identity(pid: int) -> Identity | None:
    """None if there is no such process; a zombie still has an identity, to be reaped by it."""
    start = start_time(pid)
    return None if start is None else {"pid": pid, "start": start, "boot": boot_id()}


def of(facts: Facts) -> Identity:
    """What facts that tell of a process say of its identity."""
    return {"pid": facts["pid"], "start": facts["start"], "boot": facts["boot"]}


def open_identity(identity: Identity) -> int | None:
    """A pidfd of exactly this process; None if it is gone, a zombie, or of another boot."""
    if identity["boot"] != boot_id():
        return None
    try:
        pidfd = os.pidfd_open(identity["pid"])
    except ProcessLookupError:
        return None
    # Only now: what /proc says about the pid after pidfd_open holds for the process that the pidfd holds,
    # or that process has died and the pidfd says so itself.
    fields = _stat(identity["pid"])
    if fields is None or int(fields[_START]) != identity["start"] or _is_dead(fields):
        os.close(pidfd)
        return None
    return pidfd


def alive(identity: Identity) -> bool:
    """A zombie is dead."""
    if identity["boot"] != boot_id():
        return False
    fields = _stat(identity["pid"])
    return fields is not None and int(fields[_START]) == identity["start"] and not _is_dead(fields)


def is_ending(which: Identity, proc: int) -> bool:
    """Whether it is gone, or about to go: a namespace's first process waits for all others there to be reaped before it
    is dead, while nobody can be born there any more (pid_namespaces(7)). `proc`: a handle of the host's /proc.
    """
    fields = _stat(which["pid"], proc)
    if fields is None or int(fields[_START]) != which["start"]:
        return True
    return _is_dead(fields) or (bool(int(fields[_FLAGS]) & _PF_EXITING) and int(fields[_THREADS]) <= 1)


def dying(pid: int, program: str) -> Identity | None:
    """Its identity, if it is a process of that program (by its first 15 letters) that the kernel is taking apart.

    Its memory goes first and its descriptors only then, and on a busy machine that may take a while.
    """
    fields = _stat(pid)
    if (
        fields is None
        or fields[_NAME] != program
        or _is_dead(fields)
        or not int(fields[_FLAGS]) & _PF_EXITING
    ):
        return None
    return {"pid": pid, "start": int(fields[_START]), "boot": boot_id()}


def exit_status(which: Identity | int) -> int | None:
    """How it ended, as waitpid(2) tells it (see os.waitstatus_to_exitcode), without reaping it.

    `which` is an identity, or a pidfd that was opened before the end; None while it lives, and where
    nothing remembers. Sources: field 52 of a zombie's stat, PIDFD_GET_INFO after its reaping (Linux 6.15).
    """
    if isinstance(which, int):
        status = _zombie_status(_pid_of(which), None)
        return syscalls.pidfd_exit_status(which) if status is None else status
    return _zombie_status(which["pid"], which["start"]) if which["boot"] == boot_id() else None


def _is_dead(fields: list[str]) -> bool:
    # A main thread may end before the others: it shows as a zombie, but the process lives on.
    return fields[_STATE] in _DEAD and int(fields[_THREADS]) <= 1


def _zombie_status(pid: int, start: int | None) -> int | None:
    fields = _stat(pid) if pid > 0 else None
    if fields is None or not _is_dead(fields):
        return None
    if start is not None and int(fields[_START]) != start:
        return None
    return int(fields[_EXIT_CODE])


def _pid_of(pidfd: int) -> int:
    """The pid behind a pidfd as fdinfo has it: -1 once reaped, 0 where our /proc does not show it."""
    with open(
        f"/proc/self/fdinfo/{pidfd}", "rb"
    ) as file:  # as text it takes a codec, which is 0.4 ms to load
        for line in file:
            if line.startswith(b"Pid:"):
                return int(line[4:])
    raise OSError(errno.EBADF, "not a pidfd", str(pidfd))


def _stat(pid: int, proc: int | None = None) -> list[str] | None:
    """The fields of /proc/PID/stat under their numbers of proc_pid_stat(5); None if it is gone."""
    try:
        path = f"/proc/{pid}/stat" if proc is None else f"{pid}/stat"
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC, dir_fd=proc)
    except OSError as error:
        if error.errno in _GONE:
            return None
        raise
    try:
        content = os.read(descriptor, 4096)
    except OSError as error:
        if error.errno in _GONE:
            return None
        raise
    finally:
        os.close(descriptor)
    # The name in brackets is the process's own choice: it may hold blanks and brackets.
    end = content.rindex(b")")
    name = os.fsdecode(content[content.index(b"(") + 1 : end])
    return ["", "", name, *content[end + 2 :].decode("ascii").split()]
