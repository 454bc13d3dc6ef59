"""Which cgroup hierarchies there are, by mountinfo alone."""

from __future__ import annotations

import pytest

from effects.linux_cgroups import parse_mountinfo

HYBRID = b"""\
22 27 0:21 / /proc rw,relatime - proc proc rw
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,release_agent=/lib/x,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw,nsdelegate
"""


def test_a_hybrid_layout_is_told_controller_by_controller() -> None:
    assert parse_mountinfo(HYBRID) == [
        {"path": "/sys/fs/cgroup/cpu,cpuacct", "controllers": ["cpu", "cpuacct"], "version": 1},
        {"path": "/sys/fs/cgroup/memory", "controllers": ["memory"], "version": 1},
        {"path": "/sys/fs/cgroup/systemd", "controllers": ["name=systemd"], "version": 1},
        {"path": "/sys/fs/cgroup/unified", "controllers": [], "version": 2},
    ]


def test_a_version_2_layout_is_one_hierarchy() -> None:
    line = b"30 23 0:26 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:4 - cgroup2 cgroup2 rw\n"
    assert parse_mountinfo(line) == [{"path": "/sys/fs/cgroup", "controllers": [], "version": 2}]


WHOLE = b"35 31 0:32 / /whole rw - cgroup cgroup rw,memory\n"
PART = b"36 31 0:32 /docker/0123 /part rw - cgroup cgroup rw,memory\n"


@pytest.mark.parametrize(
    ("lines", "path"),
    [
        (WHOLE + PART, "/whole"),
        (PART + WHOLE, "/whole"),
        (WHOLE + WHOLE.replace(b"/whole", b"/again"), "/whole"),
        (PART, "/part"),
    ],
    ids=["whole first", "part first", "twice", "part only"],
)
def test_a_hierarchy_mounted_several_times_counts_once_where_it_shows_most(lines: bytes, path: str) -> None:
    assert [hierarchy["path"] for hierarchy in parse_mountinfo(lines)] == [path]


def test_a_path_is_unescaped() -> None:
    line = rb"35 31 0:32 / /odd\040place\134 rw - cgroup cgroup rw,pids" + b"\n"
    assert parse_mountinfo(line)[0]["path"] == "/odd place\\"


def test_a_machine_without_cgroups_has_none() -> None:
    assert parse_mountinfo(b"22 27 0:21 / /proc rw,relatime - proc proc rw\n") == []
