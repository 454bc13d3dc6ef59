"""Kill the process, or fail the kernel, before every append and every change: nothing is lost, nothing left."""

from __future__ import annotations

import errno
from contextlib import suppress

import pytest

from eventstore.errors import JournalError
from machine import decide, decide_store, networks
from machine.errors import MachineError
from machine.events import SCHEMA
from machine.plan import wanted
from tests.event_order import violations
from tests.fakes import Fuse
from tests.network_steps import NET, NET2, NET_RM, ON_NET, connect, disconnect, move_the_run_directory
from tests.steps import (
    ask_to_start,
    create,
    deafen,
    end_with,
    let_the_deadline_pass,
    pause,
    remove,
    remove_image,
    rename,
    run_a_job,
    start,
    stop,
    unpause,
    update,
)
from tests.world import Computer, PowerCut, Step

CREATE, EXIT, RM, RM_FORCE = create(), end_with(3), remove(), remove(force=True)
IMPORT, RMI = run_a_job("1ayer"), remove_image("x")
LIVES: dict[str, tuple[Step, ...]] = {
    "create, start, exit, rm": (CREATE, start, EXIT, RM),
    "run --rm": (create(auto_remove=True), start, EXIT),
    "stop": (CREATE, start, stop),
    "stop with SIGTERM ignored": (CREATE, start, deafen, stop, let_the_deadline_pass),
    "pause and unpause": (CREATE, start, pause, unpause),
    "pause and stop": (CREATE, start, pause, stop),
    "rm -f of a running one": (CREATE, start, RM_FORCE),
    "rm -f of a paused one": (CREATE, start, pause, RM_FORCE),
    "rm -f of a starting one": (CREATE, ask_to_start, RM_FORCE),
    "rename while running": (CREATE, start, rename),
    "update while running": (create(limits={"pids": 10}), start, update(pids=20, memory=1 << 26)),
    "start again": (CREATE, start, EXIT, start),
    "start again, and pause": (CREATE, start, stop, start, pause),
    "import": (IMPORT,),
    "import abandoned": (run_a_job("1ayer", fails=True),),
    "rmi": (IMPORT, RMI),
    "import, rmi, import": (IMPORT, RMI, IMPORT),
    "network": (NET, NET_RM),
    "network, run --rm": (NET, create(auto_remove=True, **ON_NET), start, EXIT, NET_RM),
    "network, stop": (NET, create(**ON_NET), start, stop),
    "network, start again": (NET, create(**ON_NET), start, stop, start),
    "network, start elsewhere": (NET, create(**ON_NET), move_the_run_directory, start),
    "network, rename": (NET, create(**ON_NET), start, rename),
    "networks, connect and disconnect": (
        NET,
        NET2,
        create(**ON_NET),
        start,
        connect("two"),
        disconnect("net"),
    ),
}
LEAVE_NOTHING = [name for name in LIVES if "rm" in name.split() or "--rm" in name or "abandoned" in name]


def lived(life: tuple[Step, ...], fuse: Fuse | None = None, layout: str = "hybrid") -> Computer:
    computer = Computer(fuse, layout=layout)
    computer.live(life)
    return computer


def steps_of(name: str) -> range:
    """Where to cut a life: at each step that no earlier life has in common with it."""
    earlier = list(LIVES)[: list(LIVES).index(name)]
    shared = max((common(LIVES[name], LIVES[other]) for other in earlier), default=0)
    return range(lived(LIVES[name][:shared]).fuse.steps + 1, lived(LIVES[name]).fuse.steps + 1)


def common(one: tuple[Step, ...], other: tuple[Step, ...]) -> int:
    """How many steps the two begin with alike."""
    return next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a is not b), len(other))


PRISTINE = {layout: Computer(layout=layout).kernel_state() for layout in ("v1", "hybrid", "v2")}


@pytest.mark.parametrize("layout", PRISTINE)
@pytest.mark.parametrize("name", LEAVE_NOTHING)
def test_a_whole_life_leaves_nothing(name: str, layout: str) -> None:
    """The absolute claim: comparing with a calm run cannot see what is wrong with both."""
    computer = lived(LIVES[name], layout=layout)

    assert (computer.world.containers, computer.world.names, computer.world.jobs) == ({}, {}, {})
    assert computer.kernel_state() == PRISTINE[layout]


@pytest.mark.parametrize("name", LIVES)
def test_a_calm_life_is_in_order_and_ends_with_what_its_status_holds(name: str) -> None:
    computer = lived(LIVES[name])

    assert violations(computer.disk.events(SCHEMA)) == []
    for container in computer.world.containers.values():
        assert sorted(row.kind for row in container.held) == sorted(kind for kind, _ in wanted(container))


