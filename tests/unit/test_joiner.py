"""A further process in a container: where it ends up, what it may, what it tells, and when it ends."""

from __future__ import annotations

import errno
import os
import resource
import select
import signal
import socket
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from effects import devices, devices_bpf, identity, interpreter
from effects.control import pack, unpack
from effects.newborn import Newborn
from tests.births import Box, end
from tests.waiting import until

pytestmark = pytest.mark.root


def _read(descriptor: int) -> bytes:
    """Nothing at the end, as a terminal has it whose session has ended (EIO) too."""
    try:
        return os.read(descriptor, 4096)
    except OSError as error:
        if error.errno == errno.EIO:
            return b""
        raise


class Exec:
    """The command's side: a joiner started, asked, and listened to."""

    def __init__(
        self, box: Box, init: Newborn, *argv: str, size: list[int] | None = None, **changes: Any
    ) -> None:
        self.control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self.pid = interpreter.spawn("effects.joiner", [theirs.fileno()], new_session=True)
        config = {**box.config, **changes, "argv": list(argv)}
        who = {"pid": init.pid, "start": init.start, "boot": identity.boot_id()}
        self.request = {"identity": who, "id": config["id"], "config": config, "size": size}
        self.stdin = self.stdout = self.stderr = self.master = -1
        self.tty = config["tty"]

    def ask(self) -> dict[str, Any]:
        """Send the request; the first answer."""
        theirs: list[int] = []
        if not self.tty:
            pairs = [os.pipe() for _ in range(3)]
            theirs = [pairs[0][0], pairs[1][1], pairs[2][1]]
            self.stdin, self.stdout, self.stderr = pairs[0][1], pairs[1][0], pairs[2][0]
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack(f"{len(theirs)}i", *theirs))]
        self.control.sendmsg([pack(self.request)], rights if theirs else [])
        for descriptor in theirs:
            os.close(descriptor)
        return self.answer()

    def answer(self) -> dict[str, Any]:
        data, ancillary, _, _ = self.control.recvmsg(1 << 16, socket.CMSG_SPACE(4), socket.MSG_CMSG_CLOEXEC)
        for _, _, payload in ancillary:
            (self.master,) = struct.unpack("i", payload)
        return unpack(data)[1] if data else {}

    def close_stdin(self) -> None:
        os.close(self.stdin)
        self.stdin = -1

    def read(self, descriptor: int, wanted: bytes = b"\0") -> str:
        """To its end, or to `wanted`."""
        told = b""
        while wanted not in told:
            assert select.select([descriptor], [], [], 20)[0], told
            piece = _read(descriptor)
            if not piece:
                break
            told += piece
        return told.decode()

    def finish(self) -> None:
        """Hang up, and wait for the joiner's own end."""
        self.control.close()
        for descriptor in (self.stdin, self.stdout, self.stderr, self.master):
            if descriptor >= 0:
                os.close(descriptor)
        assert os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1]) == 0

    def run(self) -> tuple[int, str, str]:
        """(exit code, stdout, stderr) of a whole life without input."""
        assert self.ask().keys() == {"started"}
        self.close_stdin()
        out, err = self.read(self.stdout), self.read(self.stderr)
        ended = self.answer()
        self.finish()
        return ended["exited"], out, err


@pytest.fixture
def init(box: Box) -> Iterator[Newborn]:
    """A container that waits, for others to join."""
    born = box.start("sleep", "1000")
    yield born
    if born.pidfd >= 0:
        born.abandon()


def _diff(box: Box, init: Newborn, path: str, without: frozenset[str] = frozenset()) -> tuple[str, str]:
    """A file of /proc/PID of the first process and of one that joined, less some lines."""
    with open(f"/proc/{init.pid}/{path}") as file:
        theirs = [line for line in file if line.split(":")[0] not in without]
    code, out, err = Exec(box, init, "cat", f"/proc/self/{path}").run()
    assert (code, err) == (0, "")
    ours = [line for line in out.splitlines(keepends=True) if line.split(":")[0] not in without]
    return "".join(theirs), "".join(ours)


