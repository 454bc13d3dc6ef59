"""The processes of a cgroup: all of them, those of cgroups below, never a stranger's."""

from __future__ import annotations

import os
import stat
import time
from pathlib import Path

import pytest

from effects import processes
from effects.processes import PsFailed
from tests.inmates import Inmate, inmate

SECOND = 1_000_000_000
TWO = "exec 3<&0; cat <&3 & wait"


def directory(held: Inmate) -> str:
    return str(next(iter(held.places["dirs"].values())))


def become_two(held: Inmate) -> None:
    """Its child has become cat, which alone answers."""
    held.say(b"two\n")
    held.wait_for(b"two\n")


def test_every_process_is_found_with_its_parent_and_command() -> None:
    with inmate("sh", "-c", TWO) as held:
        become_two(held)
        found = {process.command: process for process in processes.processes(directory(held))}

        assert set(found) == {f"sh -c {TWO}", "cat"}
        parent, child = found[f"sh -c {TWO}"], found["cat"]
        assert parent.pid == held.pid
        assert parent.ppid == os.getpid()
        assert child.ppid == parent.pid
        assert parent.uid == child.uid == os.geteuid()
        assert parent.tty == ""
        assert 0 <= parent.age < 60 * SECOND
        assert 0 <= parent.cpu < SECOND


def test_processes_of_cgroups_below_are_the_containers_too() -> None:
    with inmate("sh", "-c", TWO) as held:
        become_two(held)
        below = f"{directory(held)}/below"
        os.mkdir(below)
        Path(below, "cgroup.procs").write_text(str(held.pid))

        assert held.pid not in processes.pids(below + "/none")
        assert processes.pids(below) == [held.pid]
        assert len(processes.pids(directory(held))) == 2


def test_a_cgroup_that_is_gone_has_none() -> None:
    with inmate("cat") as held:
        where = directory(held)
        assert processes.pids(where) == [held.pid]

    assert processes.pids(where) == []
    assert processes.processes(where) == []


def test_a_process_that_leaves_the_cgroup_meanwhile_is_not_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its pid may be another's by then."""
    answers = [[os.getpid()], []]
    monkeypatch.setattr(processes, "pids", lambda _: answers.pop(0))

    assert processes.processes("/cgroup") == []


def test_a_name_with_brackets_does_not_shift_the_fields() -> None:
    program = "import os; open('/proc/self/comm', 'w').write(') R 1 (x'); print('named', flush=True); input()"
    with inmate("python3", "-I", "-S", "-c", program) as held:
        held.wait_for(b"named\n")
        (found,) = processes.processes(directory(held))

        assert found.ppid == os.getpid()
        assert found.age < 60 * SECOND


def test_a_process_without_a_command_line_is_called_by_its_name() -> None:
    kernel_thread = processes._process(2)

    assert kernel_thread is not None
    assert kernel_thread.command == "[kthreadd]"


def test_processor_time_is_in_nanoseconds() -> None:
    mine = processes._process(os.getpid())

    assert mine is not None
    assert abs(mine.cpu - time.process_time_ns()) < SECOND // 2


@pytest.mark.parametrize(
    ("device", "name"),
    [
        (0, ""),
        (os.makedev(136, 7), "pts/7"),
        (os.makedev(137, 1), "pts/257"),
        (os.makedev(4, 1), "tty1"),
        (os.makedev(4, 64), "ttyS0"),
        (os.makedev(5, 1), "console"),
        (os.makedev(136, 0x12345), "pts/74565"),
        (os.makedev(204, 64), ""),
    ],
)
def test_terminals_are_called_as_ps_calls_them(device: int, name: str) -> None:
    assert processes.terminal_name(device) == name


def test_the_hosts_ps_tells_of_these_processes_only() -> None:
    with inmate("sh", "-c", TWO) as held:
        become_two(held)
        members = processes.pids(directory(held))

        lines = processes.ps(members, ["-o", "pid,args"])

        assert lines[0].split() == ["PID", "COMMAND"]
        assert sorted(int(line.split()[0]) for line in lines[1:]) == members
        assert len(processes.ps(members, ["-ef"])) == 3


@pytest.fixture
def old_ps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A ps that knows no -q, as busybox's."""
    program = tmp_path / "ps"
    program.write_text(
        "#!/bin/sh\n"
        'case " $* " in *" -q "*) echo "ps: invalid option -- q" >&2; exit 1;; esac\n'
        '[ -z "$COLUMNS$PS_FORMAT" ] || exit 9\nexec /bin/ps "$@"\n'
    )
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("COLUMNS", "10")
    monkeypatch.setenv("PS_FORMAT", "pid")


@pytest.mark.usefixtures("old_ps")
def test_a_ps_without_q_is_filtered_by_its_pid_column() -> None:
    with inmate("cat") as held:
        held.say(b"cat\n")
        held.wait_for(b"cat\n")
        lines = processes.ps([held.pid], ["-e", "-o", "ppid,pid,comm"])

    assert [line.split() for line in lines] == [
        ["PPID", "PID", "COMMAND"],
        [str(os.getpid()), str(held.pid), "cat"],
    ]


def test_rows_of_threads_follow_their_process() -> None:
    lines = ["  PID   LWP CMD", "    7     - a", "    -     7 a", "    8     - b", "    -     8 b"]

    assert processes._rows_of(lines, {8}) == [lines[0], *lines[3:]]


@pytest.mark.usefixtures("old_ps")
def test_output_without_pids_is_refused_where_pids_are_needed() -> None:
    with pytest.raises(PsFailed, match="no column PID"):
        processes.ps([os.getpid()], ["-e", "-o", "comm"])


def test_what_ps_complains_of_is_told() -> None:
    with pytest.raises(PsFailed, match=r"cannot list the processes: ps: .*nonsense"):
        processes.ps([os.getpid()], ["-o", "nonsense"])


def test_a_host_without_ps_is_told_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(FileNotFoundError, match="no such program"):
        processes.ps([1], ["-e"])
