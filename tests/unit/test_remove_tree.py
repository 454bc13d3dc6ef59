"""Removing a tree removes all of it, and nothing beyond it."""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from effects import syscalls
from effects.remove_tree import remove_tree


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    """A directory elsewhere, with a file that must survive."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "canary").write_text("alive")
    return tmp_path / "elsewhere"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "tree" / "a" / "b").mkdir(parents=True)
    (tmp_path / "tree" / "a" / "file").write_text("x")
    return tmp_path / "tree"


@pytest.fixture
def bind(canary: Path, tree: Path) -> Iterator[Path]:
    """The canary's directory, of the same device, mounted inside the tree."""
    target = tree / "a" / "b"
    syscalls.mount(str(canary), str(target), None, syscalls.MS_BIND)
    yield target
    syscalls.umount2(str(target), syscalls.MNT_DETACH)


def test_all_kinds_of_entries_go(tree: Path, canary: Path) -> None:
    os.mkfifo(tree / "fifo")
    (tree / "link").symlink_to(canary)
    (tree / "dangling").symlink_to("nowhere")
    (tree / os.fsdecode(b"not-utf8-\xff")).write_text("x")
    (tree / "a" / "closed").mkdir(mode=0)

    remove_tree(str(tree))

    assert not tree.exists()
    assert (canary / "canary").read_text() == "alive"


def test_a_tree_that_is_gone_is_success(tmp_path: Path) -> None:
    remove_tree(str(tmp_path / "never"))
    remove_tree(str(tmp_path / "never" / "below"))


def test_a_link_in_its_place_is_removed_and_not_followed(tmp_path: Path, canary: Path) -> None:
    link = tmp_path / "tree"
    link.symlink_to(canary)
    remove_tree(str(link))
    assert not link.is_symlink()
    assert (canary / "canary").read_text() == "alive"


@pytest.mark.root
def test_a_mount_inside_is_named_and_its_content_survives(bind: Path, tree: Path, canary: Path) -> None:
    with pytest.raises(OSError, match="a mount lies here") as refused:
        remove_tree(str(tree))
    assert (refused.value.errno, refused.value.filename) == (errno.EBUSY, str(bind))
    assert (canary / "canary").read_text() == "alive"


@pytest.mark.root
def test_a_mount_at_the_top_is_refused(bind: Path, canary: Path) -> None:
    with pytest.raises(OSError, match="a mount lies here"):
        remove_tree(str(bind))
    assert (canary / "canary").read_text() == "alive"


@pytest.mark.root
def test_a_mounted_file_is_refused_and_survives(tree: Path, canary: Path) -> None:
    target = tree / "a" / "file"
    syscalls.mount(str(canary / "canary"), str(target), None, syscalls.MS_BIND)
    try:
        with pytest.raises(OSError, match="a mount lies here") as refused:
            remove_tree(str(tree))
    finally:
        syscalls.umount2(str(target), syscalls.MNT_DETACH)
    assert refused.value.filename == str(target)
    assert (canary / "canary").read_text() == "alive"


def test_more_levels_than_descriptors_and_longer_than_any_path(tree: Path) -> None:
    depth = 1500
    (tree / ".deep-0").mkdir()  # where the removal would like to put something
    (tree / ".deep-0" / "kept").write_text("x")
    where = os.open(tree, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("d" * 10, dir_fd=where)
        below = os.open("d" * 10, os.O_RDONLY, dir_fd=where)
        os.close(where)
        where = below
    os.close(where)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    try:
        remove_tree(str(tree))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert not tree.exists()


def test_a_directory_of_many_entries_goes(tree: Path) -> None:
    for number in range(9000):
        os.mknod(tree / str(number))
    remove_tree(str(tree))
    assert not tree.exists()


def test_no_descriptor_is_left_open(tree: Path) -> None:
    before = os.listdir("/proc/self/fd")
    remove_tree(str(tree))
    assert os.listdir("/proc/self/fd") == before
