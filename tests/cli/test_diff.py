"""`diff`: what a container changed in its image, running and stopped, without what the engine made for itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.boxed import boxed, mounts
from tests.histories import container_id
from tests.written import Written

SCRIPT = "echo new > /tmp/new; rm /etc/group; mkdir -p /a/b; echo ready; exec sleep 1000"
CHANGED = ["A /a", "A /a/b", "C /etc", "D /etc/group", "C /tmp", "A /tmp/new"]


def test_changes_are_told_while_it_runs_and_afterwards(
    past: Written, capfd: pytest.CaptureFixture[str]
) -> None:
    with boxed(past) as container:
        container.start(SCRIPT)
        before = mounts()
        assert past.mydocker(capfd, "diff", "c1") == (0, CHANGED, "")
        assert mounts() == before
        container.stop()
        assert past.mydocker(capfd, "diff", "c1") == (0, CHANGED, "")


def test_mount_points_of_the_engine_and_of_volumes_are_left_out(
    past: Written, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "host").mkdir()
    volumes = [{"source": str(tmp_path / "host"), "target": "/data/volume", "ro": False}]
    tmpfs = [{"target": "/scratch", "options": ""}]
    with boxed(past, volumes=volumes, tmpfs=tmpfs) as container:
        container.start("echo x > /data/volume/x; echo x > /scratch/x; echo ready; exec sleep 1000")
        assert (container.upper / "etc/hosts").exists()
        assert (container.upper / "data/volume").exists()

        assert past.mydocker(capfd, "diff", "c1") == (0, [], "")
        container.stop()
        assert past.mydocker(capfd, "diff", "c1") == (0, [], "")


def test_a_mount_point_behind_a_link_of_the_image_is_left_out(
    past: Written, capfd: pytest.CaptureFixture[str]
) -> None:
    with boxed(past) as container:
        (container.layer / "etc/hosts").symlink_to("../run/hosts")
        container.start("echo ready; exec sleep 1000")
        assert (container.upper / "run/hosts").exists()

        assert past.mydocker(capfd, "diff", "c1") == (0, [], "")


def test_names_are_escaped(past: Written, capfd: pytest.CaptureFixture[str]) -> None:
    with boxed(past) as container:
        (container.upper / "\x1b[2J").write_text("")

        assert past.mydocker(capfd, "diff", "c1")[1] == ["A /\\x1b[2J"]


def test_one_that_is_not_there_any_more_is_refused(past: Written, capfd: pytest.CaptureFixture[str]) -> None:
    from machine import decide
    from tests.histories import created

    past.decide(decide.create, created("c1", "a"))

    code, lines, err = past.mydocker(capfd, "diff", container_id("a"))

    assert (code, lines) == (125, [])
    assert err.startswith("mydocker: cannot diff c1: it is creating (which allows: ")
    assert past.mydocker(capfd, "diff", "none")[0] == 125
