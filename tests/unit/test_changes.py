"""What changed, by what the kernel's own overlay left behind in real upper directories."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from effects import mounts, syscalls
from effects.changes import changes
from effects.jail import Child

LAYERS = ("top", "base")


class Overlay:
    """Two layers, an upper, and what is done through the kernel's overlay of them."""

    def __init__(self, place: Path) -> None:
        self.place = place
        for name in (*LAYERS, "upper", "work"):
            (place / name).mkdir()
        self.base, self.top, self.upper = place / "base", place / "top", place / "upper"

    @property
    def lower(self) -> list[str]:
        return [str(self.place / name) for name in LAYERS]

    def do(self, *acts: Callable[[], object]) -> None:
        """Run `acts` with the mounted overlay as its working directory; afterwards it is mounted nowhere."""

        def work() -> None:
            syscalls.unshare(syscalls.CLONE_NEWNS)
            syscalls.mount(None, "/", None, syscalls.MS_REC | syscalls.MS_PRIVATE)
            os.fchdir(mounts.overlay(self.lower, str(self.upper), str(self.place / "work")))
            for act in acts:
                act()

        Child(work, label="overlay").wait()

    def layer(self, *acts: Callable[[], object]) -> None:
        """What `acts` do becomes the layer `top`."""
        self.do(*acts)
        self.top.rmdir()
        self.upper.rename(self.top)
        shutil.rmtree(self.place / "work")
        self.upper.mkdir()
        (self.place / "work").mkdir()

    def changes(self, *own: str) -> list[str]:
        return [f"{kind} {path}" for kind, path in changes(str(self.upper), self.lower, own)]


@pytest.fixture
def overlay(tmp_path: Path) -> Overlay:
    made = Overlay(tmp_path)
    for name in ("etc", "bin", "old/deep", "tmp"):
        (made.base / name).mkdir(parents=True)
    for name in ("etc/passwd", "bin/sh", "old/deep/a", "old/b"):
        (made.base / name).write_text(name)
    return made


def write(path: str, text: str = "new") -> None:
    Path(path).write_text(text)


def test_nothing_done_is_nothing_changed(overlay: Overlay) -> None:
    overlay.do(lambda: os.listdir("etc"), lambda: Path("etc/passwd").read_text())

    assert overlay.changes() == []


def test_an_added_file_changes_its_directory(overlay: Overlay) -> None:
    overlay.do(lambda: write("etc/new"))

    assert overlay.changes() == ["C /etc", "A /etc/new"]


def test_a_rewritten_file_and_its_directories_are_changed(overlay: Overlay) -> None:
    overlay.do(lambda: write("old/deep/a"))

    assert overlay.changes() == ["C /old", "C /old/deep", "C /old/deep/a"]


def test_of_a_deleted_tree_only_the_top_is_told(overlay: Overlay) -> None:
    overlay.do(lambda: shutil.rmtree("old"), lambda: os.unlink("etc/passwd"))

    assert overlay.changes() == ["C /etc", "D /etc/passwd", "D /old"]


def test_of_an_added_tree_everything_is_told(overlay: Overlay) -> None:
    overlay.do(
        lambda: os.makedirs("new/deep"), lambda: write("new/deep/a"), lambda: os.symlink("/etc", "new/link")
    )

    assert overlay.changes() == ["A /new", "A /new/deep", "A /new/deep/a", "A /new/link"]


def test_what_was_made_and_deleted_again_is_no_change_but_of_time(overlay: Overlay) -> None:
    overlay.do(lambda: write("tmp/a"), lambda: os.unlink("tmp/a"))

    assert overlay.changes() == ["C /tmp"]


def test_a_directory_made_anew_hides_what_was_in_it(overlay: Overlay) -> None:
    def act() -> None:
        shutil.rmtree("old")
        os.mkdir("old")
        write("old/b")
        write("old/c")

    overlay.do(act)

    assert os.getxattr(overlay.upper / "old", "trusted.overlay.opaque") == b"y"
    assert overlay.changes() == ["C /old", "C /old/b", "A /old/c", "D /old/deep"]


def test_a_file_in_the_place_of_a_directory_is_one_change(overlay: Overlay) -> None:
    overlay.do(lambda: shutil.rmtree("old"), lambda: write("old"))

    assert overlay.changes() == ["C /old"]


def test_a_directory_in_the_place_of_a_file_shows_what_is_in_it(overlay: Overlay) -> None:
    overlay.do(lambda: os.unlink("bin/sh"), lambda: os.mkdir("bin/sh"), lambda: write("bin/sh/a"))

    assert overlay.changes() == ["C /bin", "C /bin/sh", "A /bin/sh/a"]


def test_a_directorys_mode_and_owner_are_changes(overlay: Overlay) -> None:
    overlay.do(lambda: os.chmod("etc", 0o700), lambda: os.chown("bin", 7, 7))

    assert overlay.changes() == ["C /bin", "C /etc"]


def test_what_an_upper_layer_deleted_is_added_when_it_comes_back(overlay: Overlay) -> None:
    overlay.layer(lambda: shutil.rmtree("old"), lambda: os.unlink("bin/sh"))
    overlay.do(lambda: os.mkdir("old"), lambda: write("old/b"), lambda: write("bin/sh"))

    assert overlay.changes() == ["C /bin", "A /bin/sh", "A /old", "A /old/b"]


