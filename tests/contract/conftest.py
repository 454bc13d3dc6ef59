"""The kernels that every handler is tried on: in memory always, the real one where we are root."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.bench import Bench, FakeBench, LinuxBench

KERNELS = ["fake-v1", "fake-hybrid", "fake-v2", pytest.param("linux", marks=pytest.mark.root)]


@pytest.fixture(params=KERNELS)
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    """Resources of one container; after the test nothing of them may be left."""
    kernel, _, layout = request.param.partition("-")
    bench: Bench = FakeBench(layout) if kernel == "fake" else LinuxBench(tmp_path, secrets.token_hex(4))
    yield bench
    bench.clear()
    bench.end_host(bench.host)
    assert bench.leftovers() == []
