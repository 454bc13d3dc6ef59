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


def test_a_copy_beside_its_original_in_one_boot_is_refused_and_the_original_once_it_is_adopted(
    series: Docker,
) -> None:
    series.ok("run", "-name", "c1", "-net", "none", "busybox", "true")
    copy = copy_of(series, run_dir="run")

    assert "it is a copy of one that was used in this boot [" in copy.fails("rm", "c1", code=125)
    copy.ok("replay", "--moved")
    copy.ok("rm", "c1")

    assert "is only read" in series.fails("start", "c1", code=125)
    series.ok("replay", "--moved")
    series.ok("rm", "c1")
