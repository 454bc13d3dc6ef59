"""The power goes at exactly this step of exactly this command: a reset from inside, which syncs nothing.

The commands and their steps are those of the kill matrix. Every boot checks what the cut before it left.
"""

from __future__ import annotations

import os
import random
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.kills import COMMANDS, NET, Command
from tests.vm.conftest import SEED
from tests.vm.engine import PROGRAM, ROOT, Engine, source
from tests.vm.machine import Machine, PowerLost
from tests.vm.promise import check

pytestmark = [pytest.mark.root, pytest.mark.timeout(36000)]
ALL = bool(os.environ.get("MYDOCKER_TEST_ALL"))
POINTS = 12 if ALL else 1  # of each command
SAMPLE = {False: 3, True: 1}  # commands without a network, and with one
STEPS = (8, 30)  # short commands have some eight; where there are fewer, the plug is pulled at the end
# Put behind the failpoints in the virtual machine's copy of the program: the nth step, whatever its name, is the end.
CUT = """

def _cut(self: object, step: str) -> None:
    self.left -= 1
    if not self.left:
        with open("/dev/kmsg", "w") as kernel, open("/proc/sysrq-trigger", "w") as trigger:
            kernel.write(f"<0>cut before {step}\\n")
            kernel.flush()
            trigger.write("b")


_Plan.reached = _cut
"""


def chosen() -> Iterator[tuple[Command, str, int]]:
    """Command, who is at work (command or monitor), and the step."""
    chance = random.Random(f"{SEED} exact")
    plain = [command for command in COMMANDS if not any(words[0].startswith("!") for words in command.before)]
    with_network = {command: NET in command.before or command.words == NET for command in plain}
    for networked, sample in SAMPLE.items():
        of_kind = [command for command in plain if with_network[command] == networked]
        yield from _points(of_kind if ALL else chance.sample(of_kind, sample), chance)


def _points(commands: list[Command], chance: random.Random) -> Iterator[tuple[Command, str, int]]:
    for command in commands:
        for _ in range(POINTS):
            who = chance.choice(["command", "monitor"] if command.monitor else ["command"])
            yield command, who, chance.randint(1, chance.choice(STEPS))


def test_power_that_goes_at_a_chosen_step_leaves_nothing_half_done(
    boot: Callable[..., Machine], tmp_path: Path
) -> None:
    print(f"MYDOCKER_SEED={SEED}")
    machine = boot()
    Engine(machine).ok("run --rm busybox true")
    reached = 0
    for number, (command, who, step) in enumerate(chosen()):
        where = _cut(machine, command, who, step)
        reached += bool(where)
        print(f"{command}, {who}: {where or f'ended before step {step}'}")
        machine = boot()
        engine = Engine(machine)
        engine.ok("replay")
        keep = tmp_path / f"journal{number}"
        keep.mkdir()
        containers, _ = check(engine, keep)
        if containers:
            engine.ok("rm -f " + " ".join(containers))
        engine.ok("network prune -f")
        engine("rmi -f copy")
    assert reached or not ALL, "no command has that many steps"


def _cut(machine: Machine, command: Command, who: str, step: int) -> str:
    """Carry it out until the power goes; the step, or "" where it had none so late. Off in any case."""
    machine.ok(f"printf %s {shlex.quote(CUT)} >> {source('effects/failpoints.py')}")
    arm = f"MYDOCKER_FAILPOINT='{who}|cut|{step}||'"
    early = who == "monitor" and command.monitor == "before"
    try:
        for number, words in enumerate([*command.before, command.words]):
            armed = arm if (words[0] == "run" if early else number == len(command.before)) else ""
            machine(f"cd {ROOT}; {armed} MYDOCKER_ROOT={ROOT} {PROGRAM} {shlex.join(words)}")
    except PowerLost:
        machine.wait_off()
        # The end may come before the kernel has printed that.
        return (machine.last_words().rpartition("cut before ")[2].splitlines() or ["?"])[0]
    machine.cut()
    return ""
