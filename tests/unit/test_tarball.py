"""A tree that was written is the same tree when it is read, by us and by GNU tar, and only that tree."""

from __future__ import annotations

import os
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from effects import syscalls, tarball, tarwriter
from tests import tars

pytestmark = pytest.mark.root

_NAMES = st.binary(min_size=1, max_size=8).filter(
    lambda name: not set(name) & {0, 47} and name not in {b".", b".."}
)
_LONG_NAMES = st.builds(lambda name, times: (name * times)[:255], _NAMES, st.integers(1, 60)).filter(
    lambda name: name not in {b".", b".."}
)
_MODES = st.integers(0, 0o7777)
_OWNERS = st.sampled_from([0, 1, 1000, 2_097_152, 4_294_967_294])
_TIMES = st.integers(-(2**31) * 10**9, 2**34 * 10**9 - 1)
_XATTRS = st.dictionaries(st.from_regex(r"[a-z.=%]{1,9}", fullmatch=True), st.binary(max_size=40), max_size=2)
_LEAVES = st.one_of(
    st.tuples(st.just("file"), st.binary(max_size=1500)),
    st.tuples(st.just("link"), st.binary(min_size=1, max_size=200).filter(lambda target: 0 not in target)),
    st.tuples(st.just("fifo"), st.none()),
    st.tuples(st.just("device"), st.integers(1, 2**20 - 1)),
    st.tuples(st.just("hard"), st.integers(0, 100)),
)
_TREES = st.recursive(
    st.dictionaries(_LONG_NAMES, st.tuples(_LEAVES, _MODES, _OWNERS, _TIMES, _XATTRS), max_size=4),
    lambda below: st.dictionaries(
        _LONG_NAMES,
        st.tuples(st.one_of(_LEAVES, st.tuples(st.just("dir"), below)), _MODES, _OWNERS, _TIMES, _XATTRS),
        max_size=4,
    ),
    max_leaves=12,
)


def grow(top: bytes, branches: dict[bytes, Any], made: list[bytes]) -> None:
    """Make the drawn tree; `made` are the files that hard links may go to."""
    for name, ((kind, content), mode, owner, time, xattrs) in branches.items():
        path = top + b"/" + name
        if kind == "dir":
            os.mkdir(path)
            grow(path, content, made)
        elif kind == "link":
            os.symlink(content, path)
        elif kind == "fifo":
            os.mkfifo(path)
        elif kind == "device":
            os.mknod(path, 0o60600, os.makedev(content % 4096, content))
        elif kind == "hard" and made:
            os.link(made[content % len(made)], path, follow_symlinks=False)
            continue
        else:
            Path(os.fsdecode(path)).write_bytes(content if isinstance(content, bytes) else b"")
            made.append(path)
        os.chown(path, owner, owner, follow_symlinks=False)
        if kind != "link":
            # On a FIFO or a device setuid means nothing, and is not kept.
            os.chmod(path, mode if kind in {"dir", "file", "hard"} else mode & 0o1777)
        if kind in {"dir", "file"}:
            for key, value in xattrs.items():
                os.setxattr(path, "user." + key, value)
        os.utime(path, ns=(0, time), follow_symlinks=False)


@given(_TREES)
@settings(max_examples=100, deadline=None)
def test_pack_and_unpack_give_the_same_tree(branches: dict[bytes, Any]) -> None:
    with tempfile.TemporaryDirectory() as place:
        source, target = Path(place, "source"), Path(place, "target")
        source.mkdir()
        target.mkdir()
        grow(os.fsencode(source), branches, [])
        content = tars.pack(source)
        tars.unpack(content, target)
        assert tars.tree(target) == tars.tree(source)
        assert tars.pack(target) == content