@pytest.mark.parametrize("name", LIVES)
def test_a_crash_before_any_step_changes_nothing_in_the_end(name: str) -> None:
    expected = lived(LIVES[name]).end_state
    for at in steps_of(name):
        rough = lived(LIVES[name], Fuse(at))

        assert rough.crashes == 1
        assert rough.end_state == expected, f"killed before step {at}"
        assert violations(rough.disk.events(SCHEMA)) == [], f"killed before step {at}"


@pytest.mark.parametrize("name", LIVES)
def test_a_failure_at_any_step_leaves_nothing_stuck_and_everything_can_be_removed(name: str) -> None:
    for at in steps_of(name):
        computer = Computer(Fuse(at, OSError(errno.EIO, "broken")))
        for step in LIVES[name]:
            with suppress(MachineError, OSError, JournalError):
                step(computer)
        computer.recover()

        assert [s.leftovers for s in computer.world.subjects() if s.leftovers] == []
        assert [s.anomalies for s in computer.world.subjects() if s.anomalies] == []
        remove_everything(computer)
        assert computer.kernel_state() == PRISTINE["hybrid"], f"failed at step {at}"
        assert violations(computer.disk.events(SCHEMA)) == [], f"failed at step {at}"


@pytest.mark.parametrize("name", LIVES)
def test_a_power_cut_before_any_step_leaves_nothing_that_cannot_be_removed(name: str) -> None:
    for at in steps_of(name):
        computer = lived(LIVES[name], Fuse(at, PowerCut()))
        remove_everything(computer)

        assert computer.kernel_state() == PRISTINE["hybrid"], f"cut before step {at}"
        assert violations(computer.disk.events(SCHEMA)) == [], f"cut before step {at}"


# What has been answered -> what must be so after a power cut right then: status, name, code, stopped by the user.
ANSWERED: dict[str, tuple[tuple[Step, ...], tuple[str, str, int | None, bool]]] = {
    "create": ((CREATE,), ("created", "c1", 0, False)),
    "start": ((CREATE, start), ("exited", "c1", None, False)),
    "pause": ((CREATE, start, pause), ("exited", "c1", None, False)),
    "exit": ((CREATE, start, EXIT), ("exited", "c1", 3, False)),
    "stop": ((CREATE, start, stop), ("exited", "c1", 143, True)),
    "rename": ((CREATE, start, rename), ("exited", "c2", None, False)),
}


@pytest.mark.parametrize("answered", ANSWERED)
def test_what_was_answered_is_so_after_a_power_cut(answered: str) -> None:
    """S03, S07, S14, S19: no unknown code is 0, and what a user stopped stays stopped."""
    life, (status, name, code, stopped) = ANSWERED[answered]
    computer = lived(life)
    computer.power_cut()

    (container,) = computer.world.containers.values()
    assert (container.status, container.name, container.stopped_by_user) == (status, name, stopped)
    assert (container.exit["code"] if container.exit is not None else 0) == code
    assert computer.world.names == {name: container.id}


@pytest.mark.parametrize("name", LEAVE_NOTHING)
def test_what_was_answered_as_removed_is_gone_after_a_power_cut(name: str) -> None:
    computer = lived(LIVES[name])
    computer.power_cut()

    assert (computer.world.containers, computer.world.names, computer.world.jobs) == ({}, {}, {})
    assert computer.kernel_state() == PRISTINE["hybrid"]


@pytest.mark.parametrize(("life", "status"), [("import", "published"), ("rmi", "removed")])
def test_an_image_that_was_answered_for_is_so_after_a_power_cut(life: str, status: str) -> None:
    computer = lived(LIVES[life])
    computer.power_cut()

    assert computer.world.images["x"].status == status
    assert computer.host.exists("/root/layers/1ayer/fs") == (status == "published")


def remove_everything(computer: Computer) -> None:
    """As a user who wants to be rid of it all."""
    for name in list(computer.world.names):
        computer.decide(decide.remove, name, force=True)
    for network in list(computer.world.networks.values()):
        if network.status == "active":
            computer.decide(networks.remove, network.id)
    for image in list(computer.world.images.values()):
        if image.status == "published" and image.name != "busybox":
            computer.decide(decide_store.remove_image, image.name)
    computer.sweep()

    assert (computer.world.containers, computer.world.names, computer.world.jobs) == ({}, {}, {})
