"""The program is replaced while containers run: nothing of them is lost, and nobody calls it a defect."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests import waiting
from tests.system.conftest import Docker
from tests.upgrades import LATER_EVENT, LATER_NUMBER, Version

COUNT = "i=0; while read -t 0.05 x; [ ! -e /end ]; do i=$((i+1)); echo $i; done; exit 7"


@pytest.fixture
def version(tmp_path: Path, docker: Docker) -> Version:
    """The program that `docker` is, in a place where it can be replaced."""
    version = Version(tmp_path / "program")
    version.put()
    docker.program = str(version.program)
    return version


def monitor(docker: Docker, name: str) -> int:
    return int(docker.inspect(name)["State"]["MonitorPid"])


def test_first(version: Version, docker: Docker, busybox_tar: Path) -> None:
    docker.ok("run", "-d", "--name", "a", "busybox", "sh", "-c", COUNT)
    pid = monitor(docker, "a")
    version.put(LATER_NUMBER, *LATER_EVENT)
    print(docker("replay"))
    docker.ok("exec", "a", "touch", "/end")
    print(docker.ok("wait", "a"))
    print(docker.ok("history", "a"))
    print(docker.ok("why", "a"))
    assert not (docker.root / "defects.txt").exists(), (docker.root / "defects.txt").read_text()
    assert 0
