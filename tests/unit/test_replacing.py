"""A replaced file is the old one or the new one, and nothing is left beside it."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from effects.replacing import replacing


@pytest.fixture(params=["unnamed", "named"], autouse=True)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a file system with files without a name, and on one without."""
    if request.param == "unnamed":
        return
    really = os.open

    def no_unnamed(path: str, flags: int, *args: int, **more: int) -> int:
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(errno.EOPNOTSUPP, "no such thing")
        return really(path, flags, *args, **more)

    monkeypatch.setattr(os, "open", no_unnamed)


def test_a_file_appears_with_what_was_written_and_for_its_owner_only(tmp_path: Path) -> None:
    before = os.umask(0)
    with replacing(str(tmp_path / "new")) as fd:
        os.umask(before)
        os.write(fd, b"content")
        assert "new" not in os.listdir(tmp_path)

    assert (tmp_path / "new").read_bytes() == b"content"
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == ["new"]


def test_a_file_that_is_there_is_replaced_whole(tmp_path: Path) -> None:
    (tmp_path / "old").write_text("old and long")
    with replacing(str(tmp_path / "old")) as fd:
        os.write(fd, b"new")
        assert (tmp_path / "old").read_text() == "old and long"

    assert (tmp_path / "old").read_text() == "new"
    assert os.listdir(tmp_path) == ["old"]


def test_after_an_error_everything_is_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "old").write_text("old")
    before = os.listdir("/proc/self/fd")

    def fail(fd: int) -> None:
        os.write(fd, b"half")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), replacing(str(tmp_path / "old")) as fd:
        fail(fd)

    assert (tmp_path / "old").read_text() == "old"
    assert os.listdir(tmp_path) == ["old"]
    assert os.listdir("/proc/self/fd") == before


def test_where_it_cannot_take_its_place_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_args: object, **_more: object) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "rename", full)
    with pytest.raises(OSError, match="full"), replacing(str(tmp_path / "new")) as fd:
        os.write(fd, b"content")

    assert os.listdir(tmp_path) == []


def test_a_link_is_followed_and_stays(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to("there/file")
    with replacing(str(tmp_path / "link")) as fd:
        os.write(fd, b"x")

    assert (tmp_path / "there/file").read_bytes() == b"x"
    assert (tmp_path / "link").is_symlink()


@pytest.mark.parametrize("kind", ["directory", "fifo"])
def test_what_is_no_regular_file_is_never_replaced(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "there"
    path.mkdir() if kind == "directory" else os.mkfifo(path)

    with pytest.raises(FileExistsError), replacing(str(path)):
        raise AssertionError

    assert os.listdir(tmp_path) == ["there"]


def test_a_missing_directory_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), replacing(str(tmp_path / "none/file")):
        raise AssertionError

    assert os.listdir(tmp_path) == []
