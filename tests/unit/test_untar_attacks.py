"""Hostile archives: whatever they say, nothing outside the directory is read, made or changed.

12: the image's programs run by the engine (CVE-2019-14271). 15: names and links that lead out (CVE-2025-11395).
16: overlay's own marks. 17: devices. 18: setuid and capabilities (CVE-2021-41091). 19: bombs (CVE-2017-14992, CVE-2025-8194).
"""

from __future__ import annotations

import errno
import os
import resource
import stat
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from effects import archive
from effects.archive import ArchiveError, Limits
from tests import tars

pytestmark = pytest.mark.root


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """The directory to unpack into; the canary beside it is what an attack would reach."""
    (tmp_path / "place").mkdir()
    canary = tmp_path / "canary"
    canary.mkdir(mode=0o755)
    (canary / "passwd").write_text("root:x:0:0")
    os.chmod(canary / "passwd", 0o640)
    return tmp_path / "place"


@pytest.fixture
def check_canary(place: Path) -> Callable[[], None]:
    """Content, mode, owner, times, links of all that lies outside, before and after."""
    before = tars.tree(place.parent / "canary")
    state = os.stat(place.parent / "canary" / "passwd")

    def check() -> None:
        assert tars.tree(place.parent / "canary") == before
        after = os.stat(place.parent / "canary" / "passwd")
        assert (after.st_nlink, after.st_ctime_ns) == (state.st_nlink, state.st_ctime_ns)
        assert sorted(os.listdir(place.parent)) == ["canary", "place"]

    return check


def dotted(*names: bytes) -> bytes:
    return b"".join(tars.file(name) for name in names)


OUT = b"../canary/passwd"
ESCAPES = {
    "dotdot": dotted(OUT),
    "dotdot behind a directory": dotted(b"a/../../canary/passwd"),
    "dotdot at the end": tars.header(b"a/..", b"5"),
    "dotdot in a pax path": tars.pax({b"path": OUT}) + tars.file(b"innocent"),
    "dotdot in a sparse name": tars.pax({b"GNU.sparse.name": OUT}) + tars.file(b"innocent"),
    "dotdot in a long name": tars.header(b"L", b"L", size=17)
    + tars.data(OUT + b"\0")
    + tars.file(b"innocent"),
    "dotdot in a ustar prefix": tars.file(b"passwd", prefix=b"../canary"),
    "hard link to outside": tars.header(b"h", b"1", link=OUT) + tars.file(b"h"),
    "hard link to an absolute path": tars.header(b"h", b"1", link=b"/etc/passwd"),
    "hard link through a link": tars.header(b"up", b"2", link=b"../canary")
    + tars.header(b"h", b"1", link=b"up/passwd"),
    "file through a link to above": tars.header(b"up", b"2", link=b"../canary") + dotted(b"up/passwd"),
    "NUL in a pax path": tars.pax({b"path": b"a\0b"}) + tars.file(b"innocent"),
    "deeper than PATH_MAX": tars.pax({b"path": b"d/" * 3000 + b"x"}) + tars.file(b"innocent"),
}


@pytest.mark.parametrize("content", ESCAPES.values(), ids=ESCAPES.keys())
def test_attack_15_is_refused(content: bytes, place: Path, check_canary: Callable[[], None]) -> None:
    with pytest.raises(OSError, match="Errno"):
        tars.unpack(content + tars.END, place)
    check_canary()


def test_attack_15_an_absolute_name_is_taken_as_below(place: Path, check_canary: Callable[[], None]) -> None:
    target = os.fsencode(place.parent / "canary" / "passwd")
    tars.unpack(dotted(target, b"//etc//shadow", b"./ok") + tars.END, place)
    assert (place / os.fsdecode(target).lstrip("/")).read_bytes() == b"new"
    assert (place / "etc" / "shadow").read_bytes() == b"new"
    check_canary()


def test_attack_15_a_link_to_the_root_is_the_trees_own_root(
    place: Path, check_canary: Callable[[], None]
) -> None:
    content = tars.header(b"r", b"2", link=b"/") + dotted(b"r/file") + tars.header(b"r/dir", b"5") + tars.END
    tars.unpack(content, place)
    assert (place / "file").read_bytes() == b"new"
    assert (place / "dir").is_dir()
    check_canary()


