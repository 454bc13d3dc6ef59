"""Users and groups by the container's own files: docker's meaning, and nothing else."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from effects import users

PASSWD = """\
# a comment:x:1:1::/:
root:x:0:0:root:/root:/bin/sh
web:x:33:34::/var/www:
7:x:0:0::/root:
far:x:4294967296:1::/:
short:x:1
nohome:x:50:50:::
relhome:x:51:51::home:
caf\xe9:x:52:52::/home/cafe:
"""
GROUP = """\
root:x:0:
data:x:34:
extra:x:90:root,web
more:x:91:web
7:x:0:
broken:x:none:web2
"""


@pytest.fixture
def root(tmp_path: Path) -> Iterator[int]:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").write_text(PASSWD, encoding="latin-1")
    (tmp_path / "etc/group").write_text(GROUP)
    descriptor = os.open(tmp_path, os.O_PATH)
    yield descriptor
    os.close(descriptor)


@pytest.mark.parametrize(
    ("user", "groups", "expected"),
    [
        ("", [], (0, 0, [90], "/root")),
        ("root", [], (0, 0, [90], "/root")),
        ("0", [], (0, 0, [90], "/root")),
        ("web", [], (33, 34, [90, 91], "/var/www")),
        ("33", [], (33, 34, [90, 91], "/var/www")),
        ("web:data", [], (33, 34, [], "/var/www")),
        ("web:90", [], (33, 90, [], "/var/www")),
        ("web:", [], (33, 34, [90, 91], "/var/www")),
        (":91", [], (0, 91, [], "/root")),
        ("1000", [], (1000, 0, [], "/")),
        ("1000:1000", ["data", "5", "5"], (1000, 1000, [34, 5], "/")),
        ("7", [], (7, 0, [], "/")),
        ("7:7", [], (7, 7, [], "/")),
        ("web", ["data"], (33, 34, [90, 91, 34], "/var/www")),
        ("0033", [], (33, 34, [90, 91], "/var/www")),
        ("nohome", [], (50, 50, [], "/")),
        ("relhome", [], (51, 51, [], "/")),
        ("caf\udce9", [], (52, 52, [], "/home/cafe")),
        ("2147483647:2147483647", [], (2147483647, 2147483647, [], "/")),
    ],
)
def test_a_user_is_what_docker_makes_of_it(
    root: int, user: str, groups: list[str], expected: tuple[int, int, list[int], str]
) -> None:
    found = users.resolve(root, user, groups)
    assert (found.uid, found.gid, found.groups, found.home) == expected


@pytest.mark.parametrize(
    ("user", "groups", "code"),
    [
        ("nobody", [], errno.ENOENT),
        ("web:nogroup", [], errno.ENOENT),
        ("web", ["nogroup"], errno.ENOENT),
        ("web", [""], errno.ENOENT),
        ("short", [], errno.ENOENT),
        ("# a comment", [], errno.ENOENT),
        ("far", [], errno.EINVAL),
        ("web:broken", [], errno.EINVAL),
        ("-1", [], errno.ENOENT),
        ("2147483648", [], errno.EINVAL),
        ("0:2147483648", [], errno.EINVAL),
        ("9" * 5000, [], errno.EINVAL),
        ("web:data:x", [], errno.ENOENT),
        ("\u0660", [], errno.ENOENT),
    ],
)
def test_what_cannot_be_is_refused_with_a_reason(root: int, user: str, groups: list[str], code: int) -> None:
    with pytest.raises(OSError, match=r"user|group") as refused:
        users.resolve(root, user, groups)
    assert refused.value.errno == code


def test_an_image_without_the_files_still_has_ids(tmp_path: Path) -> None:
    descriptor = os.open(tmp_path, os.O_PATH)
    try:
        found = users.resolve(descriptor, "", ["5"])
        assert (found.uid, found.gid, found.groups, found.home) == (0, 0, [5], "/")
        with pytest.raises(OSError, match="no user 'root'"):
            users.resolve(descriptor, "root")
    finally:
        os.close(descriptor)


def test_a_name_that_steers_a_terminal_is_shown_escaped(root: int) -> None:
    with pytest.raises(OSError, match=r"\\x1b") as refused:
        users.resolve(root, "\x1b]0;x\x07" + "y" * 500)
    assert "\x1b" not in str(refused.value)
    assert len(str(refused.value)) < 250


def test_no_descriptor_is_left(root: int) -> None:
    before = os.listdir("/proc/self/fd")
    users.resolve(root, "web", ["data"])
    assert os.listdir("/proc/self/fd") == before