@given(_TREES)
@settings(max_examples=100, deadline=None)
def test_gnu_tar_reads_the_same_tree(branches: dict[bytes, Any]) -> None:
    with tempfile.TemporaryDirectory() as place:
        source, target = Path(place, "source"), Path(place, "target")
        source.mkdir()
        target.mkdir()
        grow(os.fsencode(source), branches, [])
        command = [
            "tar",
            "-xp",
            "--xattrs",
            "--xattrs-include=*",
            "--same-owner",
            "--warning=no-timestamp",
            "-C",
            str(target),
        ]
        run = subprocess.run(
            command,
            input=tars.pack(source),
            capture_output=True,
            check=False,
            env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"},
        )
        assert (run.returncode, run.stderr) == (0, b"")
        assert tars.tree(target) == tars.tree(source)


@pytest.fixture
def top(tmp_path: Path) -> Path:
    (tmp_path / "top" / "dir").mkdir(parents=True)
    (tmp_path / "top" / "dir" / "file").write_text("content")
    (tmp_path / "top" / "a").write_text("a")
    return tmp_path / "top"


def names(content: bytes) -> list[str]:
    listing = subprocess.run(
        ["tar", "-t", "--quoting-style=literal"], input=content, capture_output=True, check=True
    )
    return listing.stdout.decode().splitlines()


def test_the_order_is_that_of_the_names_and_files_come_before_directories(top: Path) -> None:
    for name in ("z", "b/x", "b-c/y", "dir/sub/deep"):
        (top / name).parent.mkdir(exist_ok=True)
        (top / name).touch()
    assert names(tars.pack(top)) == [
        *("./", "a", "z", "b/", "b/x", "b-c/", "b-c/y", "dir/", "dir/file", "dir/sub/", "dir/sub/deep")
    ]


def test_the_same_tree_made_in_another_order_gives_the_same_bytes(tmp_path: Path) -> None:
    for number, place in enumerate(("one", "two")):
        (tmp_path / place).mkdir()
        order = [b"x", b"\xff", "ü".encode(), b"A"]
        for name in order if number else reversed(order):
            path = os.fsencode(tmp_path / place) + b"/" + name
            os.close(os.open(path, os.O_CREAT, 0o600))
            os.utime(path, ns=(number, 5_000_000_001))
        os.utime(tmp_path / place, ns=(number, 7))
    assert tars.pack(tmp_path / "one") == tars.pack(tmp_path / "two")


def test_names_and_users_of_this_machine_are_not_in_it(top: Path) -> None:
    content = tars.pack(top)
    assert content[265:329] == bytes(64)
    assert b"root" not in content


def test_a_name_longer_than_a_header_that_is_not_utf8_survives_gnu_tar(tmp_path: Path) -> None:
    name = b"\xff" * 200
    (tmp_path / "in").mkdir()
    os.close(os.open(os.fsencode(tmp_path / "in") + b"/" + name, os.O_CREAT))
    (tmp_path / "out").mkdir()
    subprocess.run(["tar", "-x", "-C", tmp_path / "out"], input=tars.pack(tmp_path / "in"), check=True)
    assert os.listdir(os.fsencode(tmp_path / "out")) == [name]


def test_everything_lies_below_the_top_name_asked_for(top: Path) -> None:
    assert names(tars.pack(top, top=b"new")) == ["new/", "new/a", "new/dir/", "new/dir/file"]
    assert names(tars.pack(top / "a", top=b"alone")) == ["alone"]


def test_sockets_are_left_out_and_told(top: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.fspath(top / "control"))
        root, out = os.open(top, os.O_RDONLY), os.memfd_create("out")
        try:
            packed = tarball.pack(root, out)
        finally:
            os.close(root)
            os.close(out)
    assert packed.skipped == ["control: a socket"]
    assert packed.entries == 4


def test_overlays_own_marks_are_never_written(top: Path, tmp_path: Path) -> None:
    os.mknod(top / "whiteout", 0o20000, os.makedev(0, 0))
    for name in ("trusted.overlay.opaque", "user.overlay.opaque", "trusted.mine", "user.kept"):
        os.setxattr(top / "dir", name, b"y")
    content = tars.pack(top)
    assert "whiteout" not in names(content)
    assert b"overlay" not in content
    assert b"trusted" not in content
    assert b"SCHILY.xattr.user.kept=y" in content


