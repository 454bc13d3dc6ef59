"""What is killed, and where: the commands, their steps, and the ways in which things go wrong afterwards.

**To add a command to the kill matrix, add one line to COMMANDS**: its name in the table, what is there before it, and
the command itself. Everything else (its steps, the claims, its rows in docs/crash-table.md) follows. What a new
kind of thing may not leave behind belongs into `tests.claims.CLAIMS`.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

from tests import waiting
from tests.machines import Machine
from tests.system.conftest import PROGRAM

ALL = bool(os.environ.get("MYDOCKER_TEST_ALL"))
SEED = os.environ.get("MYDOCKER_SEED") or str(
    random.randrange(1_000_000)
)  # MYDOCKER_SEED=N chooses the same again
SLOW = 90.0  # seconds for a command that hangs
FOREIGN = "do dns: kill"  # of no command of ours: some dnsmasq of this machine is just ending
QUIET = 0.35  # seconds without a step: the monitor waits for something

Words = tuple[str, ...]

RUN: Words = ("run", "-d", "--name", "k", "busybox", "top")
CREATE: Words = ("create", "--name", "k", "busybox", "top")
SUBNETS = ("--subnet", "10.80.0.0/24", "--ipv6", "--subnet", "fd00:80::/64")
NET: Words = ("network", "create", *SUBNETS, "n1")
NET2: Words = ("network", "create", "--subnet", "10.81.0.0/24", "n2")
ON_NET = ("--name", "k", "--network", "n1", "-p", "8080:80", "busybox", "top")
RUN_ON_NET: Words = ("run", "-d", *ON_NET)
OTHER = ("--run-dir", "../run/other")  # below the machine's own, so that it goes with that
IMPORT: Words = ("import", "busybox.tar", "copy")
# Not commands: what somebody else did to the machine.
MONITOR_DIES: Words = ("!monitor",)
STRAY: Words = ("!stray",)  # a layer that no event tells of
FLUSH: Words = ("!flush",)  # the firewall, and the bridge of n1
HOME: Words = ("!home",)  # nothing, until its monitor has left the session of its command
HALF: Words = ("!killed before write the tar", "commit", "k", "copy")


class Command:
    """A line of the matrix.

    `before`: commands that make what it works on. `monitor`: its monitor dies too, at each step: "own" is the one
    that the command starts, "before" the one of `before`. `again`: codes of the command asked once more,
    125 where it had been done already; `after`: commands that come between.
    """

    def __init__(
        self,
        name: str,
        before: tuple[Words, ...],
        words: Words,
        *,
        monitor: str = "",
        again: tuple[int, ...] = (0,),
        after: tuple[Words, ...] = (),
    ) -> None:
        self.name, self.before, self.words, self.monitor = name, before, words, monitor
        self.again, self.after = again, after

    def __repr__(self) -> str:
        return self.name


DONE = (0, 125)
COMMANDS = [
    Command("run -d", (), RUN, monitor="own", again=DONE),
    Command("run --rm", (), ("run", "--rm", "--name", "k", "busybox", "true"), monitor="own", again=DONE),
    Command("create", (), CREATE, again=DONE),
    Command("start", (CREATE,), ("start", "k"), monitor="own"),
    Command("stop", (RUN,), ("stop", "-t", "0", "k"), monitor="before"),
    Command("kill", (RUN,), ("kill", "k"), monitor="before", again=DONE),
    Command("pause", (RUN,), ("pause", "k"), monitor="before", again=DONE),
    Command("unpause", (RUN, ("pause", "k")), ("unpause", "k"), monitor="before", again=DONE),
    Command("restart", (RUN,), ("restart", "-t", "0", "k"), monitor="own"),
    Command("exec", (RUN,), ("exec", "k", "true"), after=(("start", "k"),)),
    Command("rename", (RUN,), ("rename", "k", "k2"), monitor="before", again=DONE),
    Command("update", (RUN,), ("update", "-m", "50m", "k"), monitor="before"),
    Command("rm", (CREATE,), ("rm", "k"), again=DONE),
    Command("rm -f", (RUN,), ("rm", "-f", "k"), monitor="before"),
    Command("commit", (RUN,), ("commit", "k", "copy"), monitor="before"),
    Command("commit, ended", (RUN, ("stop", "-t", "0", "k")), ("commit", "k", "copy")),
    Command("cp in", (RUN,), ("cp", "/etc/hostname", "k:/")),
    Command("cp out", (RUN,), ("cp", "k:/etc/passwd", "passwd")),
    Command("cp in, ended", (CREATE,), ("cp", "/etc/hostname", "k:/")),
    Command("export", (CREATE,), ("export", "-o", "out.tar", "k")),
    Command("import", (), IMPORT),
    Command("rmi", (IMPORT,), ("rmi", "copy"), again=DONE),
    Command("system prune -a", (RUN, IMPORT, ("stop", "-t", "0", "k"), STRAY), ("system", "prune", "-af")),
    Command("network create", (), NET, again=DONE),
    Command("network rm", (NET,), ("network", "rm", "n1"), again=DONE),
    Command(
        "network connect",
        (NET, NET2, RUN_ON_NET),
        ("network", "connect", "n2", "k"),
        monitor="before",
        again=DONE,
    ),
    Command(
        "network disconnect",
        (NET, RUN_ON_NET),
        ("network", "disconnect", "n1", "k"),
        monitor="before",
        again=DONE,
    ),
    Command(
        "network disconnect, of two",
        (NET, NET2, RUN_ON_NET, ("network", "connect", "n2", "k")),
        ("network", "disconnect", "n1", "k"),
        monitor="before",
        again=DONE,
    ),
    Command("run -d -p", (NET,), RUN_ON_NET, monitor="own", again=DONE),
    Command("start, -p", (NET, ("create", *ON_NET)), ("start", "k"), monitor="own"),
    Command(
        "start, -p, another run directory",
        (("network", *OTHER, *NET[1:]), ("create", *OTHER, *ON_NET)),
        ("start", "k"),
        monitor="own",
    ),
    Command("rm -f, -p", (NET, RUN_ON_NET, HOME), ("rm", "-f", "k"), monitor="before"),
    Command("replay, -p", (NET, RUN_ON_NET, FLUSH), ("replay",), monitor="before"),
    Command("replay, -p, alone", (NET, RUN_ON_NET, MONITOR_DIES, FLUSH), ("replay",), monitor="own"),
    Command("replay", (RUN, HALF, MONITOR_DIES, STRAY), ("replay",), monitor="own"),
]


class Point:
    """The `count`th time that `who` comes to `step`."""

    def __init__(self, who: str, step: str, count: int) -> None:
        self.who, self.step, self.count = who, step, count

    def __repr__(self) -> str:
        return f"{self.who} before {self.step} ({self.count})"

    def armed(self, action: str, file: Path) -> str:
        """The value of MYDOCKER_FAILPOINT."""
        return f"{self.who}|{action}|{self.count}|{self.step}|{file}"


def points_of(machine: Machine, command: Command, who: str) -> list[Point]:
    """All that `who` does in that command, in order: it is carried out once, and watched."""
    file = machine.root.parent / "points"
    file.unlink(missing_ok=True)
    arm = f"{who}|trace|0||{file}"
    prepare(machine, command, arm if who == "monitor" and command.monitor == "before" else "")
    before = _settled(file) if who == "monitor" else 0
    ask(machine, command.words, arm)
    _settled(file)
    seen: dict[tuple[str, str], int] = {}
    found = []
    for number, line in enumerate(file.read_text().splitlines() if file.exists() else []):
        pid, _, step = line.partition(" ")
        seen[pid, step] = seen.get((pid, step), 0) + 1
        if number >= before and step != FOREIGN:
            found.append(Point(who, step, seen[pid, step]))
    return found


def _settled(file: Path, enough: int = 1 << 30) -> int:
    """How many lines it has, once it has enough, or no more for a while."""

    def lines() -> int:
        return file.read_bytes().count(b"\n") if file.exists() else 0

    with waiting.changes(file.parent) as next_one:
        while lines() < enough and next_one(QUIET):
            pass
    return lines()


def prepare(machine: Machine, command: Command, arm: str = "") -> None:
    """Make what is there before it; `arm`: the failpoint of the monitor that a `run` of it starts."""
    for words in command.before:
        if words[0].startswith("!killed before "):
            step = words[0].removeprefix("!killed before ")
            ask(machine, words[1:], f"command|kill|1|{step}|{os.devnull}")
        elif words[0].startswith("!"):
            machine.suffer(words[0], "k")
        else:
            done = ask(machine, words, arm if words[0] == "run" else "")
            assert done.returncode == 0, f"{words} {arm}: {done.stderr}"


def ask(machine: Machine, words: Words, arm: str = "") -> subprocess.CompletedProcess[str]:
    """Type a command. It may die or fail, but in one line, and never with a traceback."""
    with machine.popen(
        *words,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=machine.seen,
        more_env={"MYDOCKER_FAILPOINT": arm} if arm else {},
    ) as process:
        out, err = process.communicate(timeout=SLOW)
    return checked(process.args, process.returncode, out, err)


def checked(words: object, code: int, out: bytes, err: bytes) -> subprocess.CompletedProcess[str]:
    """What a command said, after a look at how it said it."""
    said = err.decode(errors="replace")
    assert "Traceback" not in said, f"{words}: {said}"
    lines = [line for line in said.splitlines() if line]
    assert not code or len(lines) <= 1, f"{words} ended {code} in more than a line: {said}"
    return subprocess.CompletedProcess([PROGRAM], code, out.decode(errors="replace"), said)


def kill_at(machine: Machine, command: Command, point: Point) -> bool:
    """Carry it out, and kill `point.who` there; whether it came there."""
    file = machine.root.parent / "points"
    file.unlink(missing_ok=True)
    arm = point.armed("kill", file)
    ours = point.who == "monitor" and command.monitor == "before"
    prepare(machine, command, arm if ours else "")
    ask(machine, command.words, "" if ours else arm)
    if point.who == "monitor":
        _settled(file, enough=1)
    return file.exists()


def while_it_stands(
    machine: Machine, command: Command, point: Point, disaster: Callable[[], None]
) -> subprocess.CompletedProcess[str]:
    """Carry it out; where `point` is reached it stands still, the disaster happens, and it goes on."""
    file = machine.root.parent / "points"
    file.unlink(missing_ok=True)
    arm = point.armed("stop", file)
    ours = point.who == "monitor" and command.monitor == "before"
    prepare(machine, command, arm if ours else "")
    with machine.popen(
        *command.words,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=machine.seen,
        more_env={} if ours else {"MYDOCKER_FAILPOINT": arm},
    ) as process:
        waiting.until(
            lambda: _written(file) or process.poll() is not None,
            f"{command} neither ends nor comes to {point}",
            beside=file.parent,
            seconds=SLOW,
        )
        disaster()
        if _written(file):
            _go_on(int(file.read_text().split()[0]))
        out, err = process.communicate(timeout=SLOW)
    return checked(process.args, process.returncode, out, err)


def _written(file: Path) -> bool:
    return file.exists() and file.read_bytes().endswith(b"\n")


def until_it_stands(pid: int) -> None:
    """SIGSTOP has had its effect; of that the kernel tells a parent alone."""

    def stands() -> bool:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "Tt"

    waiting.until(stands, f"process {pid} does not stop", seconds=SLOW)


def _go_on(pid: int) -> None:
    """SIGCONT, once it has come to stand."""
    until_it_stands(pid)
    os.kill(pid, signal.SIGCONT)
