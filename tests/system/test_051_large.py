"""Long argument lists and environments: what the kernel takes, the engine passes on."""

from __future__ import annotations

import pytest

from tests.system.conftest import Docker

pytestmark = pytest.mark.root

WORDS = ["x" * 100_000] * 10  # a single one may have 128 KiB (MAX_ARG_STRLEN)
VARIABLES = [word for i in range(10) for word in ("-e", f"V{i}={'y' * 100_000}")]
COUNT = ("sh", "-c", "echo $# ${#10} ${#V9}", "sh")


def test_051_run_takes_a_mebibyte_of_arguments_and_of_environment(series: Docker) -> None:
    assert series.ok("run", "--rm", "busybox", *COUNT, *WORDS) == "10 100000 0\n"
    assert series.ok("run", "--rm", *VARIABLES, "busybox", *COUNT) == "0 0 100000\n"


def test_051_exec_takes_them_too_on_top_of_the_containers_own(series: Docker) -> None:
    series.ok("run", "-d", "--name", "t051", *VARIABLES[:10], "busybox", "sleep", "1000")

    assert series.ok("exec", "t051", *COUNT, *WORDS) == "10 100000 0\n"
    assert series.ok("exec", *VARIABLES[10:], "t051", *COUNT) == "0 0 100000\n"


def test_051_a_health_check_may_be_as_long_as_a_word_can_be(series: Docker) -> None:
    check = f": {'z' * 120_000}; test ${{#V3}} = 100000"
    series.ok("run", "-d", "--name", "t051h", *VARIABLES[:10], "--health-cmd", check, "--health-interval", "100ms", "busybox", "sleep", "1000")  # fmt: skip

    from tests.system.test_050_health import comes_to

    assert comes_to(series, "t051h", "healthy")
