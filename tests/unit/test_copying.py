"""`cp` follows docker's rules for names, and never leaves the container or the destination."""

from __future__ import annotations

import errno
import io
import os
import signal
import stat
import tarfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from effects import copying, syscalls
from effects.archive import ArchiveError, Unpacked
from tests import tars

pytestmark = pytest.mark.root

SECRET = b"of the host"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A container's file system; `host` beside it is not in it."""
    top = tmp_path / "root"
    (top / "dir" / "sub").mkdir(parents=True)
    (top / "dir" / "file").write_text("in the container")
    (top / "dir" / "sub" / "deep").write_text("deep")
    (top / "etc").mkdir()
    (top / "etc" / "passwd").write_text("the container's own")
    (top / "abs").symlink_to("/dir")
    (top / "up").symlink_to("../../../../../../etc")
    (top / "to file").symlink_to("dir/file")
    (top / "dangling").symlink_to("/dir/made")
    (top / "loop").symlink_to("loop")
    (top / "* [a-z]?").write_text("no glob")
    (tmp_path / "host").mkdir()
    (tmp_path / "host" / "secret").write_bytes(SECRET)
    (top / "out").symlink_to(tmp_path / "host")
    return top


@pytest.fixture
def root_fd(root: Path) -> Iterator[int]:
    descriptor = os.open(root, os.O_PATH)
    yield descriptor
    os.close(descriptor)


@pytest.fixture
def host(tmp_path: Path) -> Path:
    """Where a user of the host copies from and to."""
    here = tmp_path / "here"
    (here / "existing").mkdir(parents=True)
    (here / "file").write_text("there before")
    (here / "source" / "inner").mkdir(parents=True)
    (here / "source" / "one").write_text("1")
    (here / "source" / "inner" / "two").write_text("2")
    (here / "alone").write_text("alone")
    os.chmod(here / "alone", 0o4751)
    (here / "pointer").symlink_to("alone")
    return here


def captured(write: Callable[[int], object]) -> bytes:
    out = os.memfd_create("stream")
    try:
        write(out)
        return os.pread(out, os.fstat(out).st_size, 0)
    finally:
        os.close(out)


def poured(content: bytes, read: Callable[[int], Unpacked]) -> Unpacked:
    source = os.memfd_create("stream")
    try:
        os.write(source, content)
        os.lseek(source, 0, os.SEEK_SET)
        return read(source)
    finally:
        os.close(source)


def out(root_fd: int, path: str, *, follow: bool = False) -> bytes:
    return captured(lambda fd: copying.copy_out(root_fd, path, fd, follow=follow))


def names(content: bytes) -> list[str]:
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        return [member.name + ("/" if member.isdir() else "") for member in tar]


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        ("/dir", ["dir/", "dir/file", "dir/sub/", "dir/sub/deep"]),
        ("dir", ["dir/", "dir/file", "dir/sub/", "dir/sub/deep"]),
        ("/dir/", ["dir/", "dir/file", "dir/sub/", "dir/sub/deep"]),
        ("/dir/.", ["./", "file", "sub/", "sub/deep"]),
        ("/dir/sub/..", ["dir/", "dir/file", "dir/sub/", "dir/sub/deep"]),
        ("/dir/file", ["file"]),
        ("/to file", ["to file"]),
        ("/abs", ["abs"]),
        ("/abs/", ["abs/", "abs/file", "abs/sub/", "abs/sub/deep"]),
        ("/abs/file", ["file"]),
        ("/../../dir/file", ["file"]),
        ("/* [a-z]?", ["* [a-z]?"]),
    ],
)
def test_what_is_copied_out_and_under_which_name(root_fd: int, path: str, wanted: list[str]) -> None:
    assert names(out(root_fd, path)) == wanted


def test_the_root_is_copied_as_its_content(root_fd: int) -> None:
    assert names(out(root_fd, "/"))[0] == "./"
    assert "dir/file" in names(out(root_fd, ""))