def test_the_configuration_goes_through(top: Path, tmp_path: Path) -> None:
    config = {"cmd": ["/bin/sh", "-c", "echo 'ü\n\udcff'"], "env": {"A": "="}}
    (tmp_path / "out").mkdir()
    assert tars.unpack(tars.pack(top, config=config), tmp_path / "out").config == config
    assert names(tars.pack(top, config=config)) == names(tars.pack(top))


@contextmanager
def mounted(source: Path, target: Path) -> Iterator[None]:
    syscalls.mount(str(source), str(target), None, syscalls.MS_BIND)
    try:
        yield
    finally:
        syscalls.umount2(str(target), syscalls.MNT_DETACH)


def test_a_mount_point_is_not_crossed_even_on_the_same_device(top: Path, tmp_path: Path) -> None:
    (tmp_path / "volume").mkdir()
    (tmp_path / "volume" / "secret").write_text("of the host")
    (tmp_path / "hosts").write_text("of the host")
    with mounted(tmp_path / "volume", top / "dir"), mounted(tmp_path / "hosts", top / "a"):
        content = tars.pack(top)
        crossing = tars.pack(top, cross_mounts=True)
    assert names(content) == ["./", "a", "dir/"]
    assert b"of the host" not in content
    assert names(crossing) == ["./", "a", "dir/", "dir/secret"]


def test_what_the_kernel_invents_is_never_read(top: Path) -> None:
    syscalls.mount("proc", str(top / "dir"), "proc")
    try:
        assert names(tars.pack(top, cross_mounts=True)) == ["./", "a", "dir/"]
    finally:
        syscalls.umount2(str(top / "dir"), syscalls.MNT_DETACH)


@pytest.fixture
def grafts(tmp_path: Path) -> Iterator[Callable[[Path], int]]:
    opened: list[int] = []

    def graft(path: Path) -> int:
        opened.append(os.open(path, os.O_RDONLY))
        return opened[-1]

    yield graft
    for descriptor in opened:
        os.close(descriptor)


def test_volumes_are_written_where_they_are_mounted(
    top: Path, tmp_path: Path, grafts: Callable[[Path], int]
) -> None:
    """Into a directory that is there, into one that is not, over a file, one within the other."""
    (tmp_path / "v1" / "inner").mkdir(parents=True)
    (tmp_path / "v1" / "one").write_text("1")
    (tmp_path / "v2").mkdir()
    (tmp_path / "v2" / "two").write_text("2")
    (tmp_path / "conf").write_text("grafted")
    given_ = [
        ("/dir/", grafts(tmp_path / "v1")),
        ("/dir/inner", grafts(tmp_path / "v2")),
        ("/not/there", grafts(tmp_path / "v2")),
        ("/a", grafts(tmp_path / "conf")),
    ]
    content = tars.pack(top, grafts=given_)
    assert names(content) == [
        "./",
        "a",
        "dir/",
        "dir/one",
        "dir/inner/",
        "dir/inner/two",
        "not/there/",
        "not/there/two",
    ]
    (tmp_path / "out").mkdir()
    tars.unpack(content, tmp_path / "out")
    assert (tmp_path / "out" / "a").read_text() == "grafted"


def test_of_an_excluded_path_only_the_empty_place_is_written(top: Path) -> None:
    content = tars.pack(top, exclude=["/dir", "a"])
    assert names(content) == ["./", "a", "dir/"]
    assert len(content) <= (3 * 3 + 2) * 512


def test_holes_are_not_written_and_come_back_as_holes(tmp_path: Path) -> None:
    for place in ("in", "out", "gnu"):
        (tmp_path / place).mkdir()
    for name, ends in (
        ("lastlog", (0, 50 << 20)),
        ("empty", ()),
        ("middle", (10 << 20,)),
        ("n" * 120, (5 << 20,)),
    ):
        with open(tmp_path / "in" / name, "wb") as file:
            file.truncate(60 << 20)
            for at in ends:
                file.seek(at)
                file.write(b"x" * 100)
    content = tars.pack(tmp_path / "in")
    assert len(content) < 1 << 20
    tars.unpack(content, tmp_path / "out")
    subprocess.run(["tar", "-x", "-C", tmp_path / "gnu"], input=content, check=True)
    assert tars.tree(tmp_path / "out") == tars.tree(tmp_path / "gnu") == tars.tree(tmp_path / "in")
    assert (tmp_path / "out" / "lastlog").stat().st_blocks * 512 < 1 << 20


