"""Kill -9 before every step of every command, and of the monitor: nothing is left, nothing lost, nothing refused.

The claims are those at the end of the list of scenarios (`tests.claims`), after each of four ways to go on. Each
command's steps are found by carrying it out once. Here some of them are chosen by a seed, which is printed;
`sh tools/test --all` takes all, and writes docs/crash-table.md.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from tests import claims, crash_table
from tests.kills import ALL, COMMANDS, SEED, Command, Point, ask, kill_at, points_of
from tests.machines import Machine

pytestmark = [pytest.mark.root, pytest.mark.timeout(3600)]
SAMPLES = 2  # of each command and who dies
EACH = 3  # of steps of one name
WAYS = ("replay", "again", "no run directory", "reboot")


def whos(command: Command) -> tuple[str, ...]:
    return ("command", "monitor") if command.monitor else ("command",)


@pytest.mark.parametrize(("command", "who"), [(c, who) for c in COMMANDS for who in whos(c)], ids=str)
def test_080_kill_matrix(machine: Machine, command: Command, who: str) -> None:
    points = points_of(machine, command, who)
    machine.clear()
    assert points, "it has no step"
    _the_table_tells_of(command, who, points)
    rows: dict[str, crash_table.Row] = {}
    for point, ways in _chosen(command, points):
        row = rows.setdefault(point.step, crash_table.Row(point.step))
        for way in ways:
            row.add(way, _survived(machine, command, point, way))
    if ALL:
        order = [(str(c), one) for c in COMMANDS for one in whos(c)]
        crash_table.write(order, [*rows.values()], str(command), who)


def _the_table_tells_of(command: Command, who: str, points: list[Point]) -> None:
    """docs/crash-table.md has every step that there is now."""
    if ALL:
        return  # it is about to be written
    missing = {point.step for point in points} - crash_table.covered().get((str(command), who), set())
    assert not missing, f"new steps, write the table anew [sh tools/test --all -k kill_matrix]: {missing}"


def _chosen(command: Command, points: list[Point]) -> Iterator[tuple[Point, tuple[str, ...]]]:
    """Each with the ways to go on after it.

    All, that is: of steps of one name (the same deed in thirty cgroups, say) the first takes every way, the
    others one; beyond the third only the last.
    """
    if not ALL:
        chance = random.Random(f"{SEED} {command} {points[0].who}")
        print(f"MYDOCKER_SEED={SEED}")
        for point in chance.sample(points, min(SAMPLES, len(points))):
            yield point, (chance.choice(WAYS),)
        return
    for step in dict.fromkeys(point.step for point in points):
        alike = [point for point in points if point.step == step]
        yield alike[0], WAYS
        for point in dict.fromkeys([*alike[1:EACH], *alike[1:][-1:]]):
            yield point, ("replay",)


def _survived(machine: Machine, command: Command, point: Point, way: str) -> str:
    """Kill, go on in that way, check all claims, ask again. What a user found; empty: it never came there."""
    where = f"{command}, {point}, then {way} [MYDOCKER_SEED={SEED}]"
    reached = kill_at(machine, command, point)
    if way == "again":
        for words in command.after:
            ask(machine, words)
        _asked_again(machine, command, where)
    elif way == "no run directory":
        machine.lose_run_dir()
    elif way == "reboot":
        machine.reboot()
    machine.ok("replay", timeout=90)
    outcome = claims.hold(machine, where).outcome()
    if way != "again":
        for words in command.after:
            machine(*words)
        _asked_again(machine, command, where)
    machine.clear()
    return outcome if reached else ""


def _asked_again(machine: Machine, command: Command, where: str) -> None:
    done = ask(machine, command.words)
    assert done.returncode in command.again, f"{where}, asked again: {done.returncode} {done.stderr}"
