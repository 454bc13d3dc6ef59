"""A root that is found elsewhere: nothing is written to it, nor to where it was, until somebody adopts it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.system.conftest import Docker
else:
    Docker = Any

pytestmark = pytest.mark.root

WRITES = "echo hi >/f; ln /f /g; mkdir /etc/new; rm /etc/group; chmod 700 /bin; echo x >>/etc/shadow"
LOOKS = "cat /f; ls /etc/new /etc/shadow; test ! -e /etc/group; test /f -ef /g; stat -c %a /bin; tail -1 /etc/shadow"


def copy_of(series: Docker, *, run_dir: str = "other-run") -> Docker:
    """What `cp -a` makes of the root, with a run directory of its own: as on another machine, or in another boot."""
    copy = type(series)(series.root.parent / "copied")
    copy.root.parent.mkdir()
    copy.run_dir = series.root.parent / run_dir
    subprocess.run(["cp", "-a", series.root, copy.root], check=True)
    copy.env |= {"MYDOCKER_ROOT": str(copy.root), "MYDOCKER_RUN_DIR": str(copy.run_dir)}
    return copy


def tree(root: Path) -> list[str]:
    """All paths below it that are not the journal's."""
    return sorted(str(path) for path in root.rglob("*") if "journal" not in path.parts)


def test_a_copied_root_is_only_read_until_it_is_adopted_and_then_its_containers_start(series: Docker) -> None:
    series.ok("run", "-name", "c1", "-net", "none", "busybox", "sh", "-c", WRITES)
    series.ok("run", "-d", "-name", "c2", "-net", "none", "busybox", "sleep", "1000")
    copy, before = copy_of(series), tree(series.root)
    lines = len(copy.events())

    for command in (["start", "c1"], ["rm", "-f", "c1"], ["run", "busybox", "true"], ["replay"]):
        refused = copy.fails(*command, code=125)
        assert (
            f"{copy.root} is only read: it is a copy of the one that was used in {series.root} [" in refused
        )
        assert "mydocker replay --moved" in refused
    assert "c1" in copy.ok("ps", "-a")
    assert len(copy.events()) == lines

    adopted = copy.ok("replay", "--moved")
    assert "c2: ended" in adopted or "c2: was left behind" in adopted
    assert series.inspect("c2")["State"]["Running"]
    assert "left behind when" in copy.ok("why", "c2")
    copy.ok("start", "c1")
    copy.ok("wait", "c1")
    copy.ok("rm", "c1")
    copy.ok("start", "c2")
    assert copy.ok("exec", "c2", "true") == ""
    copy.ok("rm", "-f", "c2")
    assert tree(series.root) == before
    assert "as it was written" in copy.ok("audit", "verify")
    series.ok("rm", "-f", "c1", "c2")


WRITERS: list[list[str]] = [
    ["run", "busybox", "true"],
    ["create", "busybox", "true"],
    ["start", "c1"],
    ["restart", "c1"],
    ["attach", "c1"],
    ["exec", "c2", "true"],
    ["stop", "c2"],
    ["kill", "c2"],
    ["pause", "c2"],
    ["unpause", "c2"],
    ["rename", "c1", "c3"],
    ["update", "-m", "100m", "c1"],
    ["cp", "c1:/f", "-"],
    ["commit", "c1", "image"],
    ["export", "c1"],
    ["import", "busybox.tar", "other"],
    ["rmi", "busybox"],
    ["rm", "-f", "c1"],
    ["network", "create", "net"],
    ["network", "prune", "-f"],
    ["system", "prune", "-f"],
    ["replay"],
    ["replay", "--fast"],
    ["journal", "repair", "--accept-loss"],
]
READERS: list[list[str]] = [
    ["ps", "-a"],
    ["inspect", "c1"],
    ["logs", "c1"],
    ["history", "c1"],
    ["why", "c1"],
    ["events"],
    ["audit"],
    ["audit", "verify"],
    ["audit", "seal"],
    ["ps", "--at", "1"],
    ["journal", "between", "1", "now"],
    ["journal", "stats"],
    ["journal", "archive"],  # there is nothing to archive
    ["replay", "--dry-run"],
    ["images"],
    ["network", "ls"],
    ["system", "df"],
    ["info"],
    ["diff", "c1"],
]


def contents(root: Path) -> dict[str, bytes]:
    """Every file below it with its bytes, every directory and link, but for the journal's caches."""
    found = {}
    for path in sorted(root.rglob("*")):
        name = str(path.relative_to(root))
        if not name.startswith(("journal/idx", "journal/snap")):
            whole = path.is_file() and not path.is_symlink()
            found[f"{name} {path.lstat().st_mode:o}"] = path.read_bytes() if whole else b""
    return found


@pytest.mark.parametrize(
    "torn", [b'{"t":"container.exi', b"\0" * 4096, b""], ids=["half a line", "zeros", "whole"]
)
def test_no_command_changes_a_byte_of_a_root_from_elsewhere_be_its_journal_torn(
    series: Docker, torn: bytes
) -> None:
    series.ok("run", "-name", "c1", "-net", "none", "busybox", "sh", "-c", WRITES)
    series.ok("run", "-d", "-name", "c2", "-net", "none", "busybox", "sleep", "1000")
    copy = copy_of(series)
    with open(copy.root / "journal" / f"{1:020}.jsonl", "ab") as segment:
        segment.write(torn)
    before = contents(copy.root)

    for command in WRITERS:
        done = copy(*command)
        if done.returncode == 0:
            assert command[0] in ("export", "cp"), f"{command}: {done.stdout}"
        else:
            assert f"{copy.root} is only read: it is a copy of the one" in done.stderr, (
                f"{command}: {done.stderr}"
            )
    for command in READERS:
        done = copy(*command)
        assert "Traceback" not in done.stderr, command
    assert contents(copy.root) == before
    series.ok("rm", "-f", "c1", "c2")


