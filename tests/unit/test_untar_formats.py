"""Whatever way GNU tar and Python write an archive, the same tree comes out of it."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from pathlib import Path

import pytest

from tests import tars

pytestmark = pytest.mark.root

CAPABILITY = bytes.fromhex("0100000200040000000000000000000000000000")  # cap_net_raw, permitted and effective


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A tree with one of everything."""
    top = tmp_path / "source"
    top.mkdir()
    (top / "dir").mkdir(mode=0o750)
    (top / "dir" / "file").write_bytes(os.urandom(5000))
    (top / "empty").touch()
    (top / ("long" * 30)).mkdir()
    (top / ("long" * 30) / ("name" * 40)).write_text("long")
    os.close(os.open(os.fsencode(top) + b"/latin-\xe9", os.O_CREAT, 0o644))
    (top / "setuid").write_text("x")
    os.chown(top / "setuid", 1234, 5678)
    os.chmod(top / "setuid", 0o6755)
    (top / "sticky").mkdir()
    os.chmod(top / "sticky", 0o1777)
    (top / "setgid").mkdir()
    os.chown(top / "setgid", 0, 42)
    os.chmod(top / "setgid", 0o2775)
    (top / "setgid" / "child").touch()
    os.chown(top / "setgid" / "child", 0, 0)
    (top / "hard1").write_text("one inode")
    os.link(top / "hard1", top / "hard2")
    (top / "soft").symlink_to("/nowhere/at/all")
    (top / "softer").symlink_to("t" * 150)
    os.mkfifo(top / "fifo", 0o640)
    os.mknod(top / "null", 0o020666, os.makedev(1, 3))
    os.mknod(top / "disk", 0o060660, os.makedev(254, 7))
    (top / "big owner").touch()
    os.chown(top / "big owner", 3_000_000_000, 4_000_000)
    (top / "caps").write_text("x")
    os.setxattr(top / "caps", "security.capability", CAPABILITY)
    os.setxattr(top / "caps", "user.note", b"a\nb=c\0d")
    os.setxattr(top / "dir", "user.dir", b"")
    os.utime(top / "hard1", ns=(1, 1_234_567_890_123_456_789))
    os.utime(top / "empty", ns=(1, -1_500_000_000))
    os.utime(top / "dir", ns=(1, 987_654_321_000_000_001))
    return top


def gnu(source: Path, *options: str) -> bytes:
    attributes = [] if "--format=pax" not in options else ["--xattrs", "--xattrs-include=*"]
    command = ["tar", "-c", *attributes, *options, "-C", str(source), "."]
    return subprocess.run(command, check=True, capture_output=True).stdout


