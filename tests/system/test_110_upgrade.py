"""The program is replaced while containers run: nothing of them is lost, and nobody calls that a defect."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests import waiting
from tests.networks import Net
from tests.system.conftest import Docker
from tests.upgrades import LATER_EVENT, LATER_NUMBER, Version, code_of

pytestmark = [pytest.mark.root, pytest.mark.timeout(120)]

LATER = (LATER_NUMBER, *LATER_EVENT)
# Counts until there is a file /end, which it says at its end.
COUNT = "i=0; until [ -e /end ]; do i=$((i+1)); echo $i; usleep 20000; done; echo end; exit 7"
NEWER = "the journal has schema 2, this version knows schema 1: use the newer version"
CHECK = ("--health-cmd", "true", "--health-interval", "100ms")


@pytest.fixture
def version(tmp_path: Path) -> Version:
    """The program in a place where it can be replaced."""
    version = Version(tmp_path / "program")
    version.put()
    return version


@pytest.fixture
def old(docker: Docker, version: Version, busybox_tar: Path) -> Docker:
    """An engine of today's version."""
    return _by(docker, version, busybox_tar)


def _by(docker: Docker, version: Version, busybox_tar: Path) -> Docker:
    (docker.root / "busybox.tar").write_bytes(busybox_tar.read_bytes())
    docker.program = str(version.program)
    docker.ok("run", "--rm", "busybox", "true")
    return docker


def monitor(docker: Docker, name: str) -> int:
    return int(docker.inspect(name)["State"]["MonitorPid"])


def status(docker: Docker, name: str) -> str:
    return str(docker.inspect(name)["State"]["Status"])


def no_defects(docker: Docker) -> None:
    file = docker.root / "defects.txt"
    assert not file.exists(), file.read_text()


def _follows(pid: int) -> bool:
    """Whether `logs -f` has printed what was there, and waits for more."""
    with contextlib.suppress(FileNotFoundError):  # closed since it was listed
        return any(os.readlink(fd) == "anon_inode:inotify" for fd in Path(f"/proc/{pid}/fd").iterdir())
    return False


def counted(lines: list[str]) -> None:
    """Every line that it wrote, once, to its end."""
    assert lines[-1] == "end"
    assert lines[:-1] == [str(number) for number in range(1, len(lines))]


def test_110_upgrade_a_network_of_containers_lives_through_it(
    net: Net, version: Version, busybox_tar: Path
) -> None:
    _by(net, version, busybox_tar)
    net.network("n1", "192.168.40.0/24")
    web = net.serving("web", "-net", "n1", "-p", "8080:80", *CHECK)
    net.ok("run", "-d", "--name", "again", "-net", "n1", "--restart", "always", "busybox", "cat", "/dev/zero")
    first = monitor(net, "again")

    version.put(*LATER)
    net.ok("run", "-d", "--name", "new", "-net", "n1", "busybox", "top")
    net.ok("stop", "-t", "0", "new")  # writes what the others' monitors do not know
    os.kill(int(net.inspect("again")["State"]["Pid"]), signal.SIGKILL)
    waiting.until(lambda: net.inspect("again")["State"]["RestartCount"] == 1, "its policy does not hold")

    assert monitor(net, "again") == first  # alone, it found the new version
    assert "upgrade" in net.ok("history", "again")
    assert net.lab.neighbour.ask(net.lab.HOST, 8080).startswith("web ")
    assert net("replay").returncode == 0
    assert web.pid == int(net.inspect("web")["State"]["Pid"])
    assert net.lab.neighbour.ask(net.lab.HOST, 8080).startswith("web ")
    waiting.until(lambda: net.inspect("web")["State"]["Health"]["Status"] == "healthy", "it is not probed")
    no_defects(net)


