"""Write a past into a root: lives of containers, decided, planned and folded by the engine itself, without a kernel.

    PYTHON -I lives.py ROOT RUN_DIR PAST CONTAINERS [NAME]

PYTHON is one that has mydocker installed. Appends lives of containers that are removed at their end until the
journal has PAST events, then CONTAINERS stopped ones that stay, called NAME0, NAME1, ... ("c" by default). Leaves
no snapshot: `mydocker journal snapshot` does. Prints how many events the journal then has.
"""

from __future__ import annotations

import random
import sys
from typing import Any, Self

from cli import bootstrap
from effects import identity
from eventstore.bulk import bulk_decoder
from eventstore.event import Actor
from eventstore.journal import Journal
from machine import decide, decide_host
from machine.engine import Engine
from machine.events import SCHEMA, ContainerCreated, ExecStarted
from machine.world import World

AT_ONCE = 8  # containers that live at the same time: their events alternate, as on a busy machine
TREES = ("cpu", "cpuacct", "cpuset", "memory", "devices", "freezer", "blkio", "pids")
MASKED = ("bus", "fs", "irq", "sys", "acpi", "interrupts", "keys", "timer_list")
IMAGE = "busybox"


class Unsynced:
    """A journal none of whose appends waits for the disk: what is written here is nobody's."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.refresh = journal.refresh

    def transaction(self, world: World, **what: Any) -> UnsyncedTransaction:
        return UnsyncedTransaction(self.journal.transaction(world, **what))


class UnsyncedTransaction:
    def __init__(self, transaction: Any) -> None:
        self.transaction = transaction

    def __enter__(self) -> Self:
        self.transaction.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self.transaction.__exit__(*error)

    def append(self, stream: str, event: Any, *, sync: bool = True, reserve: bool = False) -> Any:  # noqa: ARG002
        return self.transaction.append(stream, event, sync=False, reserve=reserve)


class Obliging:
    """Effects that succeed at once, with facts of the size that the kernel's have."""

    def __init__(self, boot: str) -> None:
        self.boot = boot

    def do(self, kind: str, spec: dict[str, Any]) -> dict[str, Any]:
        if kind == "cgroup":
            at = {tree: f"/sys/fs/cgroup/{tree}" for tree in TREES}
            return {"leaf": f"{spec['parent']}/{spec['name']}", "at": at, "cgroup2": "/sys/fs/cgroup/unified"}
        if kind == "init":
            mounts = ["/", "/proc", "/dev", "/dev/pts", "/dev/shm", "/sys", *spec["files"]]
            mounts += [f"/proc/{name}" for name in MASKED]
            return {"pid": 4711, "start": 602080, "boot": self.boot, "mounts": mounts}
        return {}

    def undo(self, _kind: str, _spec: dict[str, Any], _facts: dict[str, Any]) -> dict[str, Any]:
        return {}

    change = do


class Past:
    """The root's engine, and the lives that it goes through."""

    def __init__(self, root: str, run: str) -> None:
        self.boot = identity.boot_id()
        world = World()
        journal = bootstrap.open_journal(root, run, decode=bulk_decoder(SCHEMA))
        journal.refresh(world)
        self.journal = journal
        self.chance = random.Random(
            journal.cursor.n
        )  # the same each time, but no container twice in one journal
        where = bootstrap.places(root, run, journal, world)
        unsynced: Any = Unsynced(journal)
        effects: Any = Obliging(self.boot)
        self.engine = Engine(unsynced, world, effects, where, Actor({}, ""))
        self.user("run")
        self.engine.decide(decide_host.note_boot, bootstrap.here(root, ""), why="reboot")

    def user(self, words: str) -> None:
        """From now on somebody at a shell acts, with another command."""
        by: dict[str, int | str] = {"uid": 0, "login": 1000, "pid": 31370, "cmd": words}
        self.engine.actor = Actor(by, self.chance.randbytes(8).hex())

    def life(self, name: str = "", *, stays: bool = False) -> Any:
        """One container's life, a decision or a settling at a time; `stays`: stopped, else removed at its end."""
        engine, container_id = self.engine, self.chance.randbytes(32).hex()
        stream = f"container/{container_id}"
        image = engine.world.images.get(IMAGE)
        self.user(f"run {'' if stays else '--rm '}--name={name or container_id[:12]} {IMAGE} true")
        engine.decide(decide.create, ContainerCreated(
            id=container_id, name=name or container_id[:12], image=IMAGE, layers=image.layers if image else [],
            command=["true"], process=f"process-{container_id[:16]}.json", env_keys=["HOME", "PATH"],
            settings={"limits": {"memory": 64 << 20}} if stays else {"auto_remove": True},
        ))  # fmt: skip
        engine.settle(stream)
        yield
        engine.decide(decide.start, container_id)
        engine.settle(stream)
        yield
        if not stays and self.chance.random() < 0.25:  # noqa: PLR2004 - every fourth is looked into
            started = ExecStarted(exec=container_id[:16], command=["sh", "-c", "cat /proc/loadavg"])
            engine.decide(decide.begin_exec, container_id, started)
            yield
            engine.decide(decide.end_exec, container_id, container_id[:16], 0)
            yield
        engine.actor = Actor({**engine.actor.by, "cmd": "monitor"}, engine.actor.op)
        engine.decide(decide.note_exit, container_id, code=0, why="exit")
        engine.settle(stream, why="exit")

    def fill(self, count: int) -> None:
        """Lives, some at a time, until the journal has `count` events; the last are lived to their end."""
        living: list[Any] = []
        while living or self.journal.cursor.n < count:
            while len(living) < AT_ONCE and self.journal.cursor.n < count:
                living.append(self.life())
            for one in list(living):
                if next(one, one) is one:
                    living.remove(one)

    def leave(self, count: int, prefix: str) -> None:
        """Stopped containers that stay."""
        for number in range(count):
            for _ in self.life(f"{prefix}{number}", stays=True):
                pass


def main() -> None:
    """Write, and say how much there is now."""
    root, run, past, containers, *names = sys.argv[1:]
    made = Past(root, run)
    made.fill(int(past))
    made.leave(int(containers), names[0] if names else "c")
    made.journal.close()
    print(made.journal.cursor.n)


if __name__ == "__main__":
    main()
