"""docs/crash-table.md: written by the kill matrix, and read by the test that it covers what exists."""

from __future__ import annotations

import fcntl
import re
import time
from itertools import groupby
from pathlib import Path

TABLE = Path(__file__).resolve().parent.parent / "docs" / "crash-table.md"
HEAD = """# What a kill leaves: command by command, step by step

Written by `sh tools/test --all -k kill_matrix`, never by hand. Each command was carried out once and each of its steps noted: an append to
the journal, a call that changes the kernel or the disk. Then, for each step, all was done again and the process killed with `kill -9`
just before that step: the command itself, and the container's monitor. **Then there is** what `ps` shows after a `replay`. Where steps of one
name end differently, both ends are told. Each was done again in three more ways:

* with the run directory deleted as well: that ended alike, but where the row says otherwise;
* **after a reboot**: all processes, cgroups and the run directory gone, another boot id;
* without any `replay`, the next command being the same one again.

In every case: no mount, cgroup, process, link, file or layer was left that no
container owns; what `ps` says to run did run; the journal had no gap, no altered byte and no impossible event, and each event told who and
why; and the command, asked again, succeeded, or said in one line that it had been done.

| command | who dies | before one of these steps | then there is | after a reboot |
|---|---|---|---|---|
"""


class Row:
    """What became of the steps of one name: way -> what there was then."""

    def __init__(self, step: str) -> None:
        self.step = step
        self.outcomes: dict[str, list[str]] = {}

    def add(self, way: str, outcome: str) -> None:
        """Empty where the step was not reached."""
        found = self.outcomes.setdefault(way, [])
        if outcome and outcome not in found:
            found.append(outcome)

    def cells(self) -> str:
        """What the table says."""
        said = " or ".join(self.outcomes.get("replay", []))
        other = self.outcomes.get("no run directory", [])
        if not set(other) <= set(self.outcomes.get("replay", [])):
            said += f"; without the run directory {' or '.join(other)}"
        return f"{said} | {' or '.join(self.outcomes.get('reboot', []))}"


def write(order: list[tuple[str, str]], rows: list[Row], name: str, who: str) -> None:
    """Put the rows of `name` and `who` in place of the old ones; neighbours that say the same share a line."""
    lines = []
    for cells, group in groupby(rows, key=Row.cells):
        steps = ", ".join(f"`{row.step}`" for row in group)
        lines.append(f"| {name} | {who} | {steps} | {cells} |")
    TABLE.touch()
    with TABLE.open("r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        kept = [
            line for line in file.read().splitlines() if _key(line) in order and _key(line) != (name, who)
        ]
        text = sorted(kept + lines, key=lambda line: order.index(_key(line)))
        file.seek(0)
        file.truncate()
        file.write(HEAD + "\n".join(text) + f"\n\nLast written: {time.strftime('%Y-%m-%d')}.\n")


def covered() -> dict[tuple[str, str], set[str]]:
    """(command, who) -> names of the steps that the table tells of."""
    found: dict[tuple[str, str], set[str]] = {}
    for line in TABLE.read_text().splitlines():
        if line.startswith("| "):
            found.setdefault(_key(line), set()).update(re.findall(r"`([^`]+)`", line.split("|")[3]))
    return found


def _key(line: str) -> tuple[str, str]:
    cells = [cell.strip() for cell in line.split("|")]
    return (cells[1], cells[2]) if line.startswith("| ") else ("", "")