def test_a_link_is_copied_as_a_link_unless_it_is_to_be_followed(root_fd: int) -> None:
    with tarfile.open(fileobj=io.BytesIO(out(root_fd, "/to file"))) as tar:
        assert tar.getmembers()[0].linkname == "dir/file"
    with tarfile.open(fileobj=io.BytesIO(out(root_fd, "/to file", follow=True))) as tar:
        member = tar.extractfile("to file")
        assert member is not None
        assert member.read() == b"in the container"


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/missing", errno.ENOENT),
        ("/missing/file", errno.ENOENT),
        ("/dir/file/", errno.ENOTDIR),
        ("/dir/file/x", errno.ENOTDIR),
        ("/loop/", errno.ELOOP),
        ("/loop/x", errno.ELOOP),
    ],
)
def test_what_is_not_there_is_an_error_with_the_path(root_fd: int, path: str, code: int) -> None:
    with pytest.raises(OSError, match="Errno") as caught:
        out(root_fd, path)
    assert caught.value.errno == code
    assert caught.value.filename in {path, os.path.dirname(path)}


def test_attack_14_links_out_of_the_container_end_inside_it(root_fd: int) -> None:
    """Absolute, and with more dots than there are directories: what they name is the container's own, or nothing."""
    content = out(root_fd, "/up/passwd")
    assert b"the container's own" in content
    for path in ("/out/", "/out/secret", "/out/.", "/../../host/secret"):
        with pytest.raises(FileNotFoundError):
            out(root_fd, path)
    with pytest.raises(FileNotFoundError):
        out(root_fd, "/out", follow=True)


@pytest.mark.parametrize(
    ("source", "target", "made"),
    [
        # A file: into a directory, to a new name, over a file; through links to either.
        ("alone", "/dir", "dir/alone"),
        ("alone", "/dir/", "dir/alone"),
        ("alone", "/dir/new", "dir/new"),
        ("alone", "/dir/file", "dir/file"),
        ("alone", "/abs", "dir/alone"),
        ("alone", "/to file", "dir/file"),
        ("alone", "/dangling", "dir/made"),
        ("alone", "/", "alone"),
        ("alone", "/up", "etc/alone"),
        # A directory: into one that exists, or as one that does not yet.
        ("source", "/dir", "dir/source/inner/two"),
        ("source", "/dir/new", "dir/new/inner/two"),
        ("source", "/dir/new/", "dir/new/inner/two"),
        ("source/", "/abs/", "dir/source/inner/two"),
        # Its content.
        ("source/.", "/dir", "dir/inner/two"),
        ("source/.", "/dir/new", "dir/new/inner/two"),
    ],
)
def test_where_it_is_copied_to_in_the_container(
    host: Path, root: Path, root_fd: int, *, source: str, target: str, made: str
) -> None:
    content = captured(lambda fd: copying.pack_host(f"{host}/{source}", fd))
    poured(content, lambda fd: copying.copy_in(root_fd, target, fd))
    wanted = {"alone": "alone", "two": "2"}
    assert (root / made).read_text() == wanted["two" if source.startswith("source") else "alone"]
    assert (root.parent / "host" / "secret").read_bytes() == SECRET
    # The links themselves are still what they were.
    assert (root / "abs").is_symlink()
    assert (root / "to file").is_symlink()


@pytest.mark.parametrize(
    ("source", "target", "code", "message"),
    [
        ("alone", "/new/", errno.ENOENT, "must exist"),
        ("alone", "/missing/new", errno.ENOENT, "No such file"),
        ("alone", "/dir/file/", errno.ENOTDIR, "Not a directory"),
        ("alone", "/loop", errno.ELOOP, "symbolic links"),
        ("alone", "/out", errno.ENOENT, "No such file"),
        ("source", "/dir/file", errno.ENOTDIR, "directory to a file"),
        ("source", "/missing/new", errno.ENOENT, "No such file"),
    ],
)
def test_where_it_cannot_be_copied_to(
    host: Path, root: Path, root_fd: int, *, source: str, target: str, code: int, message: str
) -> None:
    before = tars.tree(root)
    content = captured(lambda fd: copying.pack_host(f"{host}/{source}", fd))
    with pytest.raises(OSError, match=message) as caught:
        poured(content, lambda fd: copying.copy_in(root_fd, target, fd))
    assert caught.value.errno == code
    assert tars.tree(root) == before