def test_a_damaged_journal_from_elsewhere_is_not_repaired(series: Docker) -> None:
    series.ok("run", "-name", "c1", "-net", "none", "busybox", "true")
    copy = copy_of(series)
    segment = copy.root / "journal" / f"{1:020}.jsonl"
    lines = segment.read_bytes().splitlines(keepends=True)
    segment.write_bytes(b"".join([*lines[:-3], lines[-3].replace(b"c", b"d", 1), *lines[-2:]]))
    before = contents(copy.root)

    for command in (["journal", "repair", "--accept-loss"], ["rm", "c1"]):
        assert f"{copy.root} is only read: " in copy.fails(*command, code=125)
    assert contents(copy.root) == before
    series.ok("rm", "c1")


def test_what_a_container_wrote_is_there_after_its_root_was_copied(series: Docker) -> None:
    series.ok("run", "-d", "-name", "c1", "-net", "none", "busybox", "sleep", "1000")
    series.ok("exec", "c1", "sh", "-c", WRITES)
    looked = series.ok("exec", "c1", "sh", "-c", LOOKS)
    assert looked.splitlines()[0] == "hi"
    series.ok("stop", "-t", "0", "c1")
    copy = copy_of(series)

    copy.ok("replay", "--moved")
    copy.ok("start", "c1")

    assert copy.ok("exec", "c1", "sh", "-c", LOOKS) == looked
    copy.ok("rm", "-f", "c1")
    series.ok("rm", "c1")


def test_a_root_that_was_renamed_is_adopted_and_removes_what_lies_in_it(series: Docker) -> None:
    series.ok("run", "-name", "c1", "-net", "none", "busybox", "true")
    was, now = series.root, series.root.parent / "renamed"
    was.rename(now)
    moved = type(series)(series.root.parent / "x")
    moved.root, moved.run_dir = now, series.run_dir
    moved.env |= {"MYDOCKER_ROOT": str(now), "MYDOCKER_RUN_DIR": str(series.run_dir)}

    assert f"it was moved here from {was} [" in moved.fails("rm", "c1", code=125)
    moved.ok("replay", "--moved")
    moved.ok("start", "c1")
    moved.ok("rm", "-f", "c1")

    assert list((now / "containers").iterdir()) == []
    assert not was.exists()
    shutil.move(now, was)
    series.ok("replay", "--moved")


def test_a_root_of_another_path_that_leads_to_it_is_no_other_root(series: Docker, tmp_path: Path) -> None:
    series.ok("run", "-name", "c1", "-net", "none", "busybox", "true")
    link = tmp_path / "link"
    link.symlink_to(series.root)

    series.ok("--root", link, "start", "c1")
    series.ok("--root", link, "rm", "-f", "c1")


def test_a_root_of_another_machine_is_named_as_such(series: Docker, tmp_path: Path) -> None:
    series.ok("run", "-name", "c1", "-net", "none", "busybox", "true")
    (tmp_path / "machine-id").write_text("0123456789abcdef0123456789abcdef\n")
    there = f'mount --bind {tmp_path}/machine-id /etc/machine-id && exec "$@"'
    series.prefix = ["unshare", "--mount", "sh", "-c", there, "-"]

    refused = series.fails("start", "c1", code=125)
    assert "it was last used on the machine with id " in refused
    assert "this one has 0123456789abcdef0123456789abcdef [" in refused
    series.ok("replay", "--moved")
    series.ok("start", "c1")
    series.ok("rm", "-f", "c1")
    series.prefix = []
    series.ok("replay", "--moved")


def test_containers_of_another_namespace_are_left_alone(series: Docker) -> None:
    series.ok("run", "-d", "-name", "c1", "-net", "none", "busybox", "sleep", "1000")
    series.prefix = ["unshare", "--pid", "--fork", "--mount-proc"]

    assert "live in another pid or network namespace" in series.fails("stop", "c1", code=125)
    assert "c1" in series.ok("ps", "-a")

    series.prefix = []
    assert series.inspect("c1")["State"]["Running"]
    series.ok("rm", "-f", "c1")
    series.prefix = ["unshare", "--net"]
    series.ok("run", "--rm", "-net", "none", "busybox", "true")  # nothing lives: at home here from now on
    series.prefix = []
    series.ok("run", "--rm", "-net", "none", "busybox", "true")


def test_a_copy_beside_its_original_in_one_boot_is_refused_and_once_it_is_adopted_both_go_on(
    series: Docker,
) -> None:
    series.ok("run", "-name", "c1", "-net", "none", "busybox", "true")
    copy = copy_of(series)

    assert f"it is a copy of the one that was used in {series.root} [" in copy.fails("rm", "c1", code=125)
    copy.ok("replay", "--moved")
    copy.ok("rm", "c1")

    series.ok("start", "c1")
    series.ok("rm", "-f", "c1")
