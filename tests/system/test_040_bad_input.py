"""Bad input: one clear line, a code, nothing half made."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.system.conftest import PROGRAM, Docker, nobody_left

pytestmark = pytest.mark.root

CASES = [
    (("stop", "nosuch"), 125, "no such container: nosuch"),
    (("rm", "nosuch"), 125, "no such container"),
    (("exec", "nosuch", "true"), 125, "no such container"),
    (("logs", "nosuch"), 125, "no such container"),
    (("commit", "nosuch", "image"), 125, "no such container"),
    (("cp", "nosuch:/x", "/tmp"), 125, "no such container"),
    (("cp", "/a", "/b"), 2, "exactly one side"),
    (("cp", "k:/x", "y:/z"), 2, "exactly one side"),
    (("history", "nosuch"), 125, "no such container"),
    (("run", "nosuch", "true"), 125, "no such image"),
    (("run", "-v", "nocolon", "busybox", "true"), 2, "nocolon"),
    (("run", "-v", "rel:/x", "busybox", "true"), 2, "rel"),
    (("run", "-v", "/a:rel", "busybox", "true"), 2, "rel"),
    (("run", "-v", "/a:/proc/x", "busybox", "true"), 2, "/proc"),
    (("run", "-m", "1k", "busybox", "true"), 2, "1k"),
    (("run", "-m", "lots", "busybox", "true"), 2, "lots"),
    (("run", "--cpus", "0", "busybox", "true"), 2, "0"),
    (("run", "--pids-limit", "x", "busybox", "true"), 2, "x"),
    (("run", "-e", "=x", "busybox", "true"), 2, "--env"),
    (("run", "--nosuch", "busybox", "true"), 2, "nosuch"),
    (("run",), 2, "missing"),
    (("run", "busybox", "/nosuch"), 127, "/nosuch"),
    (("run", "busybox", "nosuch"), 127, "nosuch"),
    (("run", "busybox", "/etc"), 126, "/etc"),
    (("run", "-u", "nobodyatall", "busybox", "true"), 126, "nobodyatall"),
    (("nosuch",), 2, "nosuch"),
    (("rmi", "nosuch"), 125, "no such image"),
    (("update", "x"), 2, "no new limit"),
    (("ps", "--filter", "x"), 2, "x"),
    (("ps", "--format", "{{.Nope}}"), 2, "Nope"),
    (("logs", "--tail", "x", "y"), 2, "x"),
]


@pytest.mark.parametrize(("args", "code", "word"), CASES, ids=[" ".join(case[0]) for case in CASES])
def test_040_bad_input_is_one_line_and_a_code(
    series: Docker, args: tuple[str, ...], code: int, word: str
) -> None:
    line = series.fails(*args, code=code)

    assert word in line
    nobody_left(series)


def test_040_illegal_steps_say_what_is_legal(series: Docker) -> None:
    series.ok("run", "-d", "--name", "t040a", "busybox", "top")
    line = series.fails("rm", "t040a", code=125)

    assert "running" in line
    assert "stop" in line
    assert "rm -f" in line
    assert "paused" not in series.fails("unpause", "t040a", code=125)


def test_040_stop_twice_is_no_error(series: Docker) -> None:
    series.ok("run", "-d", "--name", "t040b", "busybox", "top")
    series.ok("stop", "-t", "1", "t040b")
    events = len(series.events())
    series.ok("stop", "t040b")

    assert len(series.events()) == events


def test_040_a_broken_image_is_refused_and_leaves_nothing(series: Docker) -> None:
    (series.root / "broken.tar").write_bytes(b"x" * 5000)
    line = series.fails("run", "broken", "true", code=125)

    assert "broken" in line
    assert list((series.root / "staging").iterdir()) == []
    assert (
        "broken"
        not in [row.split()[0] for row in series.ok("images").splitlines() if row.split()[1:2] != [""]][1:0]
    )


def test_040_a_root_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    docker = Docker(tmp_path)
    docker.env["MYDOCKER_ROOT"] = str(tmp_path / "file")

    assert "file" in docker.fails("run", "busybox", "true", code=125)


def test_040_a_read_only_root(tmp_path: Path) -> None:
    script = (
        'mount -t tmpfs -o ro none "$1" && exec "$2" -r "$1" --run-dir "$1/run" run -net none busybox true'
    )
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", script, "sh", str(tmp_path), PROGRAM],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 125
    assert "Traceback" not in done.stderr
    assert "ead-only" in done.stderr.splitlines()[-1]


def test_040_not_root(tmp_path: Path) -> None:
    copy = tmp_path / "mydocker-as-nobody"
    os.chmod(tmp_path, 0o755)
    done = subprocess.run(
        ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", PROGRAM, "run", "busybox", "true"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert not copy.exists()
    assert done.returncode == 125
    assert "root" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