OWN = frozenset(
    {"Name", "State", "Tgid", "Pid", "PPid", "NStgid", "NSpid", "NSpgid", "NSsid", "FDSize", "Threads"}
)
OWN |= {"voluntary_ctxt_switches", "nonvoluntary_ctxt_switches", "untag_mask", "Umask"}
OWN |= {
    "VmPeak",
    "VmSize",
    "VmLck",
    "VmPin",
    "VmHWM",
    "VmRSS",
    "RssAnon",
    "RssFile",
    "RssShmem",
    "VmData",
    "VmStk",
}
OWN |= {"VmExe", "VmLib", "VmPTE", "VmSwap", "SigQ"}


def test_it_has_the_rights_of_the_first_process(box: Box, init: Newborn) -> None:
    theirs, ours = _diff(box, init, "status", OWN)
    assert ours == theirs
    assert "CapBnd:\t00000000a80425fb" in ours


def test_it_has_the_limits_and_the_oom_score_of_the_first_process(box: Box) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft - 1, hard))
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    try:
        init = box.start("sleep", "1000")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    for path in ("limits", "oom_score_adj"):
        theirs, ours = _diff(box, init, path)
        assert ours == theirs
    assert f"{soft - 1}" in _diff(box, init, "limits")[1]
    init.abandon()


def test_the_oom_score_is_not_that_of_whoever_calls(box: Box, init: Newborn) -> None:
    with open("/proc/self/oom_score_adj", "r+") as file:
        old = file.read()
        file.write(str(int(old) + 10))
        file.flush()
        try:
            assert Exec(box, init, "cat", "/proc/self/oom_score_adj").run()[1] == "0\n"
        finally:
            file.seek(0)
            file.write(old)


def test_it_is_in_all_of_the_namespaces(box: Box, init: Newborn) -> None:
    names = ["cgroup", "ipc", "mnt", "net", "pid", "uts"]
    _, out, _ = Exec(
        box, init, "/bin/sh", "-c", f"for n in {' '.join(names)}; do readlink /proc/self/ns/$n; done"
    ).run()
    for name, link in zip(names, out.split(), strict=True):
        assert os.readlink(f"/proc/{init.pid}/ns/{name}") == link


def test_it_sees_the_container_and_its_own_streams(box: Box, init: Newborn) -> None:
    code, out, err = Exec(
        box, init, "/bin/sh", "-c", "cat /proc/1/comm; hostname; pwd; ls /proc/self/fd; echo e >&2; exit 3"
    ).run()
    assert (code, err) == (3, "e\n")
    assert out.split() == ["sleep", "box", "/", "0", "1", "2", "3"]


def test_stdin_arrives_and_ends(box: Box, init: Newborn) -> None:
    session = Exec(box, init, "cat")
    session.ask()
    os.write(session.stdin, b"typed\n")
    session.close_stdin()
    assert session.read(session.stdout) == "typed\n"
    assert session.answer() == {"exited": 0, "signal": 0}
    session.finish()


def test_user_directory_and_environment_are_as_asked(box: Box, init: Newborn) -> None:
    code, out, _ = Exec(
        box, init, "/bin/sh", "-c", "id; pwd; env | sort", user="user", cwd="/made/for/it", env={"X": "1"}
    ).run()
    assert code == 0
    assert "uid=1000(user) gid=1001(user) groups=2000(extra)" in out
    lines = out.splitlines()
    assert lines[1] == "/made/for/it"
    assert {"X=1", "HOME=/home/user", "HOSTNAME=box"} <= set(lines[2:])


def test_who_was_started_is_told_as_the_host_knows_it(box: Box, init: Newborn) -> None:
    session = Exec(box, init, "sleep", "1000")
    who = session.ask()["started"]
    assert identity.identity(who["pid"]) == who
    session.control.send(pack({"op": "signal", "signal": int(signal.SIGTERM)}))
    assert session.answer() == {"exited": 128 + signal.SIGTERM, "signal": signal.SIGTERM}
    session.finish()
    assert not identity.alive(who)


