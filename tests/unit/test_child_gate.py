"""The birth of a process: ready, held at its gate, let go; and every way that may fail."""

from __future__ import annotations

import errno
import os
import select
import signal
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from effects import devnodes, identity, last_stage, masks, rootfs
from effects.failure import StepFailed
from eventstore import plainjson
from tests.births import Box, children, end

TYPE_CHECKING = False
if TYPE_CHECKING:
    from effects.init_config import StageConfig

pytestmark = pytest.mark.root


def test_nothing_runs_before_the_gate_opens(box: Box) -> None:
    born = box.spawn("touch", "/ran")
    assert identity.start_time(born.pid) == born.start
    assert not (box.place / "upper/ran").exists()
    born.release()
    born.wait_exec()
    assert end(born) == 0
    assert (box.place / "upper/ran").exists()


def test_a_closed_gate_ends_it_unrun(box: Box) -> None:
    born = box.spawn("touch", "/ran")
    pidfd = os.dup(born.pidfd)
    born.close()
    result = os.waitid(os.P_PIDFD, pidfd, os.WEXITED)
    os.close(pidfd)
    assert result is not None
    assert (result.si_code, result.si_status) == (os.CLD_EXITED, 1)
    assert not (box.place / "upper/ran").exists()


PARENT = """
import os, sys
sys.path.append(sys.argv[1])
from effects.child import spawn_init
from eventstore import plainjson
born = spawn_init(plainjson.loads(sys.argv[2].encode()))
born.wait_ready()
print(born.pid, flush=True)
input()
"""


def test_it_dies_with_a_parent_that_dies_before_the_gate_opens(box: Box) -> None:
    own = os.path.dirname(os.path.dirname(rootfs.__file__))
    with subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", PARENT, own, plainjson.dumps(box.config)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as parent:
        assert parent.stdout is not None
        pidfd = os.pidfd_open(int(parent.stdout.readline()))
        parent.kill()
        parent.communicate()
    assert select.select([pidfd], [], [], 10)[0]
    os.close(pidfd)


def test_exit_codes_and_signals_come_through(box: Box) -> None:
    assert box.run("/bin/sh", "-c", "exit 7") == 7
    born = box.start("sleep", "1000")
    signal.pidfd_send_signal(born.pidfd, signal.SIGKILL)
    assert end(born) == -signal.SIGKILL


def _refused(box: Box, *argv: str, **changes: Any) -> StepFailed:
    with pytest.raises(StepFailed) as failed:
        box.start(*argv, **changes)
    assert not children()
    return failed.value


@pytest.mark.parametrize(
    ("argv", "code", "exit_code"),
    [
        (["no-such-program"], errno.ENOENT, 127),
        (["/bin/no-such-program"], errno.ENOENT, 127),
        (["/etc/passwd/x"], errno.ENOTDIR, 127),
        (["/etc"], errno.EACCES, 126),
        (["/etc/passwd"], errno.EACCES, 126),
        (["/data/empty"], errno.ENOEXEC, 126),
        (["data-only"], errno.EACCES, 126),
        ([""], errno.ENOENT, 127),
        ([], errno.ENOENT, 127),
    ],
)
def test_a_program_that_cannot_be_run_is_told_as_docker_does(
    box: Box, tmp_path: Path, argv: list[str], code: int, exit_code: int
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "empty").write_text("no program\n")
    (data / "empty").chmod(0o755)
    (data / "data-only").write_text("")
    box.config["argv"] = argv
    failed = _refused(
        box,
        *argv,
        volumes=[{"source": str(data), "target": "/data", "ro": True}],
        env={"PATH": "relative::/bin:/data"},
    )
    assert (failed.step, failed.errno) == ("exec", code)
    assert last_stage.exit_code(failed.step, code) == exit_code


def test_a_script_without_its_interpreter_is_not_found(box: Box) -> None:
    script = box.place / "upper/script"
    script.write_text("#!/no/interpreter\n")
    script.chmod(0o755)
    assert _refused(box, "/script").errno == errno.ENOENT


