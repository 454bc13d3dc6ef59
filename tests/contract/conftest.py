"""The kernels that every handler is tried on: in memory always, the real one where we are root."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from tests.contract.bench import Bench, FakeBench, LinuxBench
from tests.journal_home import Home

B = TypeVar("B", bound=Bench)
KERNELS = ["fake-v1", "fake-hybrid", "fake-v2", pytest.param("linux", marks=pytest.mark.root)]


@pytest.fixture(params=KERNELS)
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    """Resources of one container; after the test nothing of them may be left."""
    kernel, _, layout = request.param.partition("-")
    yield from _leaving_nothing(FakeBench(layout) if kernel == "fake" else _real(tmp_path))


@pytest.fixture
def real(tmp_path: Path) -> Iterator[LinuxBench]:
    """The real kernel alone, for what the fake does not model; for tests marked `root`."""
    yield from _leaving_nothing(_real(tmp_path))


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """Where a journal may be made."""
    return Home(tmp_path)


def _real(tmp_path: Path) -> LinuxBench:
    return LinuxBench(tmp_path, secrets.token_hex(4))


def _leaving_nothing(bench: B) -> Iterator[B]:
    try:
        yield bench
        bench.clear()
        bench.end_host(bench.host)
        assert bench.leftovers() == []
    finally:
        bench.end_host(bench.host)
        bench.close()
