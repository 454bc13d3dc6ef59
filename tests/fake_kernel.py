"""The machine behind the fake hosts: files, cgroups, processes, boots."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.fake_cgroups import CgroupNode, mount_cgroups
from tests.fake_files import FileTree
from tests.fake_network import FakeNet

if TYPE_CHECKING:
    from effects.host import Facts

SIGKILL = 9


class Process:
    """One process: blocked at its gate, running a program, a zombie, or dead (gone)."""

    def __init__(self, pid: int, start: int, config: Facts) -> None:
        self.pid, self.start, self.config = pid, start, config
        self.state = "blocked"
        self.cgroups: list[CgroupNode] = []
        self.signals: list[int] = []
        self.killed = False  # by a SIGKILL that it has yet to notice: version 1's freezer holds it
        self.status = 0

    @property
    def lives(self) -> bool:
        return self.state in {"blocked", "running"}

    @property
    def is_held(self) -> bool:
        return any(node.version == 1 and node.is_frozen for node in self.cgroups)

    def kill(self) -> None:
        self.killed = self.killed or self.lives
        if self.killed and not self.is_held:
            self.end(SIGKILL)

    def end(self, status: int) -> None:
        """`status` as waitpid(2) has it; it is a zombie from here on."""
        if self.lives:
            self.state, self.status = "zombie", status
            for node in self.cgroups:
                node.lingering = True


class FakeKernel:
    """Files, cgroups and processes of one machine. `missing`: programs that exec does not find."""

    def __init__(self, layout: str = "hybrid") -> None:
        self.layout = layout
        self.boots = 0
        self.missing: set[str] = set()
        self.tree = FileTree()
        self.tree.make_dirs("/run")
        self._boot()

    def _boot(self) -> None:
        self.boots += 1
        self.boot = f"boot-{self.boots}"
        self.processes: dict[int, Process] = {}
        self.hierarchies = mount_cgroups(self.tree, self.layout)
        self.net = FakeNet(self.tree)
        self._next_pid = 100

    def power_cut(self) -> None:
        """What had not reached the disk is gone, and so is all that dies with the kernel."""
        self.tree.root.power_cut()
        self.tree.at("/run").entries.clear()
        self._boot()

    def add_process(self, config: Facts) -> Process:
        self._next_pid += 1
        process = Process(self._next_pid, 1000 + self._next_pid, config)
        self.processes[process.pid] = process
        return process

    def find(self, identity: Facts) -> Process | None:
        """The process of this identity, zombie or not; None if it is gone or was never of this boot."""
        process = self.processes.get(identity["pid"])
        if process is None or identity["boot"] != self.boot or process.start != identity["start"]:
            return None
        return process if process.state != "dead" else None

    def cgroup(self, path: str) -> CgroupNode:
        node = self.tree.at(path)
        assert isinstance(node, CgroupNode), path
        return node

    def members(self, node: CgroupNode) -> list[Process]:
        return [process for process in self.processes.values() if process.lives and node in process.cgroups]

    def below(self, node: CgroupNode) -> list[Process]:
        """The live processes of a cgroup and of those below it."""
        return [*self.members(node), *(p for child in node.children() for p in self.below(child))]

    @property
    def leftovers(self) -> list[str]:
        """What is left of us, for a test to compare with []: cgroups, live processes, directories of ours."""
        found = [f"process {process.pid}" for process in self.processes.values() if process.lives]
        found += self.net.leftovers
        for hierarchy in self.hierarchies:
            found += [f"cgroup {hierarchy['path']}" for _ in self.cgroup(hierarchy["path"]).children()]
        return found
