"""What a tree takes of the disk: blocks, each once, and nothing of what is mounted or pointed to."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from effects.sizes import taken

BLOCK = 4096


def test_what_is_gone_takes_nothing(tmp_path: Path) -> None:
    assert taken(str(tmp_path / "gone")) == 0


def test_a_file_takes_its_blocks_and_a_hole_takes_none(tmp_path: Path) -> None:
    full, holey = tmp_path / "full", tmp_path / "holey"
    full.write_bytes(b"x" * 100_000)
    with holey.open("wb") as file:
        file.truncate(1 << 30)

    assert 100_000 <= taken(str(full)) < 100_000 + 2 * BLOCK
    assert taken(str(holey)) < 2 * BLOCK


def test_a_tree_is_the_sum_of_its_parts_and_hard_links_count_once(tmp_path: Path) -> None:
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    (deep / "file").write_bytes(b"x" * 50_000)
    before = taken(str(tmp_path))
    os.link(deep / "file", tmp_path / "again")

    assert before >= 50_000
    assert taken(str(tmp_path)) == before


def test_no_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/usr")
    (tmp_path / "loop").symlink_to(tmp_path)

    assert taken(str(tmp_path)) < 10 * BLOCK
    assert taken(str(tmp_path / "link")) < 2 * BLOCK


def test_another_device_below_is_not_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a mount shows to lstat(2): the entry is of another device than the top."""
    (tmp_path / "mount").mkdir()
    (tmp_path / "mount" / "file").write_bytes(b"x" * 100_000)
    real = os.lstat

    def elsewhere(path: str) -> os.stat_result:
        found = list(real(path))
        found[2] += 1  # st_dev of the top: everything below is of another device then
        return os.stat_result(found, {"st_blocks": real(path).st_blocks})

    monkeypatch.setattr("os.lstat", elsewhere)

    assert taken(str(tmp_path)) < 2 * BLOCK