def test_a_directory_never_takes_a_files_place_within_nor_the_reverse(
    host: Path, root: Path, root_fd: int
) -> None:
    (root / "dir" / "source").mkdir()
    (root / "dir" / "source" / "inner").write_text("a file")
    content = captured(lambda fd: copying.pack_host(f"{host}/source", fd))
    with pytest.raises(OSError, match="would replace") as caught:
        poured(content, lambda fd: copying.copy_in(root_fd, "/dir", fd))
    assert caught.value.errno == errno.ENOTDIR
    (root / "etc" / "source" / "one").mkdir(parents=True)
    with pytest.raises(OSError, match="would replace") as caught:
        poured(content, lambda fd: copying.copy_in(root_fd, "/etc", fd))
    assert caught.value.errno == errno.EISDIR


def test_copying_into_a_directory_keeps_what_else_is_in_it(host: Path, root: Path, root_fd: int) -> None:
    (root / "dir" / "source").mkdir()
    (root / "dir" / "source" / "mine").write_text("kept")
    (root / "dir" / "source" / "one").symlink_to("/etc/passwd")
    content = captured(lambda fd: copying.pack_host(f"{host}/source", fd))
    poured(content, lambda fd: copying.copy_in(root_fd, "/dir", fd))
    assert (root / "dir" / "source" / "mine").read_text() == "kept"
    assert not (root / "dir" / "source" / "one").is_symlink()
    assert (root / "etc" / "passwd").read_text() == "the container's own"


def test_owners_in_the_container_are_root_unless_kept(host: Path, root: Path, root_fd: int) -> None:
    os.chown(host / "alone", 1234, 5678)
    os.chmod(host / "alone", 0o4751)
    content = captured(lambda fd: copying.pack_host(f"{host}/alone", fd))
    for keep, owner in ((False, (0, 0)), (True, (1234, 5678))):
        poured(content, lambda fd, keep=keep: copying.copy_in(root_fd, "/dir", fd, keep_owner=keep))  # type: ignore[misc]
        state = os.stat(root / "dir" / "alone")
        assert (state.st_uid, state.st_gid) == owner
        assert stat.S_IMODE(state.st_mode) == 0o4751


def test_a_stream_of_many_things_goes_into_a_directory_only(root: Path, root_fd: int) -> None:
    content = tars.file(b"one", uid=7, gid=8) + tars.file(b"two/three") + tars.END
    poured(content, lambda fd: copying.copy_in(root_fd, "/abs", fd, into=True, keep_owner=True))
    assert (root / "dir" / "two" / "three").read_bytes() == b"new"
    assert os.stat(root / "dir" / "one").st_uid == 7
    for target, code in (("/dir/file", errno.ENOTDIR), ("/new", errno.ENOENT)):
        with pytest.raises(OSError, match="Errno") as caught:
            poured(content, lambda fd, target=target: copying.copy_in(root_fd, target, fd, into=True))  # type: ignore[misc]
        assert caught.value.errno == code


@pytest.mark.parametrize(
    ("path", "target", "made"),
    [
        ("/dir", "existing", "existing/dir/sub/deep"),
        ("/dir", "new", "new/sub/deep"),
        ("/dir", "new/", "new/sub/deep"),
        ("/dir/.", "existing", "existing/sub/deep"),
        ("/dir/sub/deep", "existing", "existing/deep"),
        ("/dir/sub/deep", "file", "file"),
        ("/dir/sub/deep", "new", "new"),
        ("/dir/sub/deep", "pointer", "alone"),
    ],
)
def test_where_it_is_copied_to_on_the_host(
    host: Path, root_fd: int, path: str, target: str, made: str
) -> None:
    poured(out(root_fd, path), lambda fd: copying.extract_to_host(fd, f"{host}/{target}"))
    assert (host / made).read_text() == "deep"


