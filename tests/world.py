"""A whole machine ready to be killed: a kernel and a journal in memory, and one process of ours at work on them.

computer = Computer(Fuse(at=17))     # dies (or fails) before the 17th append or change of the kernel
computer.live(life)                  # asks for each thing of a life, after a crash once more
computer.end_state                   # to compare with that of a calm run
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from effects.handler import Effects
from effects.registry import HANDLERS
from eventstore.errors import JournalError
from eventstore.event import Actor
from machine import decide, decide_host, decide_store
from machine import events as ev
from machine.engine import Engine
from machine.errors import MachineError
from machine.events import SCHEMA
from machine.plan import Places, plan
from machine.subjects import Container, Job
from machine.world import World
from tests.fake_files import Node
from tests.fakes import Crash, FakeHost, FakeKernel, Fuse, Process, fused
from tests.histories import here
from tests.memory_journal import Clock, Lines, MemoryJournal

PLACES = Places("/root", "/run/mydocker", "0badcafe")
LAYER = "5ca1ab1e"
SECRETS = "process-0.json"
ID_MARK = "c0ffee"
SECOND = 1_000_000_000
# Files of cgroups: who is in them, and what a parent hands to its children and never takes back; a server's pid.
CHANGE_BY_THEMSELVES = ("tasks", "cgroup.procs", "cgroup.subtree_control", ".pid")

Step = Callable[["Computer"], None]


class PowerCut(Crash):
    """The machine went down here."""


class Computer:
    """`fuse` is stepped before every append and before every call that changes the kernel."""

    def __init__(self, fuse: Fuse | None = None, *, layout: str = "hybrid") -> None:
        self.fuse = fuse or Fuse()
        self.kernel = FakeKernel(layout)
        tree = self.kernel.tree
        for path in ("containers", "staging", "mnt", f"layers/{LAYER}/fs"):
            tree.make_dirs(f"/root/{path}")
        tree.make_file("/etc/resolv.conf", b"nameserver 192.0.2.1\n")
        self.disk = Lines()
        self.clock = Clock()
        self.ids = 0
        self.crashes = 0
        self.deaf = False  # whether programs ignore SIGTERM
        self.host = FakeHost(self.kernel)
        self.furnish_run()
        self._begin()
        with self.quietly():
            self._install()

    def furnish_run(self) -> None:
        """The run directory, and another one: gone with every boot."""
        for run in ("/run/mydocker", "/run/other"):
            for path in (run, f"{run}/0badcafe", f"{run}/0badcafe/mnt"):
                self.kernel.tree.put(path, Node("dir"))
            self.host.make_dir(f"{run}/0badcafe/dns", 0o700)  # stays, once there was a network

    def _install(self) -> None:
        """The boot is noted, and the image `busybox` with its one layer is there."""
        self.engine.decide(decide_host.note_boot, here(self.kernel.boot, "machine-1"))
        layer = ev.LayerPublished(digest=LAYER, size=1, entries=1, path=f"/root/layers/{LAYER}")
        image = ev.ImagePublished(name="busybox", layers=[LAYER], source={"path": "/root/busybox.tar"})
        self.engine.decide(decide_store.publish_image, layer, image)

    # --- processes of ours -----------------------------------------------------------------------------

    def _begin(self) -> None:
        """A new process: nothing of what an earlier one knew."""
        self.journal = MemoryJournal(SCHEMA, self.disk, self.clock, before_write=self.fuse.step)
        actor = Actor({"uid": 0, "pid": self.host.myself.pid, "cmd": "test"}, "op-1")
        effects = Effects(HANDLERS, fused(self.host, self.fuse))
        journal: Any = self.journal
        self.engine = Engine(journal, World(), effects, PLACES, actor)
        self.engine.refresh()

    def another_process(self) -> None:
        """The one we had dies without a word; a new one begins."""
        self.host.die()
        self.host = FakeHost(self.kernel)
        self._begin()

    @contextmanager
    def quietly(self) -> Iterator[None]:
        """Without counting the steps."""
        steps, self.fuse.steps = self.fuse.steps, -(1 << 20)
        yield
        self.fuse.steps = steps

    @property
    def world(self) -> World:
        return self.engine.world

    def mend(self) -> None:
        """What the next command does with all that has no settler: as `cli.recovery`, for each subject."""
        for subject in (
            *self.world.subjects(),
            self.world.host,
        ):  # a network may have gone: the host is last as well
            stream = subject.stream
            if isinstance(subject, Job):
                self.engine.decide(decide_store.abandon_job, subject.id, "its command died", why="recovery")
            self.engine.observe(stream, why="recovery")
            self.engine.settle(stream, why="recovery")
            if isinstance(subject, Container):
                self.engine.decide(decide.give_up, subject.id, why="recovery")
                self.engine.settle(stream, why="recovery")
            self.engine.retry_leftovers(stream, why="recovery")

    def sweep(self) -> None:
        """Layers that no event tells of, as `cli.orphans` does."""
        for path in self.host.subdirs("/root/layers"):
            layer = self.world.layers.get(path.rpartition("/")[2])
            if layer is None or layer.status == "removed":
                self.host.remove_tree(path)

    # --- lives -----------------------------------------------------------------------------------------

    def live(self, life: tuple[Step, ...]) -> None:
        """Each step; after a crash another process mends what it finds and asks again."""
        ask = self.ask
        for step in life:
            try:
                ask(step)
            except PowerCut:
                self.power_cut()
                ask = self.ask_again  # what ran runs no more: some steps do not apply
                ask(step)
            except (Crash, JournalError):
                self.recover()
                self.ask_again(step)

    def recover(self) -> None:
        """Another process comes, and mends; nothing is then left to be done."""
        self.crashes += 1
        self.another_process()
        self.mend()
        for subject in self.world.subjects():
            assert plan(subject, self.engine.places) is None
            assert subject.status not in ("creating", "starting", "removing", "working")

    def power_cut(self) -> None:
        """What had not reached the disk is gone; the machine boots, and the first command mends."""
        self.kernel.power_cut()
        self.disk.power_cut()
        self.furnish_run()
        self.another_process()
        self.engine.decide(decide_host.note_boot, here(self.kernel.boot, "machine-1"), why="reboot")
        self.recover()

    def ask(self, step: Step) -> None:
        step(self)

    def ask_again(self, step: Step) -> None:
        """What was done already is refused, or nothing."""
        try:
            step(self)
        except MachineError:
            self.settle_all()

    def settle_all(self) -> None:
        for subject in (*self.world.subjects(), self.world.host):
            self.engine.settle(subject.stream)

    def decide(self, verb: Callable[..., decide.Decision], *args: Any, **more: Any) -> None:
        """Decide, and settle everything."""
        self.engine.decide(verb, *args, **more)
        self.settle_all()

    # --- what the container's program does -------------------------------------------------------------

    def program_of(self, name: str) -> Process | None:
        """The first process of the container, while it runs."""
        owner = self.world.names.get(name)
        identity = self.world.containers[owner].process_identity if owner is not None else None
        return self.kernel.find(identity) if identity is not None else None

    def heed_signals(self) -> None:
        """A program that is not deaf ends by SIGTERM, once it is not frozen."""
        for process in self.kernel.processes.values():
            if process.state == "running" and 15 in process.signals and not self.deaf and not process.is_held:
                process.end(15)

    def note_exits(self) -> None:
        """As the monitor, which has held each of its processes: what ended is noted with its code, and undone."""
        self.heed_signals()
        for container in list(self.world.containers.values()):
            identity = container.process_identity
            if identity is None or self.host.is_alive(identity) or container.status == "removing":
                continue
            self.engine.note_exit(container, self.host.exit_status(identity), why="monitor")
        self.settle_all()

    # --- what came of it -------------------------------------------------------------------------------

    def kernel_state(self) -> tuple[dict[str, str], list[str]]:
        """Files and cgroups by path, and live programs with their cgroups; ids replaced by names."""
        files: dict[str, str] = {}
        cgroups: dict[Node, str] = {}
        for top in ("/root", "/run", "/sys"):
            self._walk(top, self.kernel.tree.at(top), files, cgroups)
        programs = [
            f"{process.state} in {sorted(cgroups[node] for node in process.cgroups)}"
            for process in self.kernel.processes.values()
            if process.lives and process.config
        ]
        return files, sorted([*programs, *map(self._named, self.kernel.net.leftovers)])

    def _walk(self, path: str, node: Node, files: dict[str, str], cgroups: dict[Node, str]) -> None:
        content = (
            "a program's root" if node.target.startswith("/proc/") else node.target or node.data.decode()
        )
        if path.rpartition("/")[2] not in CHANGE_BY_THEMSELVES:
            files[path] = f"{node.kind} {node.mode:o} {self._named(content)}"
        cgroups[node] = path
        for name, entry in node.entries.items():
            self._walk(f"{path}/{self._named(name)}", entry, files, cgroups)

    def _named(self, text: str) -> str:
        if ID_MARK in text:
            for number in range(1, self.ids + 1):
                text = text.replace(an_id(number), "ID").replace(an_id(number)[:12], "ID12")
                text = text.replace(f"md{an_id(number)[:8]}", "mdID8")
        return text

    @property
    def end_state(self) -> dict[str, Any]:
        """All that must be the same whatever happened on the way."""
        files, programs = self.kernel_state()
        containers = {
            c.name: {
                "status": c.status,
                "held": sorted((row.kind, row.done, row.stale) for row in c.held),
                "open": (c.pending, c.leftovers, c.signals, c.changed, c.anomalies),
                "settings": c.settings,
                "stopped": c.stopped_by_user,
            }
            for c in self.world.containers.values()
        }
        images = {image.name: image.status for image in self.world.images.values()}
        layers = {layer.digest: layer.status for layer in self.world.layers.values()}
        return {
            "containers": containers,
            "networks": {net.name: net.status for net in self.world.networks.values()},
            "host": sorted((row.kind, row.key, row.done) for row in self.world.host.held),
            "jobs": list(self.world.jobs),
            "images": images,
            "layers": layers,
            "files": files,
            "programs": programs,
        }


def an_id(number: int) -> str:
    """64 digits that no path contains by chance."""
    return f"{number:02d}" + ID_MARK * 10 + "ab"
