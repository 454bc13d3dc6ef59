"""What golden journals are made of: lives that between them have every event, on a clock and ids that are fixed."""

from __future__ import annotations

import errno
from typing import Any

from eventstore.schema import Schema
from machine import decide, decide_host, networks
from machine import events as ev
from machine.decide_health import note_health
from machine.events import SCHEMA
from machine.world import World
from tests.memory_journal import Lines
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
from tests.world import Computer, Step

# --- steps beside those of tests.world -----------------------------------------------------------------


def the_id(computer: Computer) -> str:
    return computer.world.names["c1"]


def watch(computer: Computer) -> None:
    """A monitor takes over."""
    monitor = ev.ContainerMonitored(pid=99, start=1099, boot=computer.kernel.boot)
    computer.engine.settle(f"container/{the_id(computer)}", note=monitor)


def exec_two(computer: Computer) -> None:
    """One session ends, one is open until the container's end."""
    for exec_id in ("exec-1", "exec-2"):
        command = ["sh", "-c", "echo \u00e4 | grep x"]
        started = ev.ExecStarted(exec=exec_id, command=command, user="1000", tty=True)
        computer.engine.decide(decide.begin_exec, "c1", started)
    computer.engine.decide(decide.end_exec, the_id(computer), "exec-1", 126)


def kill(signal: int) -> Step:
    return lambda computer: computer.decide(decide.kill, "c1", signal)


def lose_the_program(computer: Computer) -> None:
    computer.kernel.missing.add("/bin/sh")


def refuse(name: str, code: int) -> Step:
    """From now on the kernel refuses one kind of call."""

    def refused(*_arguments: Any, **_options: Any) -> None:
        raise OSError(code, "refused", "/sys/fs/cgroup/x")

    return lambda computer: setattr(computer.host, name, refused)


def lose_the_run_directory(computer: Computer) -> None:
    computer.kernel.tree.at("/run").entries.clear()
    computer.furnish_run()
    computer.recover()


def find(status: str) -> Step:
    """What the probes of its health check have come to."""
    failures, code = (0, 0) if status == "healthy" else (3, 1)
    return lambda computer: computer.decide(
        note_health, the_id(computer), status, failures=failures, code=code, why="health check"
    )


def sweep(computer: Computer) -> None:
    """Twice: much, and a little."""
    computer.decide(decide_host.sweep, [f"layers/{number:064x}" for number in range(30)])
    computer.decide(decide_host.sweep, ["staging/5ca1ab1e"], why="replay")


def end_as_asked(computer: Computer) -> None:
    computer.note_exits()


def lose_the_firewall(computer: Computer) -> None:
    """`nft flush ruleset`, and the next command."""
    computer.kernel.net.tables.clear()
    computer.recover()


def wait_for_the_restart(computer: Computer) -> None:
    computer.clock.now += 1 << 40
    computer.decide(decide.restart_now, the_id(computer), computer.clock.now)


def come_and_go(computer: Computer) -> None:
    """A network of which nothing was made yet, and a container that was to be on it."""
    engine, wanted = computer.engine, networks.Wanted("2e7" + "0" * 61, "net")
    wanted.v6 = True
    engine.decide(networks.create, wanted)
    asked = {"ip": "", "ip6": "", "mac": "", "aliases": ["db"]}
    engine.decide(networks.connect, "net", "c1", asked)
    engine.decide(networks.disconnect, "net", "c1")
    engine.decide(networks.remove, "net")


# --- scenarios -----------------------------------------------------------------------------------------

KEEPS: dict[str, Any] = {"restart": {"policy": "on-failure", "max": 3}}
CREATE, RESTARTS = create(), create(restart={"policy": "on-failure", "max": 3})
CHECK = {"interval": 5_000_000_000, "timeout": 1_000_000_000, "retries": 3}
SET = create(
    hostname="box", limits={"memory": 1 << 26, "cpuset_cpus": "0"}, labels={"of": "\u4e2d\U0001f40b"}
)
IMPORT = run_a_job("1ayer")

