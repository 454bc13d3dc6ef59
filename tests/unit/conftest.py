"""Containers made without the engine, and the promise that they leave nothing of themselves."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.births import Box, children, make_image


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


def _world() -> tuple[list[str], list[int], list[str]]:
    with open("/proc/self/mountinfo") as mounts:
        return sorted(os.listdir("/proc/self/fd")), children(), mounts.readlines()