def test_a_pax_archive_of_gnu_tar_gives_the_same_tree(source: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    tars.unpack(gnu(source, "--format=pax"), tmp_path / "out")
    assert tars.tree(tmp_path / "out") == tars.tree(source)


def test_a_gnu_archive_gives_the_same_tree_but_for_what_it_cannot_hold(source: Path, tmp_path: Path) -> None:
    """Whole seconds, no attributes."""
    (tmp_path / "out").mkdir()
    tars.unpack(gnu(source, "--format=gnu"), tmp_path / "out")
    wanted, found = tars.tree(source), tars.tree(tmp_path / "out")
    for entry in wanted.values():
        entry["mtime"] = entry["mtime"] // 1_000_000_000 * 1_000_000_000
        entry["xattrs"] = {}
    assert found == wanted


def test_a_ustar_archive_gives_the_same_tree_but_for_what_it_cannot_hold(
    source: Path, tmp_path: Path
) -> None:
    for name in ("softer", "big owner", "empty"):
        os.unlink(source / name)
    (source / ("long" * 30) / ("name" * 40)).rename(source / ("long" * 30) / "name")
    (source / ("long" * 30)).rename(source / ("long" * 20))
    (tmp_path / "out").mkdir()
    tars.unpack(gnu(source, "--format=ustar"), tmp_path / "out")
    wanted, found = tars.tree(source), tars.tree(tmp_path / "out")
    for entry in wanted.values():
        entry["mtime"] = entry["mtime"] // 1_000_000_000 * 1_000_000_000
        entry["xattrs"] = {}
    assert found == wanted


@pytest.mark.parametrize("options", [("gnu",), ("pax", "0.0"), ("pax", "0.1"), ("pax", "1.0")])
@pytest.mark.parametrize("parts", [0, 1, 3, 60])
def test_a_sparse_file_comes_out_equal_and_with_its_holes(
    options: tuple[str, ...], parts: int, tmp_path: Path
) -> None:
    (tmp_path / "in").mkdir()
    with open(tmp_path / "in" / "sparse", "wb") as file:
        for number in range(parts):
            file.seek(number * 300_000 + 100_000)
            file.write(b"%d" % number * 5000)
        file.truncate(30_000_000)
    (tmp_path / "in" / "after").write_text("the next member")
    more = [f"--sparse-version={options[1]}"] if len(options) > 1 else []
    content = gnu(tmp_path / "in", "--sparse", f"--format={options[0]}", *more)
    assert len(content) < 5_000_000
    (tmp_path / "out").mkdir()
    tars.unpack(content, tmp_path / "out")
    assert tars.tree(tmp_path / "out", times=options[0] == "pax") == tars.tree(
        tmp_path / "in", times=options[0] == "pax"
    )
    assert (tmp_path / "out" / "sparse").stat().st_blocks * 512 < 5_000_000


@pytest.mark.parametrize("kind", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_what_the_standard_library_writes_is_read(kind: int, tmp_path: Path) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=kind) as tar:
        for name, content in (("a/b/c", b"content"), ("d" * 90 + "/" + "e" * 90, b"long")):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            member.mtime = 1_600_000_000
            tar.addfile(member, io.BytesIO(content))
    (tmp_path / "out").mkdir()
    tars.unpack(out.getvalue(), tmp_path / "out")
    assert (tmp_path / "out" / "a" / "b" / "c").read_bytes() == b"content"
    assert (tmp_path / "out" / ("d" * 90) / ("e" * 90)).read_bytes() == b"long"
    assert (tmp_path / "out" / "a").stat().st_mode & 0o7777 == 0o755


def test_the_later_of_two_members_of_a_name_wins(tmp_path: Path) -> None:
    content = (
        tars.file(b"x", b"first")
        + tars.header(b"x", b"2", link=b"elsewhere")
        + tars.header(b"x", b"5", mode=0o700)
        + tars.file(b"y", b"old")
        + tars.file(b"y", b"newer", mode=0o600)
        + tars.header(b"z/", b"5")
        + tars.file(b"z", b"now a file")
        + tars.END
    )
    tars.unpack(content, tmp_path)
    assert (tmp_path / "x").is_dir()
    assert (tmp_path / "y").read_bytes() == b"newer"
    assert (tmp_path / "z").read_bytes() == b"now a file"


def test_a_pax_header_before_a_long_name_and_after_it_both_count(tmp_path: Path) -> None:
    name = b"n" * 120
    long_name = tars.header(b"././@LongLink", b"L", size=len(name) + 1) + tars.data(name + b"\0")
    times = tars.pax({b"mtime": b"12.000000345"})
    tars.unpack(
        long_name + times + tars.file(b"short") + times + long_name + tars.file(b"s") + tars.END, tmp_path
    )
    assert (tmp_path / os.fsdecode(name)).stat().st_mtime_ns == 12_000_000_345


def test_a_global_header_gives_times_and_owners_but_no_names(tmp_path: Path) -> None:
    shared = {b"mtime": b"7.5", b"uid": b"77", b"path": b"evil", b"comment": b"from git"}
    content = tars.pax(shared, b"g") + tars.file(b"a") + tars.pax({b"uid": b"8"}) + tars.file(b"b") + tars.END
    tars.unpack(content, tmp_path)
    a, b = (tmp_path / "a").stat(), (tmp_path / "b").stat()
    assert (a.st_mtime_ns, a.st_uid, b.st_mtime_ns, b.st_uid) == (7_500_000_000, 77, 7_500_000_000, 8)
    assert sorted(os.listdir(tmp_path)) == ["a", "b"]


def test_ancient_archives_are_read(tmp_path: Path) -> None:
    """v7: no magic, a directory is a name with a slash, type NUL; sums of signed bytes; numbers with blanks."""
    old = tars.header(b"dir/", b"\0", magic=bytes(8)) + tars.file(
        b"dir/f\xe9", b"v7", kind=b"\0", magic=bytes(8)
    )
    block = bytearray(tars.header(b"signed\xe9\xe9", size=0))
    unsigned = int(block[148:154], 8)
    block[148:156] = b"%06o\0 " % (unsigned - 2 * 256)
    blanks = tars.summed(tars.header(b"blanks").replace(b"0000644\0", b"   644 \0"))
    tars.unpack(old + bytes(block) + blanks + tars.END, tmp_path)
    assert (tmp_path / "dir").is_dir()
    assert sorted(os.listdir(os.fsencode(tmp_path))) == [b"blanks", b"dir", b"signed\xe9\xe9"]
    assert (tmp_path / "blanks").stat().st_mode & 0o7777 == 0o644


def test_a_volume_label_is_passed_over_and_a_dumpdir_is_a_directory(tmp_path: Path) -> None:
    content = (
        tars.header(b"label", b"V")
        + tars.header(b"dump/", b"D", size=20)
        + tars.data(b"Yfile\0\0" * 2 + bytes(6))
    )
    tars.unpack(content + tars.file(b"f") + tars.END, tmp_path)
    assert sorted(os.listdir(tmp_path)) == ["dump", "f"]


def test_a_hard_link_that_comes_with_a_size_has_no_data(tmp_path: Path) -> None:
    content = (
        tars.file(b"a", b"content") + tars.header(b"b", b"1", link=b"a", size=7) + tars.file(b"c") + tars.END
    )
    tars.unpack(content, tmp_path)
    assert (tmp_path / "b").samefile(tmp_path / "a")
    assert (tmp_path / "c").read_bytes() == b"new"


def test_a_hard_link_to_itself_changes_nothing(tmp_path: Path) -> None:
    content = tars.file(b"a", b"content") + tars.header(b"a", b"1", link=b"./a") + tars.END
    tars.unpack(content, tmp_path)
    assert (tmp_path / "a").read_bytes() == b"content"


def test_directories_keep_their_times_however_many_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With room for few: most are set early, then read back before the next thing is made in them."""
    monkeypatch.setattr("effects.tarplace._MAX_PENDING", 1000)
    names = [b"d%d/" % number for number in range(50)]
    content = b"".join(tars.header(name, b"5", mode=0o755) for name in names)
    content += b"".join(tars.file(name + b"file") for name in names + names[::-1]) + tars.END
    tars.unpack(content, tmp_path)
    assert {(tmp_path / os.fsdecode(name)).stat().st_mtime for name in names} == {1_700_000_000}
