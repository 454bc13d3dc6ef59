"""run, start, attach: what reaches the container, what comes back, what the command ends with."""

from __future__ import annotations

import os
import signal
import subprocess
import tarfile
from pathlib import Path

import pytest

from tests.system.conftest import Docker
from tests.waiting import until

pytestmark = pytest.mark.root


def test_030_output_goes_where_it_was_written_to(series: Docker) -> None:
    done = series("run", "--rm", "busybox", "sh", "-c", "echo out; echo err >&2; exit 7")

    assert (done.stdout, done.stderr, done.returncode) == ("out\n", "err\n", 7)


def test_030_stdin_is_forwarded_with_i_and_its_end_too(series: Docker) -> None:
    assert series.ok("run", "--rm", "-i", "busybox", "cat", stdin="x\ny") == "x\ny"


def test_030_without_i_stdin_is_left_alone(series: Docker) -> None:
    """Else a `while read` loop around the command would be eaten."""
    script = 'while read x; do "$1" run -net none --rm busybox cat; echo got $x; done'
    from tests.system.conftest import PROGRAM

    done = subprocess.run(
        ["sh", "-c", script, "sh", PROGRAM],
        input="a\nb\n",
        env=series.env,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.stdout == "got a\ngot b\n"


def test_030_much_output_arrives_whole(series: Docker) -> None:
    done = series("run", "--rm", "busybox", "sh", "-c", "seq 1 300000")

    assert done.stdout.splitlines() == [str(i) for i in range(1, 300001)]


def test_030_a_reader_that_goes_ends_the_command_quietly(series: Docker) -> None:
    from tests.system.conftest import PROGRAM

    script = '"$1" run -net none --name t030a busybox sh -c "while :; do echo y; done" | head -1'
    done = subprocess.run(
        ["sh", "-c", script, "sh", PROGRAM], env=series.env, capture_output=True, text=True, check=False
    )

    assert (done.stdout, done.stderr) == ("y\n", "")
    assert series.inspect("t030a")["State"]["Status"] == "running"


def test_030_signals_are_forwarded_and_the_code_tells_them(series: Docker) -> None:
    command = series.popen(
        *("run", "--name", "t030b", "busybox", "sh", "-c"),
        'trap "echo got; exit 9" TERM; echo ready; while :; do sleep 0.1; done',
        stdout=subprocess.PIPE,
    )
    assert command.stdout is not None
    assert command.stdout.readline() == b"ready\n"
    command.send_signal(signal.SIGTERM)

    assert command.communicate(timeout=20)[0] == b"got\n"
    assert command.returncode == 9


def test_030_the_death_of_the_command_leaves_the_container_alone(series: Docker) -> None:
    command = series.popen(
        "run", "--name", "t030c", "busybox", "sh", "-c", "echo ready; exec top", stdout=subprocess.PIPE
    )
    assert command.stdout is not None
    assert command.stdout.readline() == b"ready\n"
    command.kill()
    command.communicate()

    assert series.inspect("t030c")["State"]["Status"] == "running"
    assert series.ok("exec", "t030c", "echo", "alive") == "alive\n"


def test_030_a_container_outlives_the_shell_that_started_it(series: Docker) -> None:
    from tests.system.conftest import PROGRAM

    shell = subprocess.Popen(
        ["sh", "-c", '"$1" run -net none -d --name t030d busybox top; kill -9 $$', "sh", PROGRAM],
        env=series.env,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
    )
    shell.wait()

    assert series.ok("exec", "t030d", "echo", "alive") == "alive\n"


def test_030_a_terminal_has_a_size_echo_and_job_control(series: Docker) -> None:
    shell = series.terminal("run", "-it", "--name", "t030e", "busybox", "sh")
    shell.expect_exact("/ # ")
    shell.sendline("stty size; tty; test -t 0 && echo terminal")
    shell.expect_exact("24 80")
    shell.expect_exact("/dev/pts/0")
    shell.expect_exact("terminal")
    shell.setwinsize(40, 100)
    shell.expect_exact("/ # ")
    shell.sendline("stty size")
    shell.expect_exact("40 100")
    shell.expect_exact("/ # ")
    shell.sendline("sh -c 'printf run%s ning; exec sleep 100'")
    shell.expect_exact("running")
    shell.sendintr()
    shell.expect_exact("/ # ")
    shell.sendline("exit 4")
    shell.expect("\n")
    shell.wait()

    assert shell.exitstatus == 4
    assert "t030e" not in series.ok("ps")


def test_030_it_keeps_the_container_where_rm_is_false(series: Docker) -> None:
    shell = series.terminal("run", "-it", "--rm=false", "--name", "t030f", "busybox", "true")
    shell.wait()

    assert series.inspect("t030f")["State"]["Status"] == "exited"


def test_030_the_detach_keys_leave_it_running_and_attach_comes_back(series: Docker) -> None:
    shell = series.terminal("run", "-it", "--name", "t030g", "busybox", "sh")
    shell.expect_exact("/ # ")
    shell.sendline("x=kept")
    shell.expect_exact("/ # ")
    shell.send("\x10\x11")
    shell.expect("\n")
    shell.wait()
    assert shell.exitstatus == 0
    assert series.inspect("t030g")["State"]["Status"] == "running"

    again = series.terminal("attach", "t030g")
    again.sendline("echo $x")
    again.expect_exact("kept")
    again.sendline("exit")
    again.wait()
    assert "t030g" not in series.ok("ps")


def test_030_start_a_relays_a_created_container(series: Docker) -> None:
    series.ok("create", "--name", "t030h", "busybox", "sh", "-c", "echo hello; exit 3")
    first, second = series("start", "-a", "t030h"), series("start", "-a", "t030h")

    assert [(done.stdout, done.returncode) for done in (first, second)] == [("hello\n", 3)] * 2


def test_030_the_default_image_needs_no_network_and_says_where_it_is_from(docker: Docker) -> None:
    done = docker("run", "--rm", "busybox", "echo", "hi")

    assert done.stdout == "hi\n"
    assert "busybox" in done.stderr
    assert (docker.root / "busybox.tar").exists()


def test_030_a_tar_is_run_by_its_path_and_read_anew_when_it_changes(series: Docker, tmp_path: Path) -> None:
    path = tmp_path / "some.tar"
    for word in ("one", "two"):
        _copy_with(series.root / "busybox.tar", path, word)
        assert series.ok("run", "--rm", path, "cat", "/word") == word


def _copy_with(source: Path, target: Path, word: str) -> None:
    note = target.with_suffix(".word")
    note.write_text(word)
    with tarfile.open(source) as old, tarfile.open(target, "w") as new:
        for member in old:
            new.addfile(member, old.extractfile(member) if member.isreg() else None)
        new.add(note, "word")


def test_030_isolation_of_the_first_day(series: Docker) -> None:
    script = "echo $$; hostname; ls /proc | grep -c '^[0-9]'; grep CapBnd /proc/self/status; ls /proc/self/fd | wc -l; env"
    out = series.ok("run", "--rm", "--hostname", "box", "-e", "A=1", "busybox", "sh", "-c", script)

    lines = out.splitlines()
    assert lines[0] == "1"
    assert lines[1] == "box"
    assert int(lines[2]) <= 3
    assert lines[3].split()[1] == "00000000a80425fb"
    assert int(lines[4]) <= 4  # 0, 1, 2 and the directory that `ls` reads
    assert "A=1" in lines
    assert not [line for line in lines if line.startswith(("MYDOCKER", "SHELL", "PWD=/work"))]


def test_030_a_secret_is_in_no_file_that_others_can_read_and_in_no_argv(series: Docker) -> None:
    secret = "canary-5b1c9"
    series.ok("run", "-d", "--name", "t030i", "-e", f"TOKEN={secret}", "busybox", "top")
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found += [path] if secret.encode() in path.read_bytes() else []
        except OSError:
            continue
    for path in series.root.rglob("*"):
        if path.is_file() and not path.is_symlink() and secret.encode() in path.read_bytes():
            found += [path] if path.stat().st_mode & 0o077 else []

    assert found == []
    assert series.ok("exec", "t030i", "sh", "-c", "echo $TOKEN") == f"{secret}\n"
    assert os.stat(series.root / "containers").st_mode & 0o077 == 0


def test_030_exec_has_the_first_process_rights_whoever_it_runs_as(series: Docker) -> None:
    told = "grep -E '^(Uid|Gid|Cap|NoNewPrivs)' /proc/self/status; ulimit -a"
    for name, options in (
        ("t030j", ["-u", "1000:1000"]),
        ("t030k", ["--cap-drop", "ALL", "--security-opt", "no-new-privileges"]),
    ):
        series.ok(
            "run", "-d", "--name", name, *options, "busybox", "sh", "-c", f"{told}; exec top > /dev/null"
        )
        first = series.ok("logs", name)
        assert series.ok("exec", name, "sh", "-c", told) == first


@pytest.mark.parametrize("rm", [True, False])
def test_030_only_what_is_thrown_away_need_not_reach_the_disk(series: Docker, *, rm: bool) -> None:
    """And can be committed all the same."""
    option = ["--rm"] if rm else []
    series.ok("run", "-d", *option, "--name", "t030v", "busybox", "sh", "-c", "echo x >/kept; exec top")
    pid = series.inspect("t030v")["State"]["Pid"]
    kept = Path(f"/proc/{pid}/root/kept")
    until(lambda: kept.exists() and kept.read_text() == "x\n", "it is not written")

    root = next(line for line in Path(f"/proc/{pid}/mounts").read_text().splitlines() if " / " in line)
    assert ("volatile" in root) is rm, root
    series.ok("commit", "t030v", "kept")
    assert series.ok("run", "--rm", "kept", "cat", "/kept") == "x\n"
