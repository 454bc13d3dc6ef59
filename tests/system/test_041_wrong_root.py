"""A root that cannot be one: each kind of command says in one line what is wrong with which path, and what to do."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.system.conftest import Docker
else:
    Docker = Any

pytestmark = pytest.mark.root

COMMANDS = [
    ["ps"],
    ["run", "busybox", "true"],
    ["rm", "c1"],
    ["history", "c1"],
    ["events"],
    ["events", "-f", "--until", "0s"],
    ["ps", "--at", "1"],
    ["audit"],
    ["audit", "verify"],
    ["replay"],
    ["system", "df"],
    ["journal", "stats"],
    ["journal", "snapshot"],
    ["journal", "repair", "--accept-loss"],
]
MOVE = "not a directory [move it away, or name another root]"


def _journal(what: Callable[[Path], object]) -> Callable[[Path], object]:
    def make(root: Path) -> None:
        root.mkdir()
        what(root / "journal")

    return make


STATES: dict[str, tuple[Callable[[Path], object], str]] = {
    "a file as root": (Path.touch, f"{{root}} is a file, {MOVE}"),
    "a file as journal": (_journal(Path.touch), f"{{root}}/journal is a file, {MOVE}"),
    "a pipe as journal": (_journal(os.mkfifo), f"{{root}}/journal is something else, {MOVE}"),
    "a dangling link as root": (
        lambda root: root.symlink_to("/none/there"),
        "{root} is a link to /none/there, where nothing is [make or mount that, or name another root]",
    ),
    "a dangling link as journal": (
        _journal(lambda path: path.symlink_to("/none/there")),
        "{root}/journal is a link to /none/there, where nothing is [make or mount that, or name another root]",
    ),
    "a link to a file as journal": (
        _journal(lambda path: path.symlink_to("/etc/hostname")),
        f"{{root}}/journal is a link to /etc/hostname, {MOVE}",
    ),
    "a link to itself as journal": (
        _journal(lambda path: path.symlink_to("journal")),
        f"{{root}}/journal is a link to itself, {MOVE}",
    ),
}


@pytest.mark.parametrize("state", STATES)
def test_every_command_tells_what_stands_where_the_root_should_be(docker: Docker, state: str) -> None:
    make, expected = STATES[state]
    root = docker.root.parent / "wrong"
    make(root)

    for command in COMMANDS:
        said = docker.fails("--root", root, *command, code=125)
        assert said == f"mydocker: cannot open the journal: {expected.format(root=root)}", command
    assert os.path.islink(root) or not root.is_dir() or os.listdir(root) == ["journal"]


@pytest.mark.parametrize("name", ["containers", "layers", "staging", "mnt"])
def test_a_file_where_a_directory_of_the_root_should_be_is_named(series: Docker, name: str) -> None:
    series.ok("ps")
    (series.root / name).touch()

    said = series.fails("run", "busybox", "true", code=125)

    assert said == f"mydocker: cannot make a directory: {series.root}/{name} is a file, {MOVE}"
    (series.root / name).unlink()


def test_a_file_in_place_of_the_archive_is_told_by_whoever_reads_it(series: Docker) -> None:
    series.ok("run", "--rm", "busybox", "true")
    archive = series.root / "journal" / "archive"
    archive.touch()

    for command in (["audit", "verify"], ["history", "image/busybox"], ["replay"]):
        said = series.fails(*command, code=125)
        assert said == f"mydocker: cannot open the journal: {archive} is a file, {MOVE}"
    assert series.ok("ps") != ""
    archive.unlink()


def test_on_a_read_only_disk_what_reads_works_and_what_writes_says_what_to_do(series: Docker) -> None:
    series.ok("run", "-name", "c1", "busybox", "true")
    mount = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec "$@"'
    series.prefix = ["unshare", "--mount", "sh", "-c", mount, str(series.root)]

    for command in (["ps", "-a"], ["history", "c1"], ["why", "c1"], ["events"], ["audit", "verify"]):
        assert series.ok(*command)
    for command in (["ps", "--at", "now"], ["replay", "--dry-run"], ["journal", "stats"], ["system", "df"]):
        assert series.ok(*command)
    for command in (["run", "busybox", "true"], ["rm", "c1"], ["replay", "-q"], ["system", "prune", "-f"]):
        said = series.fails(*command, code=125)
        assert said == (
            f"mydocker: {series.root}/journal/lock cannot be written: Read-only file system "
            "[mount it read-write; what only reads goes on working]"
        )
    series.prefix = []
    series.ok("rm", "c1")