def test_the_working_directory_is_not_searched_for_programs(box: Box) -> None:
    program = box.place / "upper/tmp"
    program.mkdir()
    (program / "x").write_text("#!/bin/sh\n")
    (program / "x").chmod(0o755)
    assert _refused(box, "x", cwd="/tmp", env={"PATH": ":.:tmp"}).errno == errno.ENOENT
    assert box.run("./x", cwd="/tmp") == 0


@pytest.mark.parametrize(
    ("changes", "step", "code"),
    [
        ({"lower": ["/no/such/layer"]}, "overlay", errno.ENOENT),
        ({"upper": "/no/such/upper"}, "overlay", errno.ENOENT),
        ({"volumes": [{"source": "/no/such", "target": "/v", "ro": False}]}, "volume /v", errno.ENOENT),
        (
            {"volumes": [{"source": "/etc", "target": "/etc/passwd", "ro": False}]},
            "mount /etc/passwd",
            errno.ENOTDIR,
        ),
        ({"volumes": [{"source": "/etc", "target": "/", "ro": False}]}, "mount sources", errno.EINVAL),
        (
            {"volumes": [{"source": "/etc", "target": "/proc/sys/../sys", "ro": False}]},
            "mount sources",
            errno.EINVAL,
        ),
        (
            {"volumes": [{"source": "/etc", "target": "/x/../proc", "ro": False}]},
            "mount sources",
            errno.EINVAL,
        ),
        ({"tmpfs": [{"target": "/t", "options": "size=nonsense"}]}, "tmpfs /t", errno.EINVAL),
        ({"tmpfs": [{"target": "/t", "options": "no-such-option"}]}, "tmpfs /t", errno.EINVAL),
        ({"files": {"/etc/hosts": "/no/such"}}, "mount sources", errno.ENOENT),
        ({"hostname": "x" * 65}, "hostname", errno.EINVAL),
        ({"joins": ["/no/such/tasks"]}, "cgroup", errno.ENOENT),
        ({"cgroup2": "/no/such"}, "cgroup", errno.ENOENT),
        ({"cgroup2": "/tmp"}, "clone", errno.EBADF),
        ({"stdio": {"stdout": "/no/such", "stderr": "/no/such", "stdin": ""}}, "stdio", errno.ENOENT),
        ({"user": "nobody-here"}, "user", errno.ENOENT),
        ({"user": "0:4294967296"}, "user", errno.EINVAL),
        ({"groups": ["none"]}, "user", errno.ENOENT),
        ({"caps": ["NO_SUCH"]}, "capabilities", errno.EINVAL),
        ({"cwd": "/etc/passwd"}, "cwd", errno.ENOTDIR),
        ({"cwd": "/proc/self/fd/0"}, "cwd", errno.ELOOP),
    ],
)
def test_a_step_that_fails_is_told_and_leaves_nothing(
    box: Box, changes: dict[str, Any], step: str, code: int
) -> None:
    failed = _refused(box, "true", **changes)
    assert (failed.step, failed.errno) == (step, code)
    assert failed.strerror
    if step not in ("user", "capabilities", "cwd"):
        assert not os.listdir(box.place / "upper") or step.startswith("mount /") or step == "hostname"


def test_a_capability_that_we_lack_is_refused_and_named(box: Box) -> None:
    with open("/proc/self/status") as file:
        (line,) = [line for line in file if line.startswith("CapPrm")]
    if int(line.split()[1], 16) >> 24 & 1:
        assert box.run("true", caps=["SYS_RESOURCE"]) == 0
        return
    failed = _refused(box, "true", caps=["SYS_RESOURCE", "KILL"])
    assert (failed.step, failed.errno) == ("capabilities", errno.EPERM)
    assert "--cap-drop SYS_RESOURCE" in (failed.strerror or "")


def test_a_child_that_is_killed_while_it_is_made_is_told_so(box: Box) -> None:
    born = box.spawn("true")
    signal.pidfd_send_signal(born.pidfd, signal.SIGKILL)
    os.waitid(os.P_PIDFD, born.pidfd, os.WEXITED | os.WNOWAIT)
    with pytest.raises(StepFailed, match="killed by signal 9"):
        born.wait_exec()
    assert not children()


