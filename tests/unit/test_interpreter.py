"""The lean interpreter: what it is started from, and what it finds and does not find there."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from effects import interpreter

pytestmark = pytest.mark.root

PROBE = """
import os, sys

def main():
    stat = os.stat("/proc/self/exe")
    fds = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            fds[name] = os.readlink("/proc/self/fd/" + name)
        except FileNotFoundError:
            pass
    import json, signal
    answer = {
        "argv": sys.argv, "env": dict(os.environ), "fds": fds, "read_only": bool(os.statvfs("/proc/self/exe").f_flag & os.ST_RDONLY),
        "exe": [stat.st_dev, stat.st_ino], "session": os.getsid(0), "pid": os.getpid(),
        "comm": open("/proc/self/comm").read().strip(), "stdlib": os.__file__, "path": sys.path,
        "flags": [sys.flags.isolated, sys.flags.no_site], "blocked": len(signal.pthread_sigmask(0, [])),
        "policy": os.sched_getscheduler(0),
        "hup": signal.getsignal(signal.SIGHUP) == signal.SIG_DFL,
    }
    if len(sys.argv) > 2 and sys.argv[2] == "again":
        from effects import interpreter
        interpreter._places = lambda: sys.path[-2:]
        os.write(4, json.dumps(answer).encode() + b"\\n")
        pid = interpreter.spawn("probe_program", [3, 4], "second", "")
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    os.write(4, json.dumps(answer).encode() + b"\\n")
    return 5
"""


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module that tells about its process, importable there as the project's packages are."""
    (tmp_path / "probe_program.py").write_text(PROBE)
    own = os.path.dirname(os.path.dirname(interpreter.__file__))
    monkeypatch.setattr(interpreter, "_places", lambda: [own, str(tmp_path)])
    return "probe_program"


def _ask(program: str, *arguments: str, **options: Any) -> tuple[list[dict[str, Any]], int]:
    reader, writer = os.pipe()
    with open("/dev/zero", "rb") as zero:
        pid = interpreter.spawn(program, [zero.fileno(), writer], *arguments, **options)
    os.close(writer)
    with open(reader, "rb") as answers:
        told = [json.loads(line) for line in answers]
    return told, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_it_runs_the_same_file_that_cannot_be_written_through(program: str) -> None:
    (told,), code = _ask(program, "first")
    stat = os.stat(os.path.realpath(sys.executable))
    assert told["exe"] == [stat.st_dev, stat.st_ino]
    assert told["read_only"]
    assert code == 5


ATTACKED = """
import os, sys
sys.path.append(sys.argv[1])
from effects import interpreter
safe = sys.argv[2] == "handle"
pid = interpreter.spawn("probe_wait", {3: 0}) if safe else os.posix_spawn(sys.executable, [sys.executable, "-c", "input()"], {})
print(pid, flush=True)
os.waitpid(pid, 0)
"""
WAITER = "import os\ndef main():\n os.read(3, 1)\n"


@pytest.mark.parametrize(("way", "expected"), [("handle", errno.EROFS), ("plain", None)])
def test_the_hosts_file_survives_a_write_through_proc_exe(
    tmp_path: Path, way: str, expected: int | None
) -> None:
    """CVE-2019-5736, on a copy of the interpreter; the plain way shows that the attack works."""
    copy = tmp_path / "python-copy"
    shutil.copy(os.path.realpath(sys.executable), copy)
    own = os.path.dirname(os.path.dirname(interpreter.__file__))
    (tmp_path / "probe_wait.py").write_text(WAITER)
    (tmp_path / "msgspec").mkdir()  # so that the modules' directory is found
    attacked = ATTACKED.replace("import os, sys", f"import os, sys\nsys.path.append({str(tmp_path)!r})", 1)
    with subprocess.Popen(
        [copy, "-I", "-S", "-c", attacked, own, way], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as victim:
        assert victim.stdout is not None
        target = os.open(f"/proc/{int(victim.stdout.readline())}/exe", os.O_PATH | os.O_CLOEXEC)
        victim.communicate(b"x\n")
    code: int | None = None
    try:
        os.close(os.open(f"/proc/self/fd/{target}", os.O_WRONLY))
    except OSError as error:
        code = error.errno
    os.close(target)
    assert code == expected


def test_it_holds_only_the_descriptors_it_was_given(program: str) -> None:
    (told,), _ = _ask(program)
    held = {number: target for number, target in told["fds"].items() if not target.startswith("/proc/")}
    assert held.keys() == {"0", "1", "2", "3", "4"}
    assert [held[number] for number in "0123"] == ["/dev/null"] * 3 + ["/dev/zero"]


def test_it_is_isolated_and_named(program: str) -> None:
    (told,), _ = _ask(program, "a", "b c", env={"EXTRA": "1"})
    assert told["argv"][1:] == ["a", "b c"]
    # LC_CTYPE is what Python itself sets in a process without a locale (PEP 538).
    assert {key: value for key, value in told["env"].items() if key != "LC_CTYPE"} == {
        "PATH": interpreter.PATH,
        "EXTRA": "1",
    }
    assert told["flags"] == [1, 1]
    assert told["comm"] == "mydocker-probe_"
    assert told["session"] == os.getsid(0)


def test_it_can_lead_a_session_of_its_own(program: str) -> None:
    (told,), _ = _ask(program, new_session=True)
    assert told["session"] == told["pid"]


def test_it_can_start_itself_again(program: str) -> None:
    (first, second), code = _ask(program, "first", "again")
    assert second["exe"] == first["exe"]
    assert second["read_only"]
    assert second["stdlib"] == first["stdlib"]
    assert code == 5


def test_signals_of_the_caller_do_not_reach_it(program: str) -> None:
    old = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    try:
        (told,), _ = _ask(program)
    finally:
        signal.signal(signal.SIGHUP, old)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    assert told["hup"]
    assert told["blocked"] == 0


@pytest.mark.parametrize(
    ("policy", "priority", "there"),
    [
        (os.SCHED_RR, 1, os.SCHED_OTHER),
        (os.SCHED_FIFO, 1, os.SCHED_OTHER),
        (os.SCHED_BATCH, 0, os.SCHED_BATCH),
    ],
)
def test_a_real_time_policy_of_the_caller_does_not_reach_it_any_other_does(
    program: str, policy: int, priority: int, there: int
) -> None:
    os.sched_setscheduler(0, policy, os.sched_param(priority))
    try:
        (told,), _ = _ask(program)
    finally:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    assert told["policy"] == there


def test_descriptors_may_swap_their_numbers(program: str) -> None:
    reader, writer = os.pipe()
    zero = os.open("/dev/zero", os.O_RDONLY)
    high = fcntl.fcntl(writer, fcntl.F_DUPFD_CLOEXEC, 50)
    higher = fcntl.fcntl(zero, fcntl.F_DUPFD_CLOEXEC, high + 1)
    pid = interpreter.spawn(program, {4: high, high: higher, higher: high})
    for descriptor in (writer, zero, high, higher):
        os.close(descriptor)
    with open(reader, "rb") as answers:
        told = json.loads(answers.readline())
    os.waitpid(pid, 0)
    assert told["fds"][str(high)] == "/dev/zero"
    assert told["fds"][str(higher)] == told["fds"]["4"]


def test_nothing_stays_open_here(program: str) -> None:
    before = sorted(os.listdir("/proc/self/fd"))
    _ask(program)
    assert sorted(os.listdir("/proc/self/fd")) == before


def test_a_missing_interpreter_path_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "")
    with pytest.raises(OSError, match="does not know its own path"):
        interpreter.argv0()