def test_attack_15_a_chain_of_links_upwards_ends_at_the_trees_root(
    place: Path, check_canary: Callable[[], None]
) -> None:
    content = tars.header(b"a", b"2", link=b".") + tars.header(b"a/b", b"2", link=b"../..")
    tars.unpack(content + dotted(b"b/canary/passwd") + tars.END, place)
    assert (place / "canary" / "passwd").read_bytes() == b"new"
    check_canary()


def test_attack_15_a_hard_link_to_a_symbolic_link_is_not_followed(
    place: Path, check_canary: Callable[[], None]
) -> None:
    target = os.fsencode(place.parent / "canary" / "passwd")
    content = tars.pax({b"linkpath": target}) + tars.header(b"s", b"2") + tars.header(b"h", b"1", link=b"s")
    tars.unpack(content + tars.file(b"h", b"replaced") + tars.END, place)
    assert (place / "s").is_symlink()
    assert (place / "h").read_bytes() == b"replaced"
    check_canary()


def test_attack_15_a_file_is_never_written_through_a_link(
    place: Path, check_canary: Callable[[], None]
) -> None:
    """Neither through one from the archive, nor through one that was there."""
    target = place.parent / "canary" / "passwd"
    os.symlink(target, place / "there")
    content = tars.pax({b"linkpath": os.fsencode(target)}) + tars.header(b"made", b"2")
    tars.unpack(content + dotted(b"made", b"there") + tars.END, place)
    assert (place / "made").read_bytes() == (place / "there").read_bytes() == b"new"
    assert not (place / "made").is_symlink()
    check_canary()


def test_attack_15_a_directory_that_becomes_a_link(place: Path, check_canary: Callable[[], None]) -> None:
    """An empty one may: what follows stays in the tree all the same. A full one may not."""
    link = tars.pax({b"linkpath": os.fsencode(place.parent / "canary")}) + tars.header(b"d", b"2")
    with pytest.raises(FileExistsError):
        tars.unpack(tars.header(b"d", b"5") + link + dotted(b"d/passwd") + tars.END, place)
    with pytest.raises(ArchiveError, match="not empty"):
        tars.unpack(tars.header(b"d/", b"5") + dotted(b"d/x") + link + tars.END, place)
    check_canary()


def test_attack_15_no_owner_is_left_as_it_was_by_minus_one(place: Path) -> None:
    """chown(2) takes 4294967295 for "do not change"."""
    with pytest.raises(ArchiveError, match="out of range"):
        tars.unpack(tars.pax({b"uid": b"4294967295"}) + tars.file(b"x") + tars.END, place)


def test_attack_16_names_of_whiteouts_remove_nothing(place: Path, check_canary: Callable[[], None]) -> None:
    (place / "kept").write_text("kept")
    names = (b".wh.kept", b".wh.", b".wh...", b".wh..wh..opq", b"a/.wh.../x")
    tars.unpack(dotted(*names) + tars.END, place)
    assert (place / "kept").read_text() == "kept"
    check_canary()


def test_attack_16_overlays_own_marks_are_dropped(place: Path) -> None:
    """A char 0:0 device hides what lies below; the attributes redirect, make opaque, borrow content."""
    marks = {
        b"SCHILY.xattr." + name: b"y"
        for name in (
            b"trusted.overlay.opaque",
            b"trusted.overlay.redirect",
            b"trusted.overlay.metacopy",
            b"user.overlay.opaque",
            b"trusted.other",
            b"security.selinux",
            b"system.posix_acl_access",
        )
    }
    marks[b"SCHILY.xattr.user.kept"] = b"y"
    content = (
        tars.header(b"gone", b"3")
        + tars.pax(marks)
        + tars.header(b"d", b"5")
        + tars.pax(marks)
        + tars.file(b"f")
    )
    unpacked = tars.unpack(content + tars.END, place)
    assert not (place / "gone").exists()
    assert unpacked.skipped == ["gone: a device"]
    assert os.listxattr(place / "d") == os.listxattr(place / "f") == ["user.kept"]


