"""What docs/scenarios.md and docs/crash-table.md promise is tested under the names that they give."""

from __future__ import annotations

import re
from pathlib import Path

from tests import crash_table
from tests.kills import COMMANDS

HERE = Path(__file__).resolve().parent.parent.parent
ROWS = [
    line.split("|")
    for line in (HERE / "docs" / "scenarios.md").read_text().splitlines()
    if re.match(r"\| S\d\d \|", line)
]


def test_every_scenario_has_a_row_and_every_row_a_test() -> None:
    assert [row[1].strip() for row in ROWS] == [f"S{number:02}" for number in range(1, 60)]
    assert [row[1] for row in ROWS if "`test_" not in row[4] and "matrix" not in row[4]] == []


def test_every_test_that_a_row_names_exists() -> None:
    sources = "".join(path.read_text() for path in (HERE / "tests").rglob("test_*.py"))
    known = set(re.findall(r"^def (test_\w+)\(", sources, re.MULTILINE))

    named = {name for row in ROWS for name in re.findall(r"`(test_\w+)`", row[4])}
    assert named - known == set()


def test_a_number_in_a_tests_name_is_in_that_row() -> None:
    for path in (HERE / "tests" / "system").glob("test_08*.py"):
        for name in re.findall(r"^def (test_\w+)\(", path.read_text(), re.MULTILINE):
            for number in re.findall(r"(?<=_)s(\d\d)(?=_)", name):
                row = ROWS[int(number) - 1]
                assert name in row[4], f"{name} is not in row S{number}"


def test_the_crash_table_tells_of_every_command_and_of_no_other() -> None:
    lines = {
        (str(c), who) for c in COMMANDS for who in (("command", "monitor") if c.monitor else ("command",))
    }

    assert set(crash_table.covered()) - {("command", "who dies")} == lines
