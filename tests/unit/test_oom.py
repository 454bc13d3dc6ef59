"""The kernel's own count of what it killed for want of memory, as both versions of cgroups write it."""

from __future__ import annotations

from pathlib import Path

import pytest

from effects.linux import LinuxHost

# Whole files of Linux 6.1: memory.events (admin-guide/cgroup-v2.rst) and memory.oom_control (cgroup-v1/memory.rst).
V2 = "low 0\nhigh 0\nmax 53\noom {}\noom_kill {}\noom_group_kill 0\n"
V1 = "oom_kill_disable 0\nunder_oom 0\noom_kill {}\n"


def kills(base: Path, version: int, content: str | None) -> int:
    mount = base / "memory"
    (mount / "box").mkdir(parents=True)
    if content is not None:
        name = "memory.events" if version == 2 else "memory.oom_control"
        (mount / "box" / name).write_text(content)
    facts = {"leaf": "box", "at": {"memory": str(mount)}, "cgroup2": str(mount) if version == 2 else ""}
    return LinuxHost().oom_kills(facts)


@pytest.mark.parametrize(
    ("version", "content", "count"),
    [
        (2, V2.format(1, 1), 1),
        (2, V2.format(3, 2), 2),  # an "oom" that found nobody to kill is no kill
        (2, V2.format(0, 0), 0),
        (2, "low 0\nhigh 0\nmax 0\noom 0\n", 0),  # before Linux 4.13
        (1, V1.format(1), 1),
        (1, V1.format(0), 0),
        (1, "oom_kill_disable 0\nunder_oom 0\n", 0),  # before Linux 4.13
    ],
)
def test_a_kill_for_want_of_memory_is_counted_in_both_versions(
    tmp_path: Path, version: int, content: str, count: int
) -> None:
    assert kills(tmp_path, version, content) == count


@pytest.mark.parametrize("version", [1, 2])
def test_a_cgroup_that_is_gone_tells_of_no_kill(tmp_path: Path, version: int) -> None:
    assert kills(tmp_path, version, None) == 0


def test_without_a_memory_controller_nobody_counts() -> None:
    assert LinuxHost().oom_kills({"leaf": "box", "at": {}, "cgroup2": "/sys/fs/cgroup"}) == 0