def test_attack_17_devices_are_what_they_say_and_open_nothing_by_themselves(place: Path) -> None:
    tars.unpack(tars.header(b"disk", b"4", device=(254, 0), mode=0o4660) + tars.END, place)
    state = os.lstat(place / "disk")
    assert (stat.S_ISBLK(state.st_mode), state.st_rdev, stat.S_IMODE(state.st_mode)) == (
        True,
        os.makedev(254, 0),
        0o660,
    )


def test_attack_18_setuid_and_capabilities_survive_byte_for_byte(place: Path) -> None:
    """Both chown and write clear them: the order of the steps must be right."""
    capability = bytes.fromhex("0100000200040000000000000000000000000000")
    content = tars.file(b"su", b"x" * 3_000_000, mode=0o6755, uid=1000, gid=1000)
    content += tars.pax({b"SCHILY.xattr.security.capability": capability}) + tars.file(b"ping", uid=5)
    tars.unpack(content + tars.END, place)
    packed = tars.pack(place)
    (place / "again").mkdir()
    tars.unpack(packed, place / "again")
    for top in (place, place / "again"):
        state = os.stat(top / "su")
        assert (state.st_mode & 0o7777, state.st_uid, state.st_gid) == (0o6755, 1000, 1000)
        assert os.getxattr(top / "ping", "security.capability") == capability


BOMBS = {
    "a petabyte of hole": (
        tars.pax(
            {b"GNU.sparse.major": b"1", b"GNU.sparse.minor": b"0", b"GNU.sparse.realsize": b"%d" % (1 << 50)}
        )
        + tars.file(b"x", b"0\n".ljust(512, b"\0")),
        "bytes when unpacked",
    ),
    "a petabyte of data": (
        tars.header(b"x", size_field=b"\x80" + (1 << 50).to_bytes(11, "big")),
        "bytes when unpacked",
    ),
    "a pax size beyond all": (tars.pax({b"size": b"9" * 20}) + tars.header(b"x"), "bytes when unpacked"),
    "a pax size with too many digits": (tars.pax({b"size": b"9" * 4000}) + tars.header(b"x"), "not a number"),
    "a pax header of 2 GB": (tars.header(b"x", b"x", size=2 << 30), "header of 2147483648 bytes"),
    "a global header of 2 GB": (tars.header(b"x", b"g", size=2 << 30), "header of 2147483648 bytes"),
    "a long name of 2 GB": (tars.header(b"x", b"L", size=2 << 30), "header of 2147483648 bytes"),
    "a negative size": (tars.header(b"x", size_field=b"\xff" * 12), "negative size"),
    "a negative long name": (tars.header(b"x", b"L", size_field=b"\xff" * 12), "negative size"),
    "a sparse map without end": (
        tars.pax({b"GNU.sparse.major": b"1", b"GNU.sparse.minor": b"0", b"GNU.sparse.realsize": b"9"})
        + tars.file(b"x", b"99999999\n" + b"0\n" * 2000),
        "parts",
    ),
    "a sparse map out of order": (
        tars.pax({b"GNU.sparse.map": b"10,5,0,5", b"GNU.sparse.size": b"20"})
        + tars.file(b"x", b"0123456789"),
        "not in order",
    ),
    "a sparse map beyond its file": (
        tars.pax({b"GNU.sparse.map": b"10,5", b"GNU.sparse.size": b"12"}) + tars.file(b"x", b"01234"),
        "does not fit",
    ),
}


@pytest.mark.parametrize(("content", "message"), BOMBS.values(), ids=BOMBS.keys())
def test_attack_19_a_bomb_is_refused_before_it_goes_off(content: bytes, message: str, place: Path) -> None:
    with pytest.raises(ArchiveError, match=message) as caught:
        tars.unpack(content + tars.END, place)
    assert caught.value.errno == errno.EINVAL
    assert not any(path.stat().st_size for path in place.iterdir())


def test_attack_19_more_files_than_allowed_are_refused(place: Path) -> None:
    with pytest.raises(ArchiveError, match="more than 100 files"):
        tars.unpack(tars.header(b"same") * 101 + tars.END, place, limits=Limits(max_inodes=100))
    (place / "exactly").mkdir()
    assert (
        tars.unpack(tars.header(b"same") * 100 + tars.END, place, limits=Limits(max_inodes=100)).entries
        == 100
    )