@pytest.mark.parametrize("change", [-3000, -9000, 3000])
def test_a_file_that_changes_while_it_is_read_does_not_break_the_stream(
    change: int, top: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is measured, then it changes, then it is read: cut to the size that its header tells, or padded with zeros."""
    (top / "dir" / "log").write_bytes(b"x" * 9000)
    honest = tarwriter.attributes

    def meddle(descriptor: int) -> list[tuple[bytes, bytes]]:
        if os.readlink(f"/proc/self/fd/{descriptor}").endswith("log"):
            os.truncate(top / "dir" / "log", 9000 + change)
        return honest(descriptor)

    monkeypatch.setattr(tarwriter, "attributes", meddle)
    content = tars.pack(top)
    (tmp_path / "out").mkdir()
    tars.unpack(content, tmp_path / "out")
    kept = min(9000, 9000 + change)
    assert (tmp_path / "out" / "dir" / "log").read_bytes() == b"x" * kept + bytes(9000 - kept)


def test_a_link_that_takes_a_files_or_directorys_place_is_not_followed(
    top: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the listing and the opening, both become links to outside."""
    (tmp_path / "secret").write_text("of the host")
    honest = tarball._open

    def meddle(directory: int, name: bytes, flags: int, **more: bool) -> tuple[int, bool]:
        for path in (top / "a", top / "dir"):
            if path.name == os.fsdecode(name) and not path.is_symlink():
                path.rename(tmp_path / f"was-{path.name}")
                path.symlink_to(tmp_path / "secret" if path.name == "a" else tmp_path)
        return honest(directory, name, flags, **more)

    monkeypatch.setattr(tarball, "_open", meddle)
    assert names(tars.pack(top)) == ["./"]


def test_a_link_that_takes_the_place_of_a_directory_above_is_not_gone_through(
    top: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither one out of the tree, nor one that stays within it."""
    for place in (tmp_path / "elsewhere", top / "within"):
        (place / "sub").mkdir(parents=True)
        (place / "sub" / "secret").write_text("x")
    (top / "dir" / "sub").mkdir()
    (top / "dirs" / "sub").mkdir(parents=True)
    honest = tarball._open

    def meddle(directory: int, name: bytes, flags: int, **more: bool) -> tuple[int, bool]:
        for path, target in ((top / "dir", tmp_path / "elsewhere"), (top / "dirs", Path("within"))):
            if os.fsdecode(name) == f"{path.name}/sub":
                path.rename(tmp_path / f"was-{path.name}")
                path.symlink_to(target)
        return honest(directory, name, flags, **more)

    monkeypatch.setattr(tarball, "_open", meddle)
    assert names(tars.pack(top)) == [
        *("./", "a", "dir/", "dir/file", "dirs/", "within/", "within/sub/", "within/sub/secret")
    ]


def test_a_path_that_nobody_could_unpack_is_refused(tmp_path: Path) -> None:
    deep = os.open(tmp_path, os.O_RDONLY)
    for _ in range(20):
        os.mkdir("d" * 250, dir_fd=deep)
        below = os.open("d" * 250, os.O_RDONLY, dir_fd=deep)
        os.close(deep)
        deep = below
    os.close(deep)
    with pytest.raises(OSError, match="more than 4095 bytes") as caught:
        tars.pack(tmp_path)
    assert caught.value.errno == 36


def test_progress_is_told_up_to_the_end(top: Path) -> None:
    (top / "big").write_bytes(bytes(3 << 20))
    told: list[int] = []
    content = tars.pack(top, progress=told.append)
    assert told == sorted(told)
    assert told[-1] == len(content)
