"""Containers made without the engine, which leave nothing of themselves; their logs; monitors and who is attached to them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from effects.logfile import LogWriter
from tests.births import Box, children, make_image
from tests.logs import Container, Make
from tests.monitors import FakeMonitor, Foreground, Start


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A layer's directory; read-only by convention."""
    return make_image(tmp_path_factory.mktemp("image"))


@pytest.fixture
def box(tmp_path: Path, image: Path) -> Iterator[Box]:
    """One container to be. Afterwards: no process, no descriptor and no mount more than before."""
    before = _world()
    made = Box(tmp_path / "box", image)
    yield made
    made.close()
    assert _world() == before


# --- logs ------------------------------------------------------------------------------------------------


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A container's directory of logs."""
    (tmp_path / "log").mkdir()
    return tmp_path / "log"


@pytest.fixture
def fifo(tmp_path: Path) -> Iterator[int]:
    """What a container writes to: both ends."""
    os.mkfifo(tmp_path / "fifo")
    fd = os.open(tmp_path / "fifo", os.O_RDWR | os.O_NONBLOCK)
    yield fd
    os.close(fd)


@pytest.fixture
def log(directory: Path) -> Iterator[LogWriter]:
    writer = LogWriter(str(directory), "stdout")
    yield writer
    writer.close()


@pytest.fixture
def container(directory: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """Makes one that writes logs, of these sizes."""
    made: list[Container] = []

    def make(**sizes: int) -> Container:
        made.append(Container(directory, monkeypatch, **sizes))
        return made[-1]

    yield make
    for each in made:
        for log in each.logs.values():
            log.close()


# --- relays ----------------------------------------------------------------------------------------------


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Makes a monitor that listens."""
    made: list[FakeMonitor] = []

    def make(**options: Any) -> FakeMonitor:
        made.append(FakeMonitor(tmp_path, **options))
        made[-1].start()
        return made[-1]

    yield make
    for monitor in made:
        monitor.close()


@pytest.fixture
def ours() -> Iterator[Foreground]:
    """The files of a command in the foreground."""
    foreground = Foreground()
    yield foreground
    foreground.finish()


@pytest.fixture
def slow() -> Iterator[Foreground]:
    """Its stdout is read only when `out.go` is set."""
    foreground = Foreground(at_once=False)
    yield foreground
    foreground.finish()


def _world() -> tuple[list[str], list[int], list[str]]:
    with open("/proc/self/mountinfo") as mounts:
        return sorted(os.listdir("/proc/self/fd")), children(), mounts.readlines()