def test_110_upgrade_whoever_is_attached_stays_so_and_hears_how_it_ends(
    old: Docker, version: Version
) -> None:
    popen = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "bufsize": 0}
    count = old.popen("run", "--name", "count", "busybox", "sh", "-c", COUNT, **popen)
    typist = old.popen("run", "-i", "--name", "typist", "busybox", "cat", stdin=subprocess.PIPE, **popen)
    terminal = old.terminal("run", "-it", "--name", "shell", "busybox", "sh")
    assert count.stdout is not None
    assert typist.stdin is not None
    assert typist.stdout is not None
    terminal.expect("# ")
    typist.stdin.write(b"before\n")
    typist.stdin.flush()
    head = [count.stdout.readline().decode() for _ in range(3)]
    assert typist.stdout.readline() == b"before\n"
    pids = {name: monitor(old, name) for name in ("count", "typist", "shell")}
    old.ok("exec", "-d", "count", "sh", "-c", "until [ -e /over ]; do usleep 10000; done; exit 4")
    follower = old.popen("logs", "-f", "count", **popen)
    assert follower.stdout is not None
    assert follower.stdout.readline() == b"1\n"

    version.put(*LATER)
    assert old("replay").returncode == 0

    assert {name: monitor(old, name) for name in pids} == pids
    old.ok("exec", "count", "touch", "/over")
    waiting.until(lambda: "ended, code 4" in old.ok("history", "count"), "the end of `exec -d` is not noted")
    old.ok("exec", "count", "touch", "/end")
    rest, errors = count.communicate(timeout=20)
    counted([*map(str.strip, head), *rest.decode().split()])
    assert (count.returncode, errors) == (7, b"")
    counted(old.ok("logs", "count").split())
    said, why = (text.decode() for text in follower.communicate(timeout=20))
    assert said.split()[:2] == ["2", "3"]
    assert why == f"mydocker: {NEWER}\n"  # who only reads is of the old version yet, and says so
    assert typist.communicate(b"after\n", timeout=20) == (b"after\n", b"")
    assert typist.returncode == 0
    terminal.sendline("echo $((6*7)); exit 3")
    terminal.expect("42")
    terminal.wait()
    assert terminal.exitstatus == 3
    no_defects(old)


def test_110_upgrade_a_monitor_that_nobody_asks_tells_how_its_container_ended(
    old: Docker, version: Version
) -> None:
    old.ok("run", "-d", "--name", "count", "busybox", "sh", "-c", COUNT)
    old.ok("run", "-d", "--name", "other", "busybox", "top")
    root = f"/proc/{old.inspect('count')['State']['Pid']}/root"

    version.put(*LATER)
    old.ok("stop", "-t", "0", "other")  # from here on its monitor cannot read the journal
    Path(root, "end").touch()
    waiting.until(
        lambda: status(old, "count") == "exited", "its end is not noted", beside=old.root / "journal"
    )

    assert old.inspect("count")["State"]["ExitCode"] == 7
    counted(old.ok("logs", "count").split())
    no_defects(old)


def test_110_upgrade_to_another_place_waits_for_the_first_command_from_there(
    old: Docker, version: Version, tmp_path: Path
) -> None:
    old.ok("run", "-d", "--name", "count", *CHECK, "busybox", "sh", "-c", COUNT)
    old.ok("run", "-d", "--name", "other", "busybox", "top")
    pid, root = monitor(old, "count"), f"/proc/{old.inspect('count')['State']['Pid']}/root"
    later = Version(tmp_path / "later")
    later.put(*LATER)
    version.remove()
    old.program = str(later.program)
    old.ok("stop", "-t", "0", "other")
    Path(root, "end").touch()
    waiting.ended(int(old.inspect("count")["State"]["Pid"]))

    assert "exited" in old.ok("ps", "-a")  # nobody could tell how, yet
    assert old("replay").returncode == 0

    assert old.inspect("count")["State"]["ExitCode"] == 7
    assert monitor(old, "other") != pid
    counted(old.ok("logs", "count").split())
    no_defects(old)


def test_110_upgrade_that_is_broken_leaves_the_monitors_as_they_are(old: Docker, version: Version) -> None:
    old.ok("run", "-d", "--name", "count", "busybox", "sh", "-c", COUNT)
    pid = monitor(old, "count")

    version.put(*LATER, ("cli/monitor.py", "def main() -> int:", "def main( -> int:"))
    line = old.fails("replay", code=125)

    assert f"process {pid} is of another version" in line
    assert code_of(pid) == str(version.place)
    version.put(*LATER)
    assert old("replay").returncode == 0
    old.ok("exec", "count", "touch", "/end")
    assert old.ok("wait", "count") == "7\n"
    counted(old.ok("logs", "count").split())
    assert "SyntaxError" in (old.root / "defects.txt").read_text()  # whose defect it is