def test_a_defect_in_the_child_is_told_not_swallowed(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(masks, "hide", lambda *_: 1 // 0)
    with pytest.raises(StepFailed, match=r"ZeroDivisionError.*test_child_gate") as failed:
        box.spawn("true")
    assert failed.value.errno == errno.EPROTO


def test_an_import_after_the_clone_finds_nothing(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the pivot it would find what the image has put there."""
    assert "this" not in sys.modules
    monkeypatch.setattr(masks, "hide", lambda *_: __import__("this"))
    with pytest.raises(StepFailed, match=r"meta_path is empty|ModuleNotFoundError"):
        box.spawn("true")


def test_nothing_of_the_parents_is_open_at_the_gate(box: Box, tmp_path: Path) -> None:
    """A lock of the monitor's would be held on by its child after its death."""
    lock = os.open(tmp_path / "lock", os.O_CREAT | os.O_RDWR)
    born = box.spawn("true")
    held = [os.readlink(f"/proc/{born.pid}/fd/{number}") for number in os.listdir(f"/proc/{born.pid}/fd")]
    os.close(lock)
    born.abandon()
    assert str(tmp_path / "lock") not in held
    assert len(held) <= 5, held  # 0, 1, 2, the control socket, the new root


def test_a_descriptor_that_somebody_forgot_does_not_pass_the_exec(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forget(config: StageConfig, home: str) -> dict[str, str]:
        os.set_inheritable(os.open("/", os.O_RDONLY), True)
        return environment(config, home)

    environment = last_stage.environment
    monkeypatch.setattr(last_stage, "environment", forget)
    assert box.sh("ls /proc/self/fd") == "0\n1\n2\n3\n"


def test_a_null_that_is_something_else_stops_the_making(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devnodes, "NODES", (("null", 1, 5),))
    assert (_refused(box, "true").step) == "mount /dev"


def test_a_second_life_on_the_same_directories_finds_what_the_first_wrote(box: Box) -> None:
    assert box.run("/bin/sh", "-c", "echo one > /kept; rm /etc/group") == 0
    assert box.sh("cat /kept; ls /etc") == "one\nhosts\npasswd\n"


def test_one_upper_directory_serves_one_container_at_a_time(box: Box) -> None:
    born = box.start("sleep", "1000")
    with pytest.raises(StepFailed) as failed:
        box.spawn("true")
    assert (failed.value.step, failed.value.errno) == ("overlay", errno.EBUSY)
    born.abandon()
    assert box.run("true") == 0


def test_paths_with_the_overlays_own_separators_are_just_paths(box: Box, image: Path) -> None:
    strange = box.place / "a:b,c\\d"
    strange.mkdir()
    (strange / "l1").mkdir()
    (strange / "l1/mark").write_text("found\n")
    for name in ("upper", "work"):
        (strange / name).mkdir()
    out = box.sh(
        "cat /mark",
        lower=[str(strange / "l1"), str(image)],
        upper=str(strange / "upper"),
        work=str(strange / "work"),
    )
    assert out == "found\n"


def test_a_hundred_layers_are_one_root(box: Box, image: Path) -> None:
    layers = []
    for number in range(100):
        layer = box.place / f"layers/{number:02}-{'x' * 64}/fs"
        layer.mkdir(parents=True)
        (layer / "top").write_text(f"{number}\n")
        layers.append(str(layer))
    assert box.sh("cat /top", lower=[*layers, str(image)]) == "0\n"


def test_two_hundred_lives_leave_no_descriptor_and_no_zombie(box: Box) -> None:
    before = sorted(os.listdir("/proc/self/fd"))
    for number in range(200):
        match number % 4:
            case 0:
                assert box.run("true") == 0
            case 1:
                _refused(box, "nothing")
            case 2:
                _refused(box, "true", hostname="x" * 65)
                box.config["hostname"] = "box"
            case _:
                box.spawn("true", tty=True).abandon()
                box.config["tty"] = False
    assert sorted(os.listdir("/proc/self/fd")) == before
    assert not children()


def test_modes_do_not_depend_on_the_umask(box: Box) -> None:
    old = os.umask(0o777)
    try:
        assert box.run("true", cwd="/new/place") == 0
    finally:
        os.umask(old)
    assert stat.S_IMODE(os.stat(box.place / "upper/new").st_mode) == 0o755
