"""Limits in the words of the kernel's files."""

from __future__ import annotations

import math
from typing import Any

import pytest

from effects.cgroup_limits import memory_and_swap, needed, weight, writes_v1, writes_v2

MEBIBYTE = 1 << 20
LIMITS: list[tuple[dict[str, Any], list[tuple[str, str]], list[tuple[str, str]]]] = [
    ({}, [], []),
    ({"memory": 0, "pids": 0, "cpu_shares": 0, "cpuset_cpus": ""}, [], []),
    (
        {"cpu_quota": 50000},
        [("cpu.cfs_quota_us", "50000")],
        [("cpu.max", "50000 100000")],
    ),
    (
        {"cpu_quota": 50000, "cpu_period": 200000},
        [("cpu.cfs_period_us", "200000"), ("cpu.cfs_quota_us", "50000")],
        [("cpu.max", "50000 200000")],
    ),
    ({"cpu_shares": 1024}, [("cpu.shares", "1024")], [("cpu.weight", "100")]),
    ({"pids": 5}, [("pids.max", "5")], [("pids.max", "5")]),
    ({"pids": -1}, [("pids.max", "max")], [("pids.max", "max")]),
    (
        {"memory": 8 * MEBIBYTE},
        [],
        [("memory.swap.max", str(8 * MEBIBYTE)), ("memory.max", str(8 * MEBIBYTE))],
    ),
    (
        {"memory": 8 * MEBIBYTE, "memory_swap": 8 * MEBIBYTE},
        [],
        [("memory.swap.max", "0"), ("memory.max", str(8 * MEBIBYTE))],
    ),
    (
        {"memory": 8 * MEBIBYTE, "memory_swap": -1},
        [],
        [("memory.max", str(8 * MEBIBYTE))],  # without a limit of swap, as a new cgroup is
    ),
    (
        {"cpuset_cpus": "0-1", "cpuset_mems": "0"},
        [],
        [("cpuset.cpus", "0-1"), ("cpuset.mems", "0")],
    ),
]


@pytest.mark.parametrize(("limits", "v1", "v2"), LIMITS)
def test_only_what_is_asked_is_written(
    limits: dict[str, Any], v1: list[tuple[str, str]], v2: list[tuple[str, str]]
) -> None:
    assert [row[1:] for row in writes_v1(limits, reset=False)] == v1
    assert [row[1:] for row in writes_v2(limits, reset=False)] == v2


def test_a_reset_lifts_what_is_no_longer_asked() -> None:
    assert [row[1:] for row in writes_v1({"pids": 5}, reset=True)] == [
        ("cpu.shares", "1024"),
        ("cpu.cfs_period_us", "100000"),
        ("cpu.cfs_quota_us", "-1"),
        ("pids.max", "5"),
    ]
    assert [row[1:] for row in writes_v2({"pids": 5}, reset=True)] == [
        ("memory.swap.max", "max"),
        ("memory.max", "max"),
        ("cpu.weight", "100"),
        ("cpu.max", "max 100000"),
        ("cpuset.cpus", ""),
        ("cpuset.mems", ""),
        ("pids.max", "5"),
    ]


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({}, (-1, -1)),
        ({"memory": 5}, (5, 10)),
        ({"memory": 5, "memory_swap": 7}, (5, 7)),
        ({"memory": 5, "memory_swap": -1}, (5, -1)),
    ],
)
def test_memory_alone_allows_as_much_swap_again(limits: dict[str, Any], expected: tuple[int, int]) -> None:
    assert memory_and_swap(limits) == expected


def test_each_limit_names_its_controller() -> None:
    assert needed({"memory": 1, "memory_swap": 2, "cpu_quota": 3, "pids": 0}) == {
        "memory": "memory",
        "cpu": "cpu_quota",
    }


@pytest.mark.parametrize("shares", [2, 3, 256, 512, 1000, 1024, 2048, 50000, 131072, 262143, 262144])
def test_weight_follows_the_curve_that_runc_took(shares: int) -> None:
    log = math.log2(shares)
    assert weight(shares) == min(10000, math.ceil(10 ** ((log * log + 125 * log) / 612 - 7 / 34)))


def test_weight_of_the_defaults_is_the_default_and_all_stays_in_range() -> None:
    assert (weight(0), weight(2), weight(1024), weight(262144), weight(10**9)) == (1, 1, 100, 10000, 10000)