def test_110_upgrade_that_is_broken_lets_the_monitor_of_what_has_ended_rest_between_its_tries(
    old: Docker, version: Version, tmp_path: Path
) -> None:
    tries = tmp_path / "tries"
    note = f'        with open("{tries}", "a") as file:\n            print(uptime(), file=file)\n'
    version.put(
        (
            "cli/keeper.py",
            "        self._engine.note_exit(",
            f"{note}        import cli.more\n{{0}}",
        )
    )
    (
        version.place / "cli" / "more.py"
    ).touch()  # which it loads when its container has ended, for the first time
    old.ok("run", "-d", "--name", "a", "busybox", "top")
    version.put(*LATER, ("cli/monitor.py", "def main() -> int:", "def main( -> int:"))

    os.kill(int(old.inspect("a")["State"]["Pid"]), signal.SIGKILL)
    waiting.until(
        lambda: tries.exists() and len(tries.read_text().split()) > 3, "it does not try", beside=tmp_path
    )
    first, *_, last = map(int, tries.read_text().split()[:4])
    assert last - first > 2e9  # ns for three more

    version.put(*LATER)
    old.ok("replay")
    waiting.until(lambda: status(old, "a") == "exited", "it stays as it is", beside=old.root / "journal")
    assert old.inspect("a")["State"]["ExitCode"] == 137


def test_110_upgrade_a_monitor_that_dies_of_being_asked_has_a_successor_at_once(
    old: Docker, version: Version
) -> None:
    version.put(
        ("cli/monitor.py", '        self.succession.told(message.get("code"))\n', "        os._exit(1)\n")
    )
    old.ok("run", "-d", "--name", "count", "busybox", "sh", "-c", COUNT)
    pid = monitor(old, "count")

    version.put()
    told = old("replay")

    assert (told.returncode, told.stderr) == (0, "")  # in one go
    assert "watched by process" in told.stdout
    assert monitor(old, "count") != pid
    old.ok("exec", "count", "touch", "/end")
    waiting.until(lambda: status(old, "count") == "exited", "nobody watches it", beside=old.root / "journal")
    counted(old.ok("logs", "count").split())


def test_110_upgrade_a_downgrade_is_refused_and_touches_nothing(old: Docker, version: Version) -> None:
    version.put(*LATER)
    old.ok("run", "-d", "--name", "a", "busybox", "top")
    pid, before = monitor(old, "a"), old.events()

    version.put()
    for command in (["ps"], ["stop", "a"], ["run", "--rm", "busybox", "true"], ["replay"], ["rm", "-f", "a"]):
        assert NEWER in old.fails(*command, code=125)

    assert old.events() == before
    version.put(*LATER)
    assert monitor(old, "a") == pid
    assert status(old, "a") == "running"
    no_defects(old)


def test_110_upgrade_replay_looks_again_and_leaves_nobody_unwatched(
    old: Docker, version: Version, tmp_path: Path
) -> None:
    old.ok("run", "-d", "--name", "count", "busybox", "sh", "-c", COUNT)
    old.kill(monitor(old, "count"))
    once = f'        if not os.path.exists("{tmp_path}/once"):\n            os.mkdir("{tmp_path}/once")\n            os._exit(1)\n'

    version.put(("cli/monitor.py", "        me = identity.identity(os.getpid())\n", f"{once}{{0}}"))
    told = old("replay")

    assert (told.returncode, told.stderr) == (
        0,
        "mydocker: count: its monitor died at once: trying once more\n",
    )
    old.ok("exec", "count", "touch", "/end")
    waiting.until(lambda: status(old, "count") == "exited", "nobody watches it", beside=old.root / "journal")


def test_110_upgrade_commands_whose_program_is_removed_come_to_their_end(
    old: Docker, version: Version, tmp_path: Path
) -> None:
    later = Version(tmp_path / "later")
    later.put()
    begun = "echo begun; until [ -e /end ]; do usleep 10000; done; exit"
    commands = {
        ("run", "--name", "a", "busybox", "sh", "-c", f"trap 'exit 9' INT; {begun} 7"): 9,
        ("run", "--rm", "--name", "b", "busybox", "sh", "-c", f"{begun} 8"): 8,
        ("exec", "b", "sh", "-c", "echo begun; until [ -e /over ]; do usleep 10000; done; exit 5"): 5,
        ("logs", "-f", "b"): 0,
    }
    popen = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "bufsize": 0}
    started = {}
    for command in commands:
        process = started[command] = old.popen(*command, **popen)
        assert process.stdout is not None
        assert process.stdout.readline() == b"begun\n"

    pid = started[list(commands)[3]].pid
    waiting.until(lambda: _follows(pid), "logs does not wait for more")

    version.remove()
    old.program = str(later.program)
    next(iter(started.values())).send_signal(signal.SIGINT)
    root = f"/proc/{old.inspect('b')['State']['Pid']}/root"
    Path(root, "over").touch()
    started[list(commands)[2]].wait(20)
    Path(root, "end").touch()

    ended = {
        command: (*process.communicate(timeout=20), process.returncode)
        for command, process in started.items()
    }
    assert ended == {command: (b"", b"", code) for command, code in commands.items()}
    no_defects(old)
