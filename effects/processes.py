"""The processes of a cgroup, as the host sees them: its `cgroup.procs`, and what /proc tells of each."""

from __future__ import annotations

import errno
import os
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_SECOND = 1_000_000_000
_MAX_FILE = 128 << 10  # bytes of a command line that ps(1) shows at most
_GONE = {errno.ENOENT, errno.ESRCH, errno.ENODEV}
_PID_COLUMN = "PID"
# Major numbers of Documentation/admin-guide/devices.txt; each of the eight pts majors has 256 minors.
_CONSOLES, _ALTERNATE, _FIRST_PTS, _LAST_PTS, _PER_MAJOR = 4, 5, 136, 143, 256
_FIRST_SERIAL = 64


class PsFailed(Exception):
    """The host's ps did not take the options; `told` is what it said."""

    exit_code = 125

    def __init__(self, told: str) -> None:
        self.told = told
        super().__init__(f"cannot list the processes: ps: {told}")


class Process:
    """age: ns since its start;  cpu: ns of processor time that it used;  tty: "pts/0", or "" without one."""

    __slots__ = ("age", "command", "cpu", "pid", "ppid", "tty", "uid")

    def __init__(self, *, pid: int, ppid: int, uid: int, age: int, cpu: int, tty: str, command: str) -> None:
        self.pid, self.ppid, self.uid = pid, ppid, uid
        self.age, self.cpu, self.tty, self.command = age, cpu, tty, command


def pids(directory: str) -> list[int]:
    """Of the processes in the cgroup and in all below it, ascending; none if it is gone."""
    found: set[int] = set()
    waiting = [directory]
    while waiting:
        here = waiting.pop()
        try:
            with open(f"{here}/cgroup.procs", "rb", buffering=0) as file:
                found.update(map(int, file.read().split()))
            with os.scandir(here) as entries:
                waiting += [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
        except OSError as error:
            if error.errno not in _GONE:
                raise
    return sorted(found - {0})  # 0: of a pid namespace that we do not see into


def processes(directory: str) -> list[Process]:
    """What /proc tells of each process in the cgroup and below it, by pid."""
    found = [process for pid in pids(directory) if (process := _process(pid)) is not None]
    # A pid in the cgroup before and after was in it while /proc was read, or is another process of it.
    still = set(pids(directory))
    return [process for process in found if process.pid in still]


def ps(members: Sequence[int], options: Sequence[str]) -> list[str]:
    """The lines that the host's `ps OPTIONS` prints for these processes, its heading first. PsFailed, ENOENT."""
    chosen = ",".join(map(str, members))
    failed, output = _run_ps([*options, "-q", chosen])
    if not failed:
        return output.splitlines()
    # A ps without -q, such as busybox's, or options that do not go with it: all processes, and ours of them.
    failed, output = _run_ps(options)
    if failed:
        raise PsFailed(failed)
    return _rows_of(output.splitlines(), set(members))


def _run_ps(options: Sequence[str]) -> tuple[str, str]:
    """(what it complained of, its output); the complaint is empty where it succeeded."""
    import subprocess

    # Its own variables, such as PS_FORMAT and COLUMNS, would change what it prints.
    environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8"}
    try:
        done = subprocess.run(
            ["ps", *options], capture_output=True, stdin=subprocess.DEVNULL, env=environment, check=False
        )
    except FileNotFoundError as error:
        raise FileNotFoundError(errno.ENOENT, "the host has no such program", "ps") from error
    if done.returncode:
        complaint = done.stderr.decode(errors="surrogateescape").strip().splitlines()
        return next(filter(None, complaint), f"exit code {done.returncode}").removeprefix("error: "), ""
    return "", done.stdout.decode(errors="surrogateescape")


def _rows_of(lines: list[str], members: set[int]) -> list[str]:
    headings = lines[0].split() if lines else []
    if _PID_COLUMN not in headings:
        raise PsFailed(f"its output has no column {_PID_COLUMN}")
    place, kept, ours = headings.index(_PID_COLUMN), lines[:1], False
    for line in lines[1:]:
        fields = line.split()
        pid = fields[place] if len(fields) > place else ""
        if pid != "-":  # the rows of a process's threads follow it
            ours = pid.isdecimal() and int(pid) in members
        if ours:
            kept.append(line)
    return kept


def _process(pid: int) -> Process | None:
    try:
        stat, status, line = (_read(f"/proc/{pid}/{name}") for name in ("stat", "status", "cmdline"))
    except OSError as error:
        if error.errno in _GONE:
            return None
        raise
    # The name in brackets is the process's own choice: it may hold blanks and brackets.
    name = stat[stat.index(b"(") + 1 : stat.rindex(b")")].decode(errors="surrogateescape")
    fields = stat[stat.rindex(b")") + 2 :].split()
    tick = _SECOND // os.sysconf("SC_CLK_TCK")

    def field(number: int) -> int:
        """As proc_pid_stat(5) counts them."""
        return int(fields[number - 3])

    words = line.rstrip(b"\0").replace(b"\0", b" ").decode(errors="surrogateescape")
    return Process(
        pid=pid,
        ppid=field(4),
        uid=_effective_uid(status),
        age=max(0, time.clock_gettime_ns(time.CLOCK_BOOTTIME) - field(22) * tick),
        cpu=(field(14) + field(15)) * tick,
        tty=terminal_name(field(7)),
        command=words or f"[{name}]",
    )


def terminal_name(device: int) -> str:
    """What a terminal's device number (field 7 of /proc/PID/stat) is called; "" for none, and for a strange one."""
    major, minor = device >> 8 & 0xFFF, device & 0xFF | device >> 12 & 0xFFF00
    if _FIRST_PTS <= major <= _LAST_PTS:
        return f"pts/{(major - _FIRST_PTS) * _PER_MAJOR + minor}"
    if major == _CONSOLES:
        return f"tty{minor}" if minor < _FIRST_SERIAL else f"ttyS{minor - _FIRST_SERIAL}"
    return "console" if (major, minor) == (_ALTERNATE, 1) else ""


def _effective_uid(status: bytes) -> int:
    for line in status.splitlines():
        if line.startswith(b"Uid:"):
            return int(line.split()[2])
    return 0


def _read(path: str) -> bytes:
    with open(path, "rb", buffering=0) as file:
        content = b""
        while len(content) < _MAX_FILE and (piece := file.read(_MAX_FILE - len(content))):
            content += piece
        return content
