"""What runs in the jail has one directory, few rights and no descriptors, and its errors come out as they were."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from effects import jail, syscalls
from effects.tarformat import ArchiveError

pytestmark = pytest.mark.root


@pytest.fixture
def cell(tmp_path: Path) -> Iterator[int]:
    """A descriptor of the directory that is the jail; beside it lies a file `outside`."""
    (tmp_path / "cell" / "below").mkdir(parents=True)
    (tmp_path / "outside").write_text("secret")
    descriptor = os.open(tmp_path / "cell", os.O_PATH)
    yield descriptor
    os.close(descriptor)


def test_it_answers_with_what_the_function_returned(cell: int) -> None:
    assert jail.run(lambda: {"entries": 3, "names": ["a"]}, cell, label="look") == {
        "entries": 3,
        "names": ["a"],
    }


def test_the_directory_is_its_whole_world(cell: int) -> None:
    assert jail.run(lambda: [os.listdir("/"), os.listdir("."), os.getcwd()], cell, label="look") == [
        ["below"],
        ["below"],
        "/",
    ]


@pytest.mark.parametrize("path", ["../outside", "/../outside", "/proc/self/root/etc/passwd", "/etc/passwd"])
def test_no_path_leads_out(cell: int, path: str) -> None:
    with pytest.raises(FileNotFoundError):
        jail.run(lambda: os.stat(path).st_size, cell, label="look")


def test_a_symbolic_link_ends_at_the_root(cell: int, tmp_path: Path) -> None:
    (tmp_path / "cell" / "link").symlink_to(tmp_path / "outside")
    with pytest.raises(FileNotFoundError):
        jail.run(lambda: os.open("link", os.O_RDONLY), cell, label="look")


def test_it_starts_in_a_directory_below_its_root(cell: int) -> None:
    below = os.open("below", os.O_PATH, dir_fd=cell)
    try:
        assert jail.run(os.getcwd, cell, cwd_fd=below, label="look") == "/below"
    finally:
        os.close(below)


def test_the_old_way_out_of_a_chroot_is_shut(cell: int) -> None:
    def walk_out() -> None:
        os.chroot("below")
        os.chdir("../../../../..")

    with pytest.raises(PermissionError):
        jail.run(walk_out, cell, label="walk out")


def test_it_has_only_the_rights_of_a_writer_and_gains_none(cell: int) -> None:
    def rights() -> list[int]:
        return [*syscalls.capget(), syscalls.prctl(syscalls.PR_GET_NO_NEW_PRIVS)]

    mask = sum(1 << number for number in (0, 1, 3, 4, 27, 31))
    assert jail.run(rights, cell, label="look") == [mask, mask, 0, 1]


def test_it_creates_files_with_exactly_the_mode_it_asks_for(cell: int, tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        jail.run(lambda: os.close(os.open("f", os.O_CREAT, 0o666)), cell, label="make")
    finally:
        os.umask(before)
    assert (tmp_path / "cell" / "f").stat().st_mode & 0o777 == 0o666


def test_it_has_no_descriptor_but_those_given(cell: int) -> None:
    out, feed = os.pipe()
    os.write(feed, b"given")

    def open_ones() -> list[int]:
        found = []
        for number in range(200):
            try:
                fcntl.fcntl(number, fcntl.F_GETFD)
            except OSError:
                continue
            found.append(number)
        return found

    try:
        found = jail.run(open_ones, cell, label="look", keep=(out,))
        # Its own answer's pipe is the one more.
        assert found[:3] == [0, 1, 2]
        assert out in found
        assert len(found) == 5
        assert jail.run(lambda: os.read(out, 9).decode(), cell, label="read", keep=(out,)) == "given"
    finally:
        os.close(out)
        os.close(feed)


def test_what_it_prints_goes_nowhere(cell: int, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    jail.run(lambda: os.write(1, b"noise") + os.write(2, b"noise"), cell, label="print")
    assert capfd.readouterr() == ("", "")
    assert os.listdir(tmp_path / "cell") == ["below"]


def test_its_oserror_comes_out_as_it_was(cell: int) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        jail.run(lambda: os.stat("missing").st_size, cell, label="look at it")
    assert (caught.value.errno, caught.value.strerror, caught.value.filename) == (
        errno.ENOENT,
        "No such file or directory",
        "missing",
    )
    assert vars(caught.value)["step"] == "look at it"


def test_a_name_that_is_not_utf8_survives_in_the_error(cell: int) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        jail.run(lambda: os.stat(b"\xff\xfe").st_size, cell, label="look")
    assert os.fsencode(caught.value.filename) == b"\xff\xfe"


def test_our_own_error_keeps_its_class(cell: int) -> None:
    def fail() -> None:
        raise ArchiveError(errno.EINVAL, "damaged", "x")

    with pytest.raises(ArchiveError, match="damaged"):
        jail.run(fail, cell, label="unpack", errors=(ArchiveError,))


def test_a_defect_is_told_with_its_place(cell: int) -> None:
    with pytest.raises(OSError, match=r"ZeroDivisionError: .*test_jail\.py:\d+"):
        jail.run(lambda: 1 // 0, cell, label="divide")


def test_its_death_by_a_signal_is_an_error(cell: int) -> None:
    with pytest.raises(OSError, match="killed by SIGKILL") as caught:
        jail.run(lambda: os.kill(os.getpid(), signal.SIGKILL), cell, label="die")
    assert vars(caught.value)["step"] == "die"


def test_an_end_without_an_answer_is_an_error(cell: int) -> None:
    with pytest.raises(OSError, match="without an answer"):
        jail.run(lambda: os._exit(0), cell, label="leave")


def test_a_killed_child_is_reaped_and_leaves_no_descriptor(cell: int) -> None:
    before = os.listdir("/proc/self/fd")
    child = jail.start(signal.pause, cell, label="wait")
    child.kill()
    child.kill()
    assert os.listdir("/proc/self/fd") == before
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def test_it_dies_with_its_parent(cell: int) -> None:
    """The middle process starts a jail, tells its pid through it, and dies."""
    ours, theirs = socket.socketpair()
    middle = os.fork()
    if middle == 0:

        def wait() -> Any:
            theirs.send(str(os.getpid()).encode())
            signal.pause()

        jail.start(wait, cell, label="wait", keep=(theirs.fileno(),))
        ours.close()
        signal.pause()
    theirs.close()
    pidfd = os.pidfd_open(int(ours.recv(16)))
    os.kill(middle, signal.SIGKILL)
    os.waitpid(middle, 0)
    # The last holder of the socket's other end is gone.
    assert ours.recv(16) == b""
    ours.close()
    os.close(pidfd)