@pytest.mark.parametrize(
    ("path", "target", "message"),
    [
        ("/dir", "file", "directory to a file"),
        ("/dir/file", "new/", "must exist"),
        ("/dir/file", "missing/new", "No such file"),
        ("/dir/file", "file/", "Not a directory"),
    ],
)
def test_where_it_cannot_be_copied_to_on_the_host(
    host: Path, root_fd: int, path: str, target: str, message: str
) -> None:
    before = tars.tree(host)
    with pytest.raises(OSError, match=message):
        poured(out(root_fd, path), lambda fd: copying.extract_to_host(fd, f"{host}/{target}"))
    assert tars.tree(host) == before


def test_the_current_directory_is_a_place_to_copy_from_and_to(
    host: Path, root: Path, root_fd: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(host / "source")
    poured(captured(lambda fd: copying.pack_host(".", fd)), lambda fd: copying.copy_in(root_fd, "/dir", fd))
    poured(captured(lambda fd: copying.pack_host("one", fd)), lambda fd: copying.copy_in(root_fd, "/etc", fd))
    poured(
        captured(lambda fd: copying.pack_host("../source", fd)),
        lambda fd: copying.copy_in(root_fd, "/etc", fd),
    )
    assert (
        (root / "dir" / "inner" / "two").read_text()
        == (root / "etc" / "source" / "inner" / "two").read_text()
        == "2"
    )
    assert (root / "etc" / "one").read_text() == "1"
    poured(out(root_fd, "/dir/file"), lambda fd: copying.extract_to_host(fd, "."))
    poured(out(root_fd, "/dir/file"), lambda fd: copying.extract_to_host(fd, "named"))
    assert (
        (host / "source" / "file").read_text()
        == (host / "source" / "named").read_text()
        == "in the container"
    )
    for empty in (copying.pack_host, copying.extract_to_host):
        with pytest.raises(FileNotFoundError):
            empty("", 0) if empty is copying.pack_host else empty(0, "")  # type: ignore[arg-type]


def test_attack_13_nothing_that_gives_rights_is_copied_out_unless_asked_for(
    host: Path, root: Path, root_fd: int
) -> None:
    capability = bytes.fromhex("0100000200040000000000000000000000000000")
    (root / "dir" / "su").write_text("x")
    os.chown(root / "dir" / "su", 1234, 5678)
    os.chmod(root / "dir" / "su", 0o6755)
    os.setxattr(root / "dir" / "su", "security.capability", capability)
    os.mknod(root / "dir" / "disk", 0o60666, os.makedev(254, 0))
    content = out(root_fd, "/dir")
    told = poured(content, lambda fd: copying.extract_to_host(fd, f"{host}/plain"))
    assert told.skipped == ["dir/disk: a device"]
    state = os.stat(host / "plain" / "su")
    assert (state.st_mode & 0o7777, state.st_uid, state.st_gid) == (0o755, os.getuid(), os.getgid())
    assert os.listxattr(host / "plain" / "su") == []
    assert not (host / "plain" / "disk").exists()
    poured(content, lambda fd: copying.extract_to_host(fd, f"{host}/full", keep_rights=True))
    assert tars.tree(host / "full") == tars.tree(root / "dir")


TOP = tars.header(b"dir/", b"5", mode=0o755)
RIGGED = {
    "a name beside the top": tars.file(b"dir2/x"),
    "dots to beside the top": tars.file(b"dir2/.."),
    "dots through the top": tars.file(b"dir/../x"),
    "a file through a link": tars.header(b"dir/l", b"2", link=b"../existing") + tars.file(b"dir/l/x"),
    "a file through a link to the root": tars.header(b"dir/l", b"2", link=b"/") + tars.file(b"dir/l/file"),
    "a directory through a link": tars.header(b"dir/l", b"2", link=b"/existing")
    + tars.header(b"dir/l/x", b"5"),
    "a file far below a link": tars.header(b"dir/l", b"2", link=b"/") + tars.file(b"dir/l/new/x"),
    "a hard link to beside the top": tars.header(b"dir/h", b"1", link=b"file"),
    "a hard link by dots": tars.header(b"dir/h", b"1", link=b"dir/../file"),
}


@pytest.mark.parametrize("rigged", RIGGED.values(), ids=RIGGED.keys())
def test_attack_13_a_rigged_archive_changes_nothing_but_what_was_asked_for(
    rigged: bytes, host: Path, tmp_path: Path
) -> None:
    before = tars.tree(host)
    with pytest.raises(ArchiveError):
        poured(TOP + rigged + tars.END, lambda fd: copying.extract_to_host(fd, str(host)))
    after = {name: told for name, told in tars.tree(host).items() if name.partition("/")[0] != "dir"}
    # The destination itself has a new entry, so its own time has changed.
    assert {**after, ".": before["."]} == before


def test_attack_13_a_link_that_is_already_there_is_not_gone_through(host: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (host / "dir").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="would replace"):
        poured(TOP + tars.file(b"dir/x") + tars.END, lambda fd: copying.extract_to_host(fd, str(host)))
    with pytest.raises(ArchiveError, match="below a symbolic link"):
        poured(tars.file(b"dir/x") + tars.END, lambda fd: copying.extract_to_host(fd, str(host)))
    assert os.listdir(tmp_path / "elsewhere") == []


@contextmanager
def swapping(first: Path, second: Path) -> Iterator[None]:
    """A process that exchanges the two names as fast as it can."""
    child = os.fork()
    if child == 0:
        while True:
            syscalls.renameat2(
                *(syscalls.AT_FDCWD, str(first), syscalls.AT_FDCWD, str(second), syscalls.RENAME_EXCHANGE)
            )
    try:
        yield
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def test_attack_11_a_directory_that_turns_into_a_link_never_leads_to_the_host(
    root: Path, root_fd: int, tmp_path: Path
) -> None:
    """Two seconds of copying out of and into x while x and a link to the host's directory change places."""
    (root / "x").mkdir()
    (root / "x" / "secret").write_text("the container's")
    (root / "y").symlink_to(tmp_path / "host")
    content = tars.file(b"secret", b"overwritten") + tars.END
    before = tars.tree(tmp_path / "host")
    won = 0
    with swapping(root / "x", root / "y"):
        deadline = time.monotonic() + 2
        while time.monotonic() < deadline:
            for path in ("/x/secret", "/x/.", "/x"):
                with suppress(OSError):
                    assert SECRET not in out(root_fd, path)
                    won += 1
            with suppress(OSError):
                poured(content, lambda fd: copying.copy_in(root_fd, "/x", fd))
                won += 1
    assert won > 10
    assert tars.tree(tmp_path / "host") == before


def test_mounts_below_a_copied_directory_are_copied_and_the_kernels_own_are_not(
    root: Path, root_fd: int, tmp_path: Path
) -> None:
    (tmp_path / "volume").mkdir()
    (tmp_path / "volume" / "data").write_text("x")
    (root / "dir" / "proc").mkdir()
    syscalls.mount(str(tmp_path / "volume"), str(root / "dir" / "sub"), None, syscalls.MS_BIND)
    try:
        syscalls.mount("proc", str(root / "dir" / "proc"), "proc")
        try:
            assert names(out(root_fd, "/dir")) == [
                "dir/",
                "dir/file",
                "dir/proc/",
                "dir/sub/",
                "dir/sub/data",
            ]
        finally:
            syscalls.umount2(str(root / "dir" / "proc"), syscalls.MNT_DETACH)
    finally:
        syscalls.umount2(str(root / "dir" / "sub"), syscalls.MNT_DETACH)
