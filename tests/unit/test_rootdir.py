"""Paths below a hostile root: links end inside it, and what is missing is made where they lead."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from effects import rootdir


@pytest.fixture
def root(tmp_path: Path) -> Iterator[tuple[Path, int]]:
    """A root full of links, beside a directory that must stay empty."""
    place = tmp_path / "root"
    (place / "real/deep").mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    (place / "file").write_text("")
    links = {
        "absolute": "/real",
        "escape": "../../outside",
        "host": str(tmp_path / "outside"),
        "dangling": "/made/by/link",
        "relative": "real/../elsewhere/x",
        "chain": "dangling",
        "loop": "loop",
        "real/up": "../sideways",
        "magic": "/proc/self/root",
    }
    for name, target in links.items():
        (place / name).symlink_to(target)
    descriptor = os.open(place, os.O_PATH)
    yield place, descriptor
    os.close(descriptor)
    assert not os.listdir(tmp_path / "outside")


@pytest.mark.parametrize(
    ("path", "made"),
    [
        ("/", "."),
        ("/real/deep", "real/deep"),
        ("new", "new"),
        ("/new//a/./b/", "new/a/b"),
        ("/absolute/x", "real/x"),
        ("/escape/x", "outside/x"),
        ("/dangling/x", "made/by/link/x"),
        ("/dangling", "made/by/link"),
        ("/chain/x", "made/by/link/x"),
        ("/relative", "elsewhere/x"),
        ("/real/up/y", "sideways/y"),
        ("/absolute/up/y", "sideways/y"),
    ],
)
def test_a_directory_is_made_where_the_container_would_see_it(
    root: tuple[Path, int], path: str, made: str
) -> None:
    place, descriptor = root
    for _ in range(2):  # the second time it is there
        handle = rootdir.make_dir(descriptor, path)
        assert os.path.samestat(os.fstat(handle), os.stat(place / made))
        os.close(handle)


@pytest.mark.parametrize(
    ("path", "made"),
    [("/new/f", "new/f"), ("/dangling", "made/by/link"), ("/absolute/f", "real/f"), ("file", "file")],
)
def test_a_file_is_made_where_the_container_would_see_it(
    root: tuple[Path, int], path: str, made: str
) -> None:
    place, descriptor = root
    for _ in range(2):
        handle = rootdir.make_file(descriptor, path)
        assert os.path.samestat(os.fstat(handle), os.stat(place / made))
        os.close(handle)
    assert (place / made).read_text() == ""


def test_a_link_to_a_path_of_the_host_makes_that_path_inside(root: tuple[Path, int]) -> None:
    place, descriptor = root
    handle = rootdir.make_dir(descriptor, "/host/x")
    assert os.readlink(f"/proc/self/fd/{handle}").startswith(f"{place}/")
    os.close(handle)


@pytest.mark.parametrize(
    ("path", "code"),
    [("/file", errno.ENOTDIR), ("/file/x", errno.ENOTDIR), ("/loop", errno.ELOOP), ("/loop/x", errno.ELOOP)],
)
def test_what_cannot_be_a_directory_is_told(root: tuple[Path, int], path: str, code: int) -> None:
    before = sorted(os.listdir("/proc/self/fd"))
    with pytest.raises(OSError, match=r".") as refused:
        rootdir.make_dir(root[1], path)
    assert refused.value.errno == code
    assert sorted(os.listdir("/proc/self/fd")) == before


def test_a_link_of_proc_leads_nowhere() -> None:
    proc = os.open("/proc", os.O_PATH)
    try:
        with pytest.raises(OSError, match="symbolic links"):
            rootdir.open_in(proc, "self/root/etc")
        with pytest.raises(OSError, match="symbolic links"):
            rootdir.open_in(proc, "self/fd/0")
    finally:
        os.close(proc)


def test_no_descriptor_is_left(root: tuple[Path, int]) -> None:
    before = sorted(os.listdir("/proc/self/fd"))
    os.close(rootdir.make_dir(root[1], "/a/b/c/d"))
    os.close(rootdir.make_file(root[1], "/chain/e/f"))
    assert sorted(os.listdir("/proc/self/fd")) == before
