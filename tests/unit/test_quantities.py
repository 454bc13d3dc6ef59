"""Sizes, cpus, cpu lists and durations: what is taken, what is refused, and that nothing is rounded."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from machine import quantities
from machine.errors import InvalidValue

K, M, G = 1 << 10, 1 << 20, 1 << 30
S = 1_000_000_000


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("1", 1),
        ("64b", 64),
        ("512k", 512 * K),
        ("5M", 5 * M),
        ("5m", 5 * M),
        ("100mb", 100 * M),
        ("100MiB", 100 * M),
        ("1g", G),
        ("1.5g", 3 * G // 2),
        ("0.1k", 102),
        ("2t", 2 << 40),
        ("9223372036854775807", 2**63 - 1),
    ],
)
def test_a_size_is_a_number_and_a_power_of_1024(text: str, amount: int) -> None:
    assert quantities.size(text) == amount


@pytest.mark.parametrize(
    "text",
    ["", "m", "5x", "5mm", "5bb", "5i", "-5m", "+5", "0", "0m", "0.0000001k", "1e3", "5 m", ".", "5.", "1.2.3", "²",
     "9223372036854775808", "9999999p", "9" * 5000, "5\u212a"],
)  # fmt: skip
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(InvalidValue):
        quantities.size(text)


def test_the_seriess_five_megabytes_are_enough_memory_and_less_than_512k_is_not() -> None:
    assert quantities.memory("5M") == 5 * M
    assert quantities.memory("512k") == 512 * K
    with pytest.raises(InvalidValue, match="at least 512k"):
        quantities.memory("511k")


def test_a_refusal_says_what_was_typed_and_for_what() -> None:
    with pytest.raises(InvalidValue, match=r"^invalid --memory '5X': expected a number of bytes"):
        quantities.memory("5X", "--memory")


def test_memory_and_swap_may_be_without_limit() -> None:
    assert quantities.memory_swap("-1") == -1
    assert quantities.memory_swap("1g") == G


@pytest.mark.parametrize(
    ("text", "quota"),
    [("1", 100_000), ("1.5", 150_000), ("0.01", 1_000), (".5", 50_000), ("0.07", 7_000), ("2.30", 230_000)],
)
def test_cpus_become_a_quota_without_a_float_error(text: str, quota: int) -> None:
    assert quantities.cpus(text) == (quota, 100_000)


@pytest.mark.parametrize("text", ["", "0", "0.001", "-1", "abc", "1.5.1", "1e2", "nan", "inf", "99999"])
def test_cpus_that_the_scheduler_cannot_give_are_refused(text: str) -> None:
    with pytest.raises(InvalidValue):
        quantities.cpus(text)


@pytest.mark.parametrize(("text", "quota"), [("50", 50_000), ("50%", 50_000), ("150", 150_000), ("1", 1_000)])
def test_a_cpu_percentage_is_of_one_cpu(text: str, quota: int) -> None:
    assert quantities.cpu_percent(text) == (quota, 100_000)


@pytest.mark.parametrize(("text", "shares"), [("2", 2), ("512", 512), ("262144", 262144)])
def test_cpu_shares_are_the_kernels(text: str, shares: int) -> None:
    assert quantities.cpu_shares(text) == shares


@pytest.mark.parametrize("text", ["", "1", "0", "-5", "262145", "12.5", "0x20", "1_000"])
def test_cpu_shares_out_of_the_kernels_bounds_are_refused(text: str) -> None:
    with pytest.raises(InvalidValue):
        quantities.cpu_shares(text)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("0", "0"),
        ("0-2,4", "0-2,4"),
        ("4,0-1,1-2", "0-2,4"),
        ("1,0", "0-1"),
        ("3-3", "3"),
        ("8191", "8191"),
    ],
)
def test_a_cpu_list_takes_the_kernels_form(text: str, canonical: str) -> None:
    assert quantities.cpuset(text) == canonical


@pytest.mark.parametrize(
    "text", ["", ",", "0,", "-1", "0-", "2-1", "a", "0 1", "8192", "0-99999999", "0-2-4", "0;1"]
)
def test_a_list_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(InvalidValue):
        quantities.cpuset(text)


@pytest.mark.parametrize(
    ("text", "amount"),
    [("0", 0), ("10", 10 * S), ("10s", 10 * S), ("1m30s", 90 * S), ("1h", 3600 * S), ("1.5h", 5400 * S),
     ("250ms", S // 4), ("1us", 1_000), ("1µs", 1_000), ("7ns", 7), ("1d", 86_400 * S), ("0s", 0)],
)  # fmt: skip
def test_a_duration_is_seconds_or_gos_form(text: str, amount: int) -> None:
    assert quantities.duration(text) == amount


@pytest.mark.parametrize(
    "text", ["", "s", "10x", "-1s", "1m30", "1 s", "1.s", "10sec", "9" * 19, "9" * 30 + "h", "1hm"]
)
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(InvalidValue):
        quantities.duration(text)


def test_minus_one_waits_for_ever() -> None:
    assert quantities.grace("-1") == -1
    assert quantities.grace("3") == 3 * S


@pytest.mark.parametrize(("text", "limit"), [("-1", -1), ("0", -1), ("1", 1), ("4194304", 4194304)])
def test_no_process_limit_is_minus_one(text: str, limit: int) -> None:
    assert quantities.pids(text) == limit


@pytest.mark.parametrize("text", ["", "-2", "4194305", "x", "--1", "-"])
def test_a_process_limit_out_of_the_kernels_bounds_is_refused(text: str) -> None:
    with pytest.raises(InvalidValue):
        quantities.pids(text)


@pytest.mark.parametrize("limits", [{}, {"memory": M}, {"memory_swap": -1}, {"memory": M, "memory_swap": M}])
def test_limits_that_agree_pass(limits: dict[str, int]) -> None:
    quantities.check_limits(limits)


@pytest.mark.parametrize("limits", [{"memory_swap": M}, {"memory": 2 * M, "memory_swap": M}])
def test_swap_counts_memory_in(limits: dict[str, int]) -> None:
    with pytest.raises(InvalidValue, match="--memory-swap"):
        quantities.check_limits(limits)


PARSERS = [
    quantities.size,
    quantities.memory,
    quantities.memory_swap,
    quantities.cpus,
    quantities.cpu_percent,
    quantities.cpu_shares,
    quantities.cpuset,
    quantities.pids,
    quantities.duration,
    quantities.grace,
]
TEXTS = st.one_of(st.text(), st.text(alphabet="0123456789.,-+%bkmgtpisund ", max_size=24))


@given(st.sampled_from(PARSERS), TEXTS)
def test_no_text_raises_anything_but_invalid_value(parse: Callable[[str], object], text: str) -> None:
    with suppress(InvalidValue):
        parse(text)


@given(st.integers(1, 2**43), st.sampled_from([("", 0), ("b", 0), ("k", 10), ("MB", 20)]))
def test_every_size_comes_back(number: int, unit: tuple[str, int]) -> None:
    letters, power = unit
    if number << power < 2**63:
        assert quantities.size(f"{number}{letters}") == number << power


@given(st.sets(st.integers(0, quantities.MAX_CPU), min_size=1, max_size=60))
def test_every_cpu_list_comes_back(cpus: set[int]) -> None:
    canonical = quantities.cpuset(",".join(map(str, cpus)))

    members = set()
    for part in canonical.split(","):
        first, _, last = part.partition("-")
        members |= set(range(int(first), int(last or first) + 1))
    assert members == cpus
    assert quantities.cpuset(canonical) == canonical


@given(st.integers(1, 800_000))
def test_cpus_in_hundredths_are_exact(hundredths: int) -> None:
    text = f"{hundredths // 100}.{hundredths % 100:02}"

    assert quantities.cpus(text) == (hundredths * 1_000, 100_000)


@given(st.integers(0, 10**6), st.integers(0, 59), st.integers(0, 59), st.integers(0, 999))
def test_every_duration_comes_back(hours: int, minutes: int, seconds: int, milliseconds: int) -> None:
    expected = ((hours * 60 + minutes) * 60 + seconds) * S + milliseconds * 1_000_000

    assert quantities.duration(f"{hours}h{minutes}m{seconds}s{milliseconds}ms") == expected
    assert quantities.duration(f"{hours}h{minutes}m{seconds}.{milliseconds:03}s") == expected
