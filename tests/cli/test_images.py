"""What passes for an image's tar, and what does not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cli import images
from cli.commands.images import rows_of
from cli.session import Session
from machine.errors import BrokenImage


def session(root: Path) -> Session:
    return Session(str(root), "", "images")


def test_only_files_are_listed_and_a_link_to_nowhere_keeps_none_from_it(tmp_path: Path) -> None:
    (tmp_path / "file.tar").write_bytes(b"a tar")
    (tmp_path / "link.tar").symlink_to("file.tar")
    (tmp_path / "nowhere.tar").symlink_to("/nowhere/at/all")
    (tmp_path / "folder.tar").mkdir()
    (tmp_path / ".hidden.tar").write_bytes(b"half a tar")

    assert [(row["Name"], row["ID"], row["Size"]) for row in rows_of(session(tmp_path))] == [
        ("file", "", "5B"),
        ("link", "", "5B"),
    ]


def test_there_may_be_no_root_yet(tmp_path: Path) -> None:
    assert rows_of(session(tmp_path / "none")) == []


def test_a_directory_is_refused_by_name_before_anything_is_noted(tmp_path: Path) -> None:
    folder = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with pytest.raises(BrokenImage, match=r"^cannot import x: it is a directory, not a tar$"):
            images.import_stream(session(tmp_path / "root"), folder, "x", {"path": str(tmp_path)})
    finally:
        os.close(folder)
    assert not (tmp_path / "root").exists()