@pytest.mark.parametrize(
    ("argv", "changes", "expected"),
    [
        (["none"], {}, ("exec", 127)),
        (["/etc"], {}, ("exec", 126)),
        (["true"], {"user": "none"}, ("user", 126)),
        (["true"], {"cwd": "/proc/self/fd/3"}, ("cwd", 126)),
        (["true"], {"joins": ["/no/such/tasks"]}, ("join", 125)),
        (["true"], {"cgroup2": "/no/such"}, ("cgroup", 125)),
        (["true"], {"cgroup2": "/tmp"}, ("clone", 125)),
        (["true"], {"caps": ["NONE"]}, ("capabilities", 125)),
    ],
)
def test_what_fails_is_told(
    box: Box, init: Newborn, argv: list[str], changes: dict[str, Any], expected: tuple[str, int]
) -> None:
    session = Exec(box, init, *argv, **changes)
    failed = session.ask()["failed"]
    assert (failed["step"], failed["code"]) == expected
    assert failed["message"]
    session.finish()


def test_a_container_that_is_gone_is_not_joined(box: Box) -> None:
    born = box.start("sleep", "1000")
    session = Exec(box, born, "true")
    born.abandon()
    failed = session.ask()["failed"]
    assert (failed["errno"], failed["message"]) == (errno.ESRCH, "the container is not running")
    session.finish()


def test_a_container_that_is_just_ending_is_told_as_one_that_is_gone(box: Box, init: Newborn) -> None:
    """It takes nobody any more, in words of the kernel's own, and is not dead before all who joined it are reaped."""
    first = Exec(box, init, "sleep", "1000")
    who = first.ask()["started"]
    os.kill(first.pid, signal.SIGSTOP)  # it reaps nobody
    try:
        os.kill(init.pid, signal.SIGKILL)
        until(lambda: not identity.alive(who), "the session outlives its container")
        second = Exec(box, init, "true")
        failed = second.ask()["failed"]
    finally:
        os.kill(first.pid, signal.SIGCONT)
    assert (failed["errno"], failed["message"]) == (errno.ESRCH, "the container is not running")
    assert first.answer() == {"exited": 128 + signal.SIGKILL, "signal": signal.SIGKILL}
    first.finish()
    second.finish()


def test_another_process_by_the_same_pid_is_not_joined(box: Box, init: Newborn) -> None:
    session = Exec(box, init, "true")
    session.request["identity"]["start"] += 1
    assert session.ask()["failed"]["errno"] == errno.ESRCH
    session.finish()


def test_a_command_that_asks_nothing_leaves_nothing(box: Box, init: Newborn) -> None:
    Exec(box, init, "true").finish()


def test_a_request_without_its_descriptors_is_refused(box: Box, init: Newborn) -> None:
    session = Exec(box, init, "true")
    session.control.send(pack(session.request))
    assert session.answer()["failed"]["errno"] == errno.EINVAL
    session.finish()


def test_a_terminal_is_one_of_the_containers_own(box: Box, init: Newborn) -> None:
    script = "tty; stty size; echo $TERM; echo x > /dev/tty; ps -o pid,tty | grep -c 136,; exit 4"
    session = Exec(box, init, "/bin/sh", "-c", script, tty=True, size=[24, 77])
    assert session.ask().keys() == {"started"}
    lines = session.read(session.master).split()
    assert lines[:5] == ["/dev/pts/0", "24", "77", "xterm", "x"]
    assert session.answer()["exited"] == 4
    session.finish()


def test_a_session_on_a_terminal_ends_with_its_command(box: Box, init: Newborn) -> None:
    session = Exec(box, init, "/bin/sh", "-c", "echo ready; read x", tty=True)
    who = session.ask()["started"]
    session.read(session.master, b"ready")
    pidfd = identity.open_identity(who)
    assert pidfd is not None
    session.finish()
    assert select.select([pidfd], [], [], 10)[0]
    os.close(pidfd)


def test_a_session_without_a_terminal_goes_on_without_its_command(box: Box, init: Newborn) -> None:
    session = Exec(box, init, "/bin/sh", "-c", "read x; touch /went-on")
    who = session.ask()["started"]
    pidfd = identity.open_identity(who)
    assert pidfd is not None
    session.control.close()
    os.write(session.stdin, b"go\n")
    assert select.select([pidfd], [], [], 10)[0]
    os.close(pidfd)
    assert (box.place / "upper/went-on").exists()
    session.finish()


def test_a_session_on_a_leash_ends_with_its_command(box: Box, init: Newborn) -> None:
    session = Exec(box, init, "/bin/sh", "-c", "trap '' HUP TERM; sleep 1000")
    session.request["leash"] = True
    pidfd = identity.open_identity(session.ask()["started"])
    assert pidfd is not None
    session.control.close()
    assert select.select([pidfd], [], [], 10)[0]
    os.close(pidfd)
    session.finish()


