"""The transcripts of article 22, typed at a real terminal; file contents byte for byte."""

from __future__ import annotations

import re

import pytest

from tests.system.conftest import Docker

pytestmark = pytest.mark.root
PROMPT = "/ # "


def test_022_volume_of_a_detached_container_persists(series: Docker) -> None:
    root = series.root
    done = series(
        "run", "-d", "-name", "test", "-v", f"{root}/volume1:/containerVolume", "busybox", "/bin/top"
    )
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"[0-9a-f]{64}\n", done.stdout)
    header, row = series.ok("ps").splitlines()
    assert header.split() == ["ID", "NAME", "PID", "STATUS", "COMMAND", "CREATED"]
    assert row.split()[1] == "test"
    assert row.split()[3:5] == ["running", "/bin/top"]

    shell = series.terminal("exec", "test", "/bin/sh")
    shell.expect_exact(PROMPT)
    shell.sendline("ls -l")
    shell.expect("containerVolume")
    shell.expect_exact(PROMPT)
    shell.sendline('echo "container test: test01" > containerVolume/test01.txt')
    shell.expect_exact(PROMPT)
    shell.sendline("cat containerVolume/test01.txt")
    shell.expect_exact("\r\ncontainer test: test01\r\n")
    shell.expect_exact(PROMPT)
    shell.sendline("exit")
    shell.wait()

    series.ok("stop", "test")
    assert series.ok("ps").splitlines()[1].split()[2] == "stopped"  # the PID cell is blank
    series.ok("rm", "test")
    assert (root / "volume1" / "test01.txt").read_bytes() == b"container test: test01\n"
    assert len(series.ok("ps").splitlines()) == 1


def test_022_image_from_a_container(series: Docker) -> None:
    root = series.root
    for number in ("1", "2"):
        volume = f"{root}/from{number}:/to{number}"
        series.ok("run", "-d", "-name", f"container0{number}", "-v", volume, "busybox", "/bin/top")
    assert [row.split()[1] for row in series.ok("ps").splitlines()[1:]] == ["container01", "container02"]

    shell = series.terminal("exec", "container01", "/bin/sh")
    for line in (
        'echo -e "hello container1" >> /to1/test1.txt',
        "mkdir to1-1",
        'echo -e "hello cotainer1,to-1,test1" >> /to1-1/test1.txt',
    ):
        shell.expect_exact(PROMPT)
        shell.sendline(line)
    shell.expect_exact(PROMPT)
    shell.sendline("exit")
    shell.wait()
    series.ok("commit", "container01", "image1")

    assert (root / "mnt/container01/to1-1/test1.txt").read_bytes() == b"hello cotainer1,to-1,test1\n"
    assert (root / "mnt/container01/to1/test1.txt").read_bytes() == b"hello container1\n"
    assert {"busybox.tar", "from1", "from2", "image1.tar", "mnt"} <= {path.name for path in root.iterdir()}

    series.ok("stop", "container01")
    series.ok("rm", "container01")
    assert [row.split()[1] for row in series.ok("ps").splitlines()[1:]] == ["container02"]
    series.ok("run", "-d", "-name", "container03", "image1", "/bin/top")
    shell = series.terminal("exec", "container03", "/bin/sh")
    shell.expect_exact(PROMPT)
    shell.sendline("cat to1/test1.txt")
    shell.expect_exact("\r\nhello container1\r\n")
    shell.expect_exact(PROMPT)
    shell.sendline("cat to1-1/test1.txt")
    shell.expect_exact("\r\nhello cotainer1,to-1,test1\r\n")
    shell.expect_exact(PROMPT)
    shell.sendline("exit")
    shell.wait()

    (root / "from5").mkdir()
    (root / "from5" / "test1.txt").write_text("hello container05\n")
    shell = series.terminal(
        "run", "-it", "-name", "container05", "-v", f"{root}/from5:/to1", "image1", "/bin/sh"
    )
    shell.expect_exact(PROMPT)
    shell.sendline("cat to1/test1.txt")
    shell.expect_exact("\r\nhello container05\r\n")
    shell.expect_exact(PROMPT)
    shell.sendline("exit")
    shell.wait()
    assert "container05" not in series.ok("ps")  # -it removes it at its exit, as in the series
