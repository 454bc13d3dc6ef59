"""Random lives: against a small model, and with decisions, crashes and failures in the midst of settling."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from machine import decide, decide_host
from machine import events as ev
from machine.errors import MachineError, OtherRunDir
from machine.home import USUAL_RUN_DIR
from machine.plan import Step, leftover_steps, plan, wanted
from machine.resources import DISK, WATCHED
from machine.subjects import Container, Subject
from machine.world import World
from tests.event_order import violations
from tests.histories import MACHINE, PLACES, History, created, here, intent, outcome, well

NAMES = ("one", "two")
LIVE = ("running", "paused", "stopping")
Command = tuple[str, str, bool]  # verb, name, a choice that some verbs have


class Machine:
    """A history that random commands are given to; ids are never used again."""

    def __init__(self) -> None:
        self.history = History()
        self.boots = 0
        self.ids = 0
        self.reboot()

    @property
    def world(self) -> World:
        return self.history.world

    def reboot(self) -> None:
        self.boots += 1
        self.history.decide(decide_host.note_boot, here(f"boot-{self.boots}", MACHINE))

    def ask_for_run_dir(self, path: str) -> None:
        """As the next command does; the usual one for "", where this boot has none."""
        try:
            asked = here(f"boot-{self.boots}", MACHINE, run=path or USUAL_RUN_DIR)
            self.history.decide(decide_host.note_boot, asked)
        except OtherRunDir:
            assert any(c.status in WATCHED for c in self.world.containers.values())

    def ask(self, verb: str, name: str, choice: bool) -> bool:
        """Give one command; False where it was refused."""
        history = self.history
        other = NAMES[(NAMES.index(name) + 1) % len(NAMES)]
        ways: dict[str, Callable[[], object]] = {
            "create": lambda: self._create(name, auto_remove=choice),
            "start": lambda: history.decide(decide.start, name),
            "stop": lambda: history.decide(decide.stop, name, timeout=-1 if choice else None),
            "kill": lambda: history.decide(decide.kill, name, 9 if choice else 10),
            "pause": lambda: history.decide(decide.pause, name),
            "unpause": lambda: history.decide(decide.unpause, name),
            "rm": lambda: history.decide(decide.remove, name, force=choice),
            "rename": lambda: history.decide(decide.rename, name, other),
            "update": lambda: history.decide(decide.update, name, limits={"pids": 1 + choice}, restart=None),
            "exec": lambda: history.decide(
                decide.begin_exec, name, ev.ExecStarted(exec=f"e{len(history.events)}", command=["true"])
            ),
        }
        try:
            ways[verb]()
        except MachineError:
            return False
        return True

    def _create(self, name: str, *, auto_remove: bool) -> None:
        asked = ev.ContainerCreated(
            **{**created(name, **self.settings(auto_remove)).payload(), "id": f"{self.ids:064x}"}
        )
        self.history.decide(decide.create, asked)
        self.ids += 1

    def settings(self, choice: bool) -> dict[str, Any]:
        return {"auto_remove": choice}

    def named(self, name: str) -> Container | None:
        container = self.world.names.get(name)
        return self.world.containers[container] if container is not None else None

    def end(self, name: str) -> None:
        """Its process ends, where it has one, and its settler sees that."""
        container = self.named(name)
        init = container.holding("init") if container is not None else None
        if container is not None and init is not None and init.done:
            self.history.decide(decide.note_exit, container.id, code=0)


# --- settled after each command: as the model says ---------------------------------------------------

COMMANDS = ("create", "start", "stop", "kill", "pause", "unpause", "rm", "rename", "update", "exec")
commands = st.lists(
    st.tuples(st.sampled_from((*COMMANDS, "end", "reboot")), st.sampled_from(NAMES), st.booleans()),
    min_size=20,  # hypothesis draws few more than it must, and a life has many steps
    max_size=40,
)


class Model:
    """What people think a container engine does: names, a status each, and whether it goes at its end."""

    def __init__(self) -> None:
        self.status: dict[str, str] = {}
        self.goes: dict[str, bool] = {}

    def create(self, name: str, choice: bool) -> bool:
        if name in self.status:
            return False
        self.status[name], self.goes[name] = "created", choice
        return True

    def start(self, name: str, _choice: bool) -> bool:
        return self._move(name, {"created": "running", "exited": "running", "running": "running"})

    def stop(self, name: str, _choice: bool) -> bool:
        idle = {"created": "created", "exited": "exited"}
        return self._move(name, {**idle, **dict.fromkeys(LIVE, "stopping")})

    def kill(self, name: str, _choice: bool) -> bool:
        return self._move(name, {status: status for status in LIVE})

    def pause(self, name: str, _choice: bool) -> bool:
        return self._move(name, {"running": "paused"})

    def unpause(self, name: str, _choice: bool) -> bool:
        return self._move(name, {"paused": "running"})

    def exec(self, name: str, _choice: bool) -> bool:
        return self._move(name, {"running": "running"})

    def update(self, name: str, _choice: bool) -> bool:
        return self.status.get(name, "stopping") != "stopping"

    def rm(self, name: str, choice: bool) -> bool:
        if name not in self.status or (self.status[name] in LIVE and not choice):
            return False
        del self.status[name]
        return True

    def rename(self, name: str, _choice: bool) -> bool:
        other = NAMES[(NAMES.index(name) + 1) % len(NAMES)]
        if self.status.get(name, "stopping") == "stopping" or other in self.status:
            return False
        self.status[other], self.goes[other] = self.status.pop(name), self.goes[name]
        return True

    def end(self, name: str) -> None:
        if self.status.get(name) in LIVE:
            self.status[name] = "exited"
            if self.goes[name]:
                del self.status[name]

    def reboot(self) -> None:
        for name in list(self.status):
            self.end(name)
            if name in self.status and self.goes[name]:
                del self.status[name]

    def _move(self, name: str, steps: dict[str, str]) -> bool:
        if self.status.get(name) not in steps:
            return False
        self.status[name] = steps[self.status[name]]
        return True


@settings(max_examples=100, deadline=None)
@given(commands)
def test_settled_after_each_command_the_world_is_as_the_model_says(asked: list[Command]) -> None:
    machine, model = Machine(), Model()
    for verb, name, choice in asked:
        if verb == "reboot":
            machine.reboot()
            model.reboot()
        elif verb == "end":
            machine.end(name)
            model.end(name)
        else:
            assert machine.ask(verb, name, choice) == getattr(model, verb)(name, choice)
        machine.history.settle_all()

        world = machine.world
        assert {c.name: c.status for c in world.containers.values()} == model.status
        assert {name: world.containers[owner].name for name, owner in world.names.items()} == {
            name: name for name in model.status
        }
        for container in world.containers.values():
            assert sorted(row.kind for row in container.held) == sorted(kind for kind, _ in wanted(container))
    assert violations(machine.history.events) == []


# --- whatever comes in between -----------------------------------------------------------------------


class Settlers(Machine):
    """Each subject's settler is somewhere between an intent and its outcome when the next thing happens."""

    def __init__(self) -> None:
        super().__init__()
        self.at_work: dict[str, Step] = {}  # stream -> the effect that its settler is carrying out
        self.ask("create", "one", False)
        self.come_to_rest()
        self.ask("start", "one", False)

    def settings(self, choice: bool) -> dict[str, Any]:
        """Half of them go at their end, the others start again where it was a failure."""
        return {"auto_remove": True} if choice else {"restart": {"policy": "on-failure", "max": 3}}

    def happen(self, what: str, name: str, choice: bool) -> None:
        if what in COMMANDS:
            self.ask(what, name, choice)
        elif what == "turn off":
            self.at_work.clear()
            self.reboot()
        elif what == "another run directory":
            self.ask_for_run_dir("/run/b" if choice else "")
        else:
            for subject in self._of(name):
                self._happen_to(subject, what, choice=choice)
        for container in self.world.containers.values():
            if container.status == "removed" and container.pending is None:
                assert plan(container, PLACES) is None
            link = container.holding("root_link")
            if container.status in WATCHED and link is not None:  # all that lives has its things in one place
                assert link.spec["via"].startswith(f"{self.world.host.run}/{PLACES.root_id}/")

    def _of(self, name: str) -> list[Subject]:
        """The container of that name, and the nameless ones: they are being removed."""
        named = set(self.world.names.values())
        mine = self.world.names.get(name)
        return [c for c in list(self.world.containers.values()) if c.id == mine or c.id not in named]

    def _happen_to(self, subject: Subject, what: str, *, choice: bool) -> None:
        stream = subject.stream
        if what in ("work", "fail"):
            self._work(stream, succeeds=what == "work")
        elif what == "settle":
            self.rest(subject.stream)
        elif what == "crash":  # the settler dies: the outcome is never recorded
            self.at_work.pop(stream, None)
        elif stream not in self.at_work:  # only between two effects does a settler look up
            self._look_up(subject, what, choice=choice)

    def _work(self, stream: str, *, succeeds: bool) -> None:
        """Begin the next effect; or end the one that is under way."""
        step = self.at_work.pop(stream, None)
        if step is not None:
            self.history.note(stream, outcome(step, well(step) if succeeds else None))
            return
        subject = self.world.subject(stream)
        step = plan(subject, PLACES.noted(self.world.host)) if subject is not None else None
        if step is not None:
            self.history.begin(stream, step)
            self.at_work[stream] = step

    def _look_up(self, subject: Subject, what: str, *, choice: bool) -> None:
        assert isinstance(subject, Container)
        stream = subject.stream
        if what == "end":
            init = subject.holding("init")
            if init is not None and init.done:
                self.history.decide(decide.note_exit, subject.id, code=None if choice else 0)
        elif what == "restart":
            self.history.decide(decide.restart_now, subject.id, 1 << 62)
        elif what == "give up":
            self.history.decide(decide.give_up, subject.id)
        elif what == "lose":
            self._lose(subject)
        elif what == "retry" and subject.pending is None:
            for step in leftover_steps(subject)[:1]:
                self.history.note(stream, intent(step))
                self.history.note(stream, outcome(step, {} if choice else None))

    def _lose(self, container: Container) -> None:
        """The kernel loses what was made first; its settler notices that."""
        for row in container.held:
            if (
                row.done
                and row.kind not in DISK
                and not row.stale
                and (row.kind, row.key) in wanted(container)
            ):
                if row.kind == "init":
                    self.history.decide(decide.note_exit, container.id, code=None, reason="lost: monitor")
                self.history.note(container.stream, ev.EffectLost(kind=row.kind, key=row.key))
                return

    def come_to_rest(self) -> None:
        """Every settler goes on and comes to an end, without another failure."""
        for subject in list(self.world.subjects()):
            self.rest(subject.stream)

    def rest(self, stream: str) -> None:
        """The effect under way ends well, and so do all that follow."""
        step = self.at_work.pop(stream, None)
        if step is not None:
            self.history.note(stream, outcome(step, well(step)))
        self.history.settle(stream)