def test_what_an_upper_layer_deleted_is_not_deleted_again(overlay: Overlay) -> None:
    overlay.layer(lambda: os.unlink("old/b"))

    def act() -> None:
        shutil.rmtree("old")
        os.mkdir("old")

    overlay.do(act)

    assert overlay.changes() == ["C /old", "D /old/deep"]


def test_what_lies_below_an_opaque_directory_of_a_layer_is_not_in_the_image(overlay: Overlay) -> None:
    def act() -> None:
        shutil.rmtree("old")
        os.makedirs("old/deep")

    overlay.layer(act)
    overlay.do(lambda: write("old/b"), lambda: write("old/deep/a"))

    assert overlay.changes() == ["C /old", "A /old/b", "C /old/deep", "A /old/deep/a"]


def test_a_file_of_an_upper_layer_hides_a_directory_of_a_lower_one(overlay: Overlay) -> None:
    overlay.layer(lambda: shutil.rmtree("old"), lambda: write("old"))
    overlay.do(lambda: os.unlink("old"), lambda: os.mkdir("old"), lambda: write("old/b"))

    assert overlay.changes() == ["C /old", "A /old/b"]


def test_directories_of_several_layers_are_one(overlay: Overlay) -> None:
    overlay.layer(lambda: write("etc/group"))
    overlay.do(lambda: write("etc/passwd"), lambda: write("etc/group"), lambda: write("etc/new"))

    assert overlay.changes() == ["C /etc", "C /etc/group", "A /etc/new", "C /etc/passwd"]


def test_a_whiteout_of_nothing_is_no_change(overlay: Overlay) -> None:
    os.mknod(overlay.upper / "ghost", stat.S_IFCHR, os.makedev(0, 0))

    assert overlay.changes() == []


def test_a_device_of_the_containers_own_is_added(overlay: Overlay) -> None:
    os.mknod(overlay.upper / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))

    assert overlay.changes() == ["A /null"]


def test_mount_points_that_the_engine_made_are_no_changes(overlay: Overlay) -> None:
    def act() -> None:
        for name in ("proc", "sys", "data/volume"):
            os.makedirs(name)
        write("etc/hosts", "")

    overlay.do(act)

    assert overlay.changes("/proc", "/sys", "/data/volume", "/etc/hosts") == []
    assert overlay.changes("/proc") == [
        *("A /data", "A /data/volume", "C /etc", "A /etc/hosts", "A /sys"),
    ]


def test_a_directory_with_a_mount_point_is_changed_all_the_same_by_anything_else(overlay: Overlay) -> None:
    overlay.do(lambda: write("etc/hosts", ""), lambda: write("etc/new"))

    assert overlay.changes("/etc/hosts") == ["C /etc", "A /etc/new"]


def test_what_lies_in_a_mount_point_makes_it_an_addition(overlay: Overlay) -> None:
    overlay.do(lambda: os.makedirs("data/volume"), lambda: write("data/volume/kept"))

    assert overlay.changes("/data/volume") == ["A /data", "A /data/volume", "A /data/volume/kept"]


def test_a_mount_point_of_the_image_may_be_deleted(overlay: Overlay) -> None:
    overlay.do(lambda: os.unlink("etc/passwd"))

    assert overlay.changes("/etc/passwd") == ["C /etc", "D /etc/passwd"]


def test_links_are_never_followed(overlay: Overlay, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/secret").write_text("")
    shutil.rmtree(overlay.base / "old")
    os.symlink(tmp_path / "outside", overlay.base / "old")
    overlay.do(
        lambda: os.unlink("old"),
        lambda: os.mkdir("old"),
        lambda: write("old/secret"),
        lambda: os.symlink(tmp_path, "out"),
    )

    assert overlay.changes() == ["C /old", "A /old/secret", "A /out"]
    assert os.listdir(tmp_path / "outside") == ["secret"]


def test_names_of_any_bytes_are_told_and_children_stand_behind_their_directory(overlay: Overlay) -> None:
    def act() -> None:
        os.mkdir(b"\xff")
        os.mkdir(b"\xff/a")
        write("a-b")
        os.mkdir("a")
        write("a/b")

    overlay.do(act)

    assert overlay.changes() == ["A /a", "A /a/b", "A /a-b", "A /\udcff", "A /\udcff/a"]


def test_a_tree_of_any_depth_costs_no_descriptors(overlay: Overlay) -> None:
    depth = 1000

    def act() -> None:
        for _ in range(depth):
            os.mkdir("d")
            os.chdir("d")

    overlay.do(act)
    before = os.listdir("/proc/self/fd")
    found = overlay.changes()

    assert len(found) == depth
    assert os.listdir("/proc/self/fd") == before
    subprocess.run(["rm", "-rf", str(overlay.upper)], check=True)


def test_a_directory_that_vanishes_meanwhile_is_passed_over(
    overlay: Overlay, monkeypatch: pytest.MonkeyPatch
) -> None:
    overlay.do(
        lambda: os.mkdir("gone"), lambda: write("gone/a"), lambda: os.mkdir("kept"), lambda: write("kept/a")
    )
    listdir = os.listdir

    def slow_listdir(where: int) -> list[str]:
        found = listdir(where)
        shutil.rmtree(overlay.upper / "gone", ignore_errors=True)
        return found

    monkeypatch.setattr(os, "listdir", slow_listdir)

    assert "A /kept/a" in overlay.changes()


def test_an_upper_directory_that_is_missing_is_an_error(overlay: Overlay) -> None:
    overlay.upper.rmdir()

    with pytest.raises(FileNotFoundError):
        overlay.changes()
