"""Every write and flush of the disk is recorded during one boot; many power cuts are made of it afterwards.

With a volatile cache: of what was not flushed, any part may be lost. Each state is mounted and judged.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.vm.conftest import SEED
from tests.vm.engine import Engine, source
from tests.vm.load import Load
from tests.vm.machine import CHECKOUT, Machine, make_disk
from tests.vm.promise import LOST

pytestmark = [pytest.mark.root, pytest.mark.timeout(3600)]
ALL = bool(os.environ.get("MYDOCKER_TEST_ALL"))
STATES = 2000 if ALL else 100
COMMANDS = 100 if ALL else 8
SIZE = 128 << 20


@pytest.fixture
def place() -> Iterator[Path]:
    """In memory: each state is a copy of the disk."""
    directory = Path(f"/dev/shm/mydocker-vm-{os.getpid()}")
    directory.mkdir()
    yield directory
    shutil.rmtree(directory)


def recorded(place: Path, before: str = "true", commands: int = COMMANDS) -> list[tuple[int, str, str]]:
    """Run the load on a disk whose writes go to `place`/log; what was acknowledged at which size of the log."""
    make_disk(place / "disk", SIZE)
    shutil.copyfile(place / "disk", place / "base")
    with Machine(place, place / "disk", place / "log") as machine:
        machine.ok(before)
        engine = Engine(machine)
        engine.ok("run --rm busybox true")
        load = Load(engine, "b", 2, known={}, networks={}, at=lambda: (place / "log").stat().st_size)
        load.start()
        load.wait(commands)
        load.stop()
        machine.ok("sync")  # the log's count of entries is written with a flush
        return load.told


def judged(place: Path, acknowledged: list[tuple[int, str, str]], *, until: str = "") -> dict[str, Any]:
    """How many states there were, and what was wrong with which. `until`: enough once this is."""
    plan = {
        "base": str(place / "base"),
        "log": str(place / "log"),
        "acknowledged": acknowledged,
        "seed": SEED,
        "most": STATES,
        "until": until,
    }
    (place / "plan").write_text(json.dumps(plan))
    done = subprocess.run(
        [
            "unshare",
            "-m",
            "--propagation",
            "private",
            sys.executable,
            "-m",
            "tests.vm.crash_states",
            place / "plan",
        ],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    *found, summary = done.stdout.splitlines()
    return {**json.loads(summary), "found": found}


def test_no_crash_state_of_a_disk_with_a_volatile_cache_lacks_what_was_acknowledged(place: Path) -> None:
    print(f"MYDOCKER_SEED={SEED}")
    acknowledged = recorded(place)
    began = time.monotonic()
    result = judged(place, acknowledged)
    print(f"{len(acknowledged)} acknowledged, {result['entries']} entries, {result['flushes']} flushes:")
    print(f"{result['states']} states in {time.monotonic() - began:.1f} s")
    assert result["found"] == []
    assert result["states"] >= 50


def test_without_the_journals_sync_acknowledged_events_would_be_lost(place: Path) -> None:
    """Breaks the copy of the code in the virtual machine, to see that the check above can turn red."""
    writer = source("eventstore/writer.py")
    broken = f"sed -i 's/os.fdatasync(self._file)/pass/' {writer} && grep -q '^  *pass$' {writer}"
    # However slow this machine is: what nobody syncs is not written because it has grown old.
    acknowledged = recorded(place, f"echo 0 >/proc/sys/vm/dirty_writeback_centisecs && {broken}", 4)
    # What else is wrong with a state may be found before that.
    result = judged(place, acknowledged, until=LOST)
    assert any(LOST in found for found in result["found"]), (
        "the journal's sync can be left out, and nobody would notice"
    )