# "<scenario>.<status of its container, image or job>" -> what happens.
SCENARIOS: dict[str, tuple[Step, ...]] = {
    "created.created": (SET,),
    "life.removed": (CREATE, start, watch, end_with(3), remove()),
    "running.running": (SET, start, watch),
    "run-rm.removed": (create(auto_remove=True), start, watch, end_with(0)),
    "exit.exited": (CREATE, start, end_with(3)),
    "stop.exited": (CREATE, start, stop),
    "stop-ignored.stopping": (CREATE, start, deafen, stop),
    "stop-overdue.exited": (CREATE, start, deafen, stop, let_the_deadline_pass),
    "kill.running": (CREATE, start, kill(10), kill(1)),
    "pause.paused": (CREATE, start, pause),
    "unpause.running": (CREATE, start, pause, unpause),
    "rename.running": (CREATE, start, rename),
    "update.running": (SET, start, update(pids=20)),
    "update-refused.running": (CREATE, start, refuse("write_control", errno.EINVAL), update(pids=20)),
    "exec.running": (CREATE, start, exec_two),
    "exec-ended.exited": (CREATE, start, exec_two, end_with(0)),
    "not-found.failed": (CREATE, lose_the_program, start),
    "start-again.running": (CREATE, start, end_with(1), start),
    "restart.restarting": (RESTARTS, start, end_with(1)),
    "restarted.running": (RESTARTS, start, end_with(1), wait_for_the_restart),
    "healthy.running": (create(health=CHECK), start, find("healthy")),
    "unhealthy.running": (create(health=CHECK), start, find("healthy"), find("unhealthy")),
    "unhealthy-stop.exited": (
        create(health={**CHECK, "on_failure": "stop"}),
        start,
        find("unhealthy"),
        end_as_asked,
    ),
    "unhealthy-kill.exited": (
        create(health={**CHECK, "on_failure": "kill"}),
        start,
        find("unhealthy"),
        end_as_asked,
    ),
    "unhealthy-restart.restarting": (
        create(health={**CHECK, "on_failure": "restart"}),
        start,
        find("unhealthy"),
        end_as_asked,
    ),
    "monitor-killed.running": (CREATE, start, Computer.recover),
    "run-directory-lost.running": (CREATE, start, lose_the_run_directory),
    "killed-while-starting.running": (CREATE, ask_to_start, Computer.recover),
    "reboot.exited": (CREATE, start, Computer.power_cut),
    "reboot-restarts.restarting": (RESTARTS, start, Computer.power_cut),
    "rm-force.removed": (CREATE, start, pause, remove(force=True)),
    "cgroup-busy.removed": (CREATE, start, refuse("remove_cgroup", errno.EBUSY), remove(force=True)),
    "network.active": (NET,),
    "network-gone.removed": (NET, NET_RM),
    "network-run.running": (NET, create(**ON_NET), start),
    "network-restarting.restarting": (NET, create(**ON_NET, **KEEPS), start, end_with(1)),
    "network-put-off.restarting": (
        NET,
        create(**ON_NET, **KEEPS),
        start,
        end_with(1),
        refuse("furnish", errno.EBUSY),
        wait_for_the_restart,
    ),
    "network-connect.running": (NET, NET2, create(**ON_NET), start, connect("two"), disconnect("net")),
    "network-flushed.running": (NET, create(**ON_NET), start, lose_the_firewall),
    "network-elsewhere.active": (NET, move_the_run_directory),
    "network-reboot.exited": (NET, create(**ON_NET), start, Computer.power_cut),
    "network-unmade.created": (create(network="bridge"), come_and_go),
    "import.published": (IMPORT,),
    "commit.published": (run_a_job("1ayer", publishes=True),),
    "import-abandoned.abandoned": (run_a_job("1ayer", fails=True),),
    "swept.published": (IMPORT, sweep),
    "rmi.removed": (IMPORT, remove_image("x")),
}


def lived(scenario: str) -> Computer:
    """The scenario from its beginning to its end, the same each time."""
    computer = Computer()
    computer.live(SCENARIOS[scenario])
    return computer


def recorded(scenario: str) -> tuple[bytes, dict[str, Any]]:
    """The journal's bytes, and the world that they lead to as JSON values."""
    disk = lived(scenario).disk
    return b"".join(disk.lines), folded(disk).dump()


def folded(disk: Lines) -> World:
    world = World()
    for event in disk.events(SCHEMA):
        world.apply(event)
    return world


# Fields of events that hold more than one value, by names of ours; what is in others is the user's.
NESTED = ("spec", "facts", "endpoints", "endpoint", "ports", "connection", "subnets")


def shapes() -> dict[str, dict[str, str]]:
    """What those fields have in them, as recorded today: "dns spec" -> key -> its types, "-" where it may be absent."""
    found: dict[str, list[dict[str, Any]]] = {}
    for scenario in SCENARIOS:
        for event in lived(scenario).disk.events(SCHEMA):
            for field in set(NESTED).intersection(event.fields):
                _collect(found, f"{getattr(event, 'kind', event.tag)} {field}", getattr(event, field))
    return {name: _keys(values) for name, values in sorted(found.items())}


def _collect(found: dict[str, list[dict[str, Any]]], name: str, value: Any) -> None:
    for one in value if isinstance(value, list) else [value]:
        if isinstance(one, dict) and one:
            found.setdefault(name, []).append(one)
            for key in one:
                if isinstance(one[key], list):
                    _collect(found, f"{name} {key}", one[key])


def _keys(values: list[dict[str, Any]]) -> dict[str, str]:
    keys = sorted({key for value in values for key in value})
    return {
        key: "|".join(sorted({type(value[key]).__name__ if key in value else "-" for value in values}))
        for key in keys
    }


def fingerprint(schema: Schema) -> dict[str, dict[str, str]]:
    """Tag -> field -> its type, and its default where it has one; in the order of the line."""
    found: dict[str, dict[str, str]] = {}
    for event in schema.events:
        types: dict[str, str] = event.__annotations__
        defaults = {name: f" = {value!r}" for name, value in event.defaults.items()}
        found[event.tag] = {name: types[name] + defaults.get(name, "") for name in event.fields}
    return found