SELDOM = (
    "crash",
    "end",
    "restart",
    "give up",
    "lose",
    "retry",
    "fail",
    "fail",
    "turn off",
    "another run directory",
)
OFTEN = ("create", "start", "start", "pause", "stop", "work", "work", "work", "settle", "settle")
happenings = st.lists(
    st.tuples(st.sampled_from((*COMMANDS, *SELDOM, *OFTEN)), st.sampled_from(("one", *NAMES)), st.booleans()),
    min_size=25,
    max_size=60,
)


def lived(happened: list[Command]) -> Settlers:
    machine = Settlers()
    for what, name, choice in happened:
        machine.happen(what, name, choice)
    return machine


@settings(max_examples=250, deadline=None)
@given(happenings)
def test_whatever_happened_settling_comes_to_rest_in_order_and_without_anomalies(
    happened: list[Command],
) -> None:
    machine = lived(happened)
    machine.come_to_rest()

    assert violations(machine.history.events) == []
    assert [subject.anomalies for subject in machine.world.subjects() if subject.anomalies] == []
    for container in machine.world.containers.values():
        assert container.status not in ("creating", "starting", "removing")
        assert container.pending is None
        assert sorted(row.kind for row in container.held) == sorted(kind for kind, _ in wanted(container))


@settings(max_examples=80, deadline=None)
@given(happenings, st.randoms(use_true_random=False))
def test_settling_comes_to_rest_with_every_effect_failing_at_random(
    happened: list[Command], random: Any
) -> None:
    machine = lived(happened)
    machine.at_work.clear()

    machine.history.settle_all(lambda step: well(step) if random.random() < 0.5 else None)

    for subject in machine.world.subjects():
        assert plan(subject, PLACES) is None
    assert violations(machine.history.events) == []


@settings(max_examples=80, deadline=None)
@given(happenings)
def test_whatever_happened_removing_everything_leaves_nothing(happened: list[Command]) -> None:
    machine = lived(happened)
    machine.at_work.clear()
    for name in list(machine.world.names):
        machine.ask("rm", name, True) or pytest.fail(f"rm -f {name} was refused")
    assert machine.world.names == {}

    machine.come_to_rest()
    for container in list(machine.world.containers.values()):
        for step in leftover_steps(container):
            machine.history.note(container.stream, intent(step))
            machine.history.note(container.stream, outcome(step, {}))

    assert machine.world.containers == {}


@settings(max_examples=40, deadline=None)
@given(happenings)
def test_whatever_happened_the_world_comes_back_from_a_snapshot(happened: list[Command]) -> None:
    machine = lived(happened)
    dump = machine.world.dump()
    back = World.load(json.loads(json.dumps(dump)))

    assert (back.dump(), back.names) == (dump, machine.world.names)