# In a process of its own, whose memory can be told: unpack what it is fed, say the peak of parent and child in KiB.
MEASURE = """
import os, resource, sys
from effects import archive
try:
    archive.unpack(0, sys.argv[1], limits=archive.Limits(max_bytes=int(sys.argv[2]), max_inodes=20_000))
except OSError as error:
    print(error.strerror)
# Not RUSAGE_SELF, which an exec hands on from the process before.
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def measured(content: bytes, place: Path, max_bytes: int = 1 << 30) -> tuple[str, int]:
    """(the error, peak memory in MiB of the greater one)."""
    run = subprocess.run(
        [sys.executable, "-c", MEASURE, str(place), str(max_bytes)],
        input=content,
        capture_output=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    *error, own, child = run.stdout.decode().split("\n")[:-1]
    return "".join(error), max(int(own), int(child)) // 1024


def deflated(block: bytes, times: int) -> bytes:
    """`block` again and again, as gzip, made piece by piece."""
    packer = zlib.compressobj(1, wbits=31)
    return b"".join(packer.compress(block) for _ in range(times)) + packer.flush()


def test_attack_19_20_gb_of_zeros_are_refused_in_little_memory(place: Path) -> None:
    """The ceiling is 256 MiB here; the header claims what follows."""
    packer = zlib.compressobj(1, wbits=31)
    head = packer.compress(tars.header(b"zeros", size=(256 << 20) - 512)) + packer.flush(zlib.Z_FULL_FLUSH)
    body = b"".join(packer.compress(bytes(1 << 20)) for _ in range(64)) + packer.flush(zlib.Z_FULL_FLUSH)
    error, peak = measured(head + body * 320, place, max_bytes=256 << 20)
    assert error == f"more than {256 << 20} bytes when decompressed"
    assert peak < 100


def test_attack_19_zeros_after_the_end_are_counted_too(place: Path) -> None:
    error, peak = measured(deflated(bytes(1 << 20), 200), place, max_bytes=128 << 20)
    assert error == f"more than {128 << 20} bytes when decompressed"
    assert peak < 100


def test_attack_19_many_empty_directories_need_little_memory(place: Path) -> None:
    """Their times wait for the end."""
    names = (b"%s%05d" % (b"n" * 90, number) for number in range(20_001))
    error, peak = measured(b"".join(tars.header(name, b"5") for name in names), place)
    assert error == "more than 20000 files"
    assert peak < 100


def test_attack_19_headers_that_never_reach_a_member_need_little_memory(place: Path) -> None:
    block = tars.pax({b"comment": b"x" * 1_000_000, b"SCHILY.xattr.user.a": b"y"})
    error, peak = measured(block * 100, place)
    assert error == "the archive ends too early"
    assert peak < 100


def test_attack_12_no_program_runs_however_the_archive_is_compressed(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither one of the tree that is unpacked over, nor one that a PATH of the caller's leads to."""
    (tmp_path / "hostile").mkdir()
    for name in ("gzip", "unpigz", "bzip2", "xz", "zstd", "tar"):
        program = tmp_path / "hostile" / name
        program.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
        program.chmod(0o755)
    content = dotted(b"file") + tars.END
    packed = [
        subprocess.run([name, "-c"], input=content, capture_output=True, check=True).stdout
        for name in ("gzip", "bzip2", "xz", "zstd")
    ]
    monkeypatch.setenv("PATH", str(tmp_path / "hostile"))
    for archive_bytes in packed:
        tars.unpack(archive_bytes, place)
    assert (place / "file").read_bytes() == b"new"
    assert not (tmp_path / "ran").exists()


def test_the_file_size_limit_of_the_caller_ends_in_an_error_not_in_a_signal(place: Path) -> None:
    """RLIMIT_FSIZE would send SIGXFSZ; Python ignores it, so that write says EFBIG."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    source = os.memfd_create("archive")
    os.write(source, tars.file(b"f", bytes(2 << 20)) + tars.END)
    os.lseek(source, 0, os.SEEK_SET)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, before[1]))
    try:
        with pytest.raises(OSError, match="File too large") as caught:
            archive.unpack(source, str(place))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        os.close(source)
    assert caught.value.errno == errno.EFBIG
