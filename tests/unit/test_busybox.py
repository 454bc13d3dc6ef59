"""The default image is the host's static busybox under all its names, and nothing but static will do."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import pytest

from cli.report import ENGINE_FAILED, exit_code_of
from effects import archive, busybox, jail
from tests import tars

pytestmark = pytest.mark.root


def built(program: str = "") -> bytes:
    out = os.memfd_create("image")
    try:
        busybox.build(out, program)
        return os.pread(out, os.fstat(out).st_size, 0)
    finally:
        os.close(out)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    (tmp_path / "fs").mkdir()
    tars.unpack(built(), tmp_path / "fs")
    return tmp_path / "fs"


def test_its_root_lists_as_in_article_22(image: Path) -> None:
    assert sorted(os.listdir(image)) == [
        "bin",
        "dev",
        "etc",
        "home",
        "proc",
        "root",
        "sys",
        "tmp",
        "usr",
        "var",
    ]


def test_it_says_what_to_run(tmp_path: Path) -> None:
    config = tars.unpack(built(), tmp_path).config
    assert config["cmd"] == ["/bin/sh"]
    assert "/bin" in config["env"]["PATH"].split(":")


def test_the_shell_of_the_image_runs_with_nothing_of_the_host(image: Path) -> None:
    """In the image as its root: a program that is not static, or a link that leads out, would fail."""
    root = os.open(image, os.O_PATH)
    out, feed = os.pipe()
    try:

        def shell() -> None:
            os.dup2(feed, 1)
            os.execv(
                "/bin/sh", ["sh", "-c", "ls /; id -un; awk 'BEGIN{print 6*7}'; /usr/bin/env -i echo env"]
            )

        with pytest.raises(OSError, match="without an answer"):
            jail.run(shell, root, label="run", keep=(feed,))
        os.close(feed)
        answer = os.read(out, 1 << 16).decode().split("\n")
    finally:
        os.close(root)
        os.close(out)
    assert answer[-4:] == ["root", "42", "env", ""]


@pytest.mark.parametrize(
    "name", ["bin/sh", "bin/top", "bin/ls", "usr/bin/env", "bin/ifconfig", "usr/sbin/chroot"]
)
def test_every_name_is_one_and_the_same_file(image: Path, name: str) -> None:
    assert (image / name).samefile(image / "bin" / "busybox")


def test_all_names_the_program_has_are_there(image: Path) -> None:
    listed = (
        subprocess.run([busybox.find(), "--list"], capture_output=True, check=True).stdout.decode().split()
    )
    assert set(listed) - set(os.listdir(image / "bin")) <= {"linuxrc"}


def test_modes_and_users_are_those_of_a_usual_system(image: Path) -> None:
    modes = {
        name: stat.S_IMODE(os.stat(image / name).st_mode)
        for name in ("tmp", "root", "etc/passwd", "etc/shadow")
    }
    assert modes == {"tmp": 0o1777, "root": 0o700, "etc/passwd": 0o644, "etc/shadow": 0o600}
    users = [line.split(":") for line in (image / "etc" / "passwd").read_text().splitlines()]
    assert {(user[0], user[2]) for user in users} >= {("root", "0"), ("nobody", "65534")}
    assert all(len(user) == 7 for user in users)
    assert "nogroup:x:65534:" in (image / "etc" / "group").read_text()


def test_the_same_program_gives_the_same_bytes() -> None:
    assert built() == built(busybox.find())


def test_a_missing_busybox_is_told_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(busybox, "_PLACES", ("/nowhere/busybox",))
    with pytest.raises(OSError, match="apt-get install busybox-static"):
        busybox.find()


def test_a_program_that_is_not_static_is_refused_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"not static .*busybox-static") as refused:
        built("/bin/sh")
    assert exit_code_of(refused.value) == ENGINE_FAILED  # one line, and no traceback
    (tmp_path / "script").write_text("#!/bin/sh\n" * 20)
    with pytest.raises(OSError, match=r"no ELF program .*busybox-static"):
        built(str(tmp_path / "script"))


def test_a_static_program_that_is_no_busybox_is_refused(tmp_path: Path) -> None:
    """Half an ELF header is enough to pass for static; it cannot be run."""
    fake = tmp_path / "busybox"
    fake.write_bytes(b"\x7fELF\x02\x01".ljust(64, b"\0"))
    fake.chmod(0o755)
    with pytest.raises(OSError, match="Exec format error"):
        built(str(fake))


def test_it_is_read_back_by_what_reads_all_other_images(image: Path, tmp_path: Path) -> None:
    (tmp_path / "again").mkdir()
    content = tars.pack(image)
    assert isinstance(tars.unpack(content, tmp_path / "again"), archive.Unpacked)
    assert tars.tree(tmp_path / "again") == tars.tree(image)