def test_a_session_ends_with_its_container(box: Box, init: Newborn) -> None:
    session = Exec(box, init, "sleep", "1000")
    session.ask()
    init.abandon()
    assert session.answer() == {"exited": 128 + signal.SIGKILL, "signal": signal.SIGKILL}
    session.finish()


def test_a_hostile_ptmx_is_refused_and_does_not_hang(box: Box) -> None:
    script = "mount -t tmpfs x /dev/pts && rm /dev/ptmx && mkfifo /dev/ptmx && echo ready && sleep 1000"
    init = box.start("/bin/sh", "-c", script, caps=[*box.config["caps"], "SYS_ADMIN"])
    box.wait_output("ready")
    session = Exec(box, init, "true", tty=True)
    failed = session.ask()["failed"]
    assert "not the kernel's ptmx" in failed["message"]
    session.finish()
    init.abandon()


def test_it_is_born_in_the_containers_cgroups(box: Box) -> None:
    places = []
    with open("/proc/self/mountinfo") as mounts:
        for line in mounts:
            left, right = line.split(" - ")
            kind, _, options = right.split()
            if kind == "cgroup2" or (kind == "cgroup" and {"pids", "devices"} & set(options.split(","))):
                places.append((kind, f"{left.split()[4]}/mydocker-test-{os.getpid()}"))
    for _, directory in places:
        os.mkdir(directory)
    box.config["joins"] = [f"{directory}/tasks" for kind, directory in places if kind == "cgroup"]
    box.config["cgroup2"] = next(directory for kind, directory in places if kind == "cgroup2")
    devices_bpf.attach(box.config["cgroup2"], devices.rules(privileged=False))
    try:
        init = box.start("sleep", "1000")
        session = Exec(
            box,
            init,
            "/bin/sh",
            "-c",
            "read x; cat /proc/self/cgroup; head -c1 /tmp/kmsg",
            caps=[*box.config["caps"]],
        )
        who = session.ask()["started"]
        for _, directory in places:
            assert set(Path(directory, "cgroup.procs").read_text().split()) == {
                str(init.pid),
                str(who["pid"]),
            }
        with open(f"/proc/{init.pid}/cgroup") as theirs, open(f"/proc/{who['pid']}/cgroup") as ours:
            assert theirs.read() == ours.read()
        os.write(session.stdin, b"x\n")
        session.close_stdin()
        assert {line.split(":", 2)[2] for line in session.read(session.stdout).splitlines()} == {"/"}
        session.answer()
        session.finish()
        init.abandon()
    finally:
        box.close()  # else a failure would leave its cgroups busy, and there
        for _, directory in places:
            os.rmdir(directory)


def test_cve_2016_9962_the_container_cannot_look_into_what_joins_it(box: Box) -> None:
    """It tries all the time to open files, roots and programs of others, while fifty processes join."""
    script = """
    trap 'stop=1' USR1
    echo ready
    while [ -z "$stop" ]; do
      for p in /proc/[0-9]*; do
        case $p in /proc/1|/proc/$$) continue;; esac
        for f in $p/root/etc/hostname $p/cwd/effects/joiner.py $p/root/usr/bin/python3 $p/root/work; do
          [ -e $f ] && echo "LEAK $f"
        done
        for f in $p/fd/*; do
          l=$(readlink $f 2>/dev/null)
          case "$l" in ''|pipe:*|/dev/null|/proc/*|/bin/*) ;; *) echo "LEAK $f $l";; esac
        done
      done
    done
    echo done
    """
    init = box.start("/bin/sh", "-c", script)
    said = box.wait_output("ready")
    for _ in range(50):
        assert Exec(box, init, "true").run()[0] == 0
    # Not by one more that joins: while it made a file, it would have one open.
    os.kill(init.pid, signal.SIGUSR1)
    assert end(init) == 0
    assert said + box.output() == "ready\ndone\n"


def test_nothing_stays_open_in_the_command(box: Box, init: Newborn) -> None:
    before = sorted(os.listdir("/proc/self/fd"))
    Exec(box, init, "true").run()
    assert sorted(os.listdir("/proc/self/fd")) == before
