"""The cgroups of the engines that tests start: where they lie, who is in them, and that a run of the tests leaves none."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from tests import waiting

TOP = Path("/sys/fs/cgroup")
_used: set[str] = set()  # the root ids of this run; other runs on this machine have theirs


def note(root_id: str) -> None:
    """Whatever a test does about them: at the end of the run nothing of this root may be there (`left`)."""
    _used.add(root_id)


def of(root_id: str) -> list[Path]:
    """A root's cgroups in all hierarchies, those below first."""
    note(root_id)
    parent = f"mydocker-{root_id}"
    tops = [*TOP.glob(parent), *TOP.glob(f"*/{parent}")]
    # Unlike `rglob` it minds no directory that is removed while we look.
    found = [Path(path) for top in tops for path, _, _ in os.walk(top)]
    return sorted(found, key=lambda path: -len(path.parts))


def members(root_id: str) -> set[int]:
    """Pids."""
    found = set()
    for path in of(root_id):
        with contextlib.suppress(OSError):  # removed while we looked
            found |= {int(pid) for pid in (path / "cgroup.procs").read_text().split()}
    return found


def remove(root_id: str) -> None:
    """As a boot does. Nothing lives in them any more."""
    for path in of(root_id):
        waiting.remove_cgroup(path)


def left() -> list[Path]:
    """What is there of all the roots that were noted."""
    return [path for root_id in sorted(_used) for path in of(root_id)]
