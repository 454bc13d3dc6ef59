"""What is thrown away with its container is not synced to the disk, and can all the same be mounted once more."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from effects import mounts, syscalls
from effects.jail import Child

pytestmark = pytest.mark.root


@pytest.fixture
def place(tmp_path: Path) -> Path:
    for name in ("low", "high", "work"):
        (tmp_path / name).mkdir()
    return tmp_path


def mounted(place: Path, *, volatile: bool) -> None:
    """In a namespace of its own, which ends with the process; it writes, and asserts how it is mounted."""

    def work() -> None:
        syscalls.unshare(syscalls.CLONE_NEWNS)
        syscalls.mount(None, "/", None, syscalls.MS_REC | syscalls.MS_PRIVATE)
        paths = [str(place / name) for name in ("low", "high", "work")]
        os.fchdir(mounts.overlay([paths[0]], *paths[1:], volatile=volatile))
        Path("written").write_text("x")
        options = next(
            line.split()[3] for line in Path("/proc/self/mounts").read_text().splitlines() if "/high " in line
        )
        assert ("volatile" in options) is volatile, options

    Child(work, label="volatile").wait()


@pytest.mark.parametrize("volatile", [True, False])
def test_it_is_mounted_as_asked_and_again(place: Path, *, volatile: bool) -> None:
    for _ in range(3):
        mounted(place, volatile=volatile)

    assert (place / "high" / "written").read_text() == "x"


def test_the_kernel_keeps_it_from_whoever_would_trust_it(place: Path) -> None:
    mounted(place, volatile=True)
    with pytest.raises(OSError) as refused:  # noqa: PT011 - by its number
        mounted(place, volatile=False)

    assert refused.value.errno == errno.EINVAL
