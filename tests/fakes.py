"""A kernel in memory behind `effects.host.Host`, and a fuse that stops a host at its nth change.

    kernel = FakeKernel("hybrid")        # or "v1", "v2": which cgroup hierarchies are mounted
    host = FakeHost(kernel)              # one of our processes; `host.die()` ends it
    host = fused(host, Fuse(at=3))       # raises Crash (or any other fault) before the third change

The same contract suite (tests/contract) holds FakeHost and the real kernel to the same promises.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Any, cast

from effects.host import CHANGES
from tests.fake_cgroups import CgroupNode
from tests.fake_files import FakeFiles, oserror
from tests.fake_kernel import SIGKILL, FakeKernel, Process
from tests.fake_network import FakeNetwork

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from effects.host import Facts, Hierarchy, Host

__all__ = ["LIMIT", "OBSERVATIONS", "Crash", "FakeHost", "FakeKernel", "Fuse", "Process", "fused"]

LIMIT = 2000  # changes; a whole life of a container takes some hundred and fifty

OBSERVATIONS = frozenset({
    *("exists", "read_file", "read_link", "subdirs", "get_mark", "hierarchies", "pids_in", "wait_control"),
    *("held_init", "adopt_init", "is_alive", "exit_status", "oom_kills", "has_execed"),
    "held_root",
    *("link", "links", "addresses", "chains", "rules", "element_data", "has_elements", "owned_elements"),
    *("processes_with", "process_with", "dying", "free_port", "base_chains"),
})  # fmt: skip


class Crash(BaseException):
    """The engine's process died here."""


class Fuse:
    """Counts steps; before step `at`, once, raises `fault`."""

    def __init__(self, at: int | None = None, fault: BaseException | None = None) -> None:
        self.at = at
        self.fault = fault or Crash()
        self.steps = 0

    def step(self) -> None:
        self.steps += 1
        assert self.steps < LIMIT, "it does not come to rest"
        if self.steps == self.at:
            raise self.fault


class _FusedHost:
    def __init__(self, host: Host, fuse: Fuse) -> None:
        self._host, self._fuse = host, fuse

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._host, name)
        if name not in CHANGES:
            return found

        def stepping(*arguments: Any, **options: Any) -> Any:
            self._fuse.step()
            return found(*arguments, **options)

        return stepping


def fused(host: Host, fuse: Fuse) -> Host:
    """`host`, stepping `fuse` before every call that changes something."""
    return cast("Host", _FusedHost(host, fuse))


class FakeHost(FakeFiles, FakeNetwork):
    """One of our processes on a FakeKernel. It holds inits' gates and root handles until it dies."""

    def __init__(self, kernel: FakeKernel | None = None) -> None:
        self.kernel = kernel or FakeKernel()
        FakeFiles.__init__(self, self.kernel.tree)
        FakeNetwork.__init__(self, self.kernel)
        self.secrets: dict[str, bytes] = {}
        self.myself = self.kernel.add_process({})
        self.myself.state = "running"
        self._inits: dict[str, tuple[Process, Facts]] = {}
        self._roots: dict[str, str] = {}
        self._ever_held = 2

    def die(self) -> None:
        """The end of this process: gates close, handles close."""
        for process, _ in self._inits.values():
            if process.state == "blocked":
                process.end(0)
        self._inits.clear()
        self._roots.clear()
        self.let_go()
        self.myself.state = "dead"

    # --- cgroups -------------------------------------------------------------------------------------

    def make_dir(self, path: str, mode: int) -> None:
        above, name = self._tree.above(path)
        if isinstance(above, CgroupNode) and name not in above.entries:
            above.entries[name] = above.child()
        else:
            super().make_dir(path, mode)

    def hierarchies(self) -> list[Hierarchy]:
        return self.kernel.hierarchies

    def pids_in(self, directory: str) -> list[int]:
        node = self._tree.find(directory)
        return [p.pid for p in self.kernel.members(node)] if isinstance(node, CgroupNode) else []

    def write_control(self, path: str, value: str) -> None:
        if path.startswith("/proc/sys/"):
            self._tree.at(path).data = value.encode()
            return
        directory, _, name = path.rpartition("/")
        node = self.kernel.cgroup(directory)
        if name not in node.entries:
            raise oserror(errno.ENOENT, path)
        if name == "cgroup.subtree_control" and node.parent is not None and self.kernel.members(node):
            raise oserror(errno.EBUSY, path)
        if name in {"tasks", "cgroup.procs"}:
            assert value == "0", "a process moves itself"
            self._move(self.myself, node)
            return
        node.write(name, value, path)
        for process in self.kernel.below(node):
            if process.killed:
                process.kill()

    def limit_devices(self, directory: str, rules: Sequence[str]) -> None:
        self.kernel.cgroup(directory).devices = list(rules)

    def kill_all(self, directories: Sequence[str], seconds: float) -> None:
        for directory in directories:
            node = self._tree.find(directory)
            if not isinstance(node, CgroupNode):
                continue
            for process in self.kernel.below(node):
                process.kill()
            if self.kernel.below(node):
                raise oserror(errno.ETIMEDOUT, directory)

    def remove_cgroup(self, directory: str, seconds: float) -> None:
        node = self._tree.find(directory)
        if node is None:
            return
        assert isinstance(node, CgroupNode)
        if node.children() or self.kernel.members(node) or (node.lingering and not seconds):
            raise oserror(errno.EBUSY, directory)
        above, name = self._tree.above(directory)
        del above.entries[name]

    def wait_control(self, path: str, line: str, seconds: float) -> None:
        if line not in self.read_file(path).decode().split("\n"):
            raise oserror(errno.ETIMEDOUT, path)

    # --- processes -----------------------------------------------------------------------------------

    def held_init(self, container_id: str) -> Facts | None:
        process, facts = self._inits.get(container_id, (None, None))
        return facts if process is not None and process.lives else None

    def adopt_init(self, container_id: str, facts: Facts) -> None:
        process = self.kernel.find(facts)
        if process is not None and process.lives:
            self._inits[container_id] = (process, facts)

    def is_alive(self, identity: Facts) -> bool:
        process = self.kernel.find(identity)
        return process is not None and process.lives

    def exit_status(self, identity: Facts) -> int | None:
        process = self.kernel.find(identity)
        if process is None or process.state != "zombie":
            return None
        return os.waitstatus_to_exitcode(process.status)

    def oom_kills(self, cgroup: Facts) -> int:
        return 0

    def has_execed(self, identity: Facts) -> bool:
        process = self.kernel.find(identity)
        return process is not None and process.state == "running"

    def spawn_init(self, config: Facts) -> Facts:
        for path in (*config["lower"], config["upper"], config["work"], *config["stdio"].values()):
            self._tree.at(path)
        nodes = [self.kernel.cgroup(path.rpartition("/")[0]) for path in config["joins"]]
        if config["cgroup2"]:
            nodes.append(self.kernel.cgroup(config["cgroup2"]))
        process = self.kernel.add_process(config)
        try:
            for node in nodes:
                self._move(process, node)
        except OSError:
            process.state = "dead"
            raise
        identity = {"pid": process.pid, "start": process.start, "boot": self.kernel.boot}
        facts = {**identity, "mounts": ["/", "/proc", "/dev"]}
        self._inits[config["id"]] = (process, facts)
        return facts

    def open_gate(self, identity: Facts) -> None:
        process = self.kernel.find(identity)
        if process is None or all(process is not held for held, _ in self._inits.values()):
            raise oserror(errno.ESRCH, "")
        if process.config["argv"][0] in self.kernel.missing:
            process.end(127 << 8)
            raise oserror(errno.ENOENT, process.config["argv"][0])
        process.state = "running"

    def signal(self, identity: Facts, signal: int) -> None:
        process = self.kernel.find(identity)
        if process is not None and process.lives:
            process.signals.append(signal)
            if signal == SIGKILL:
                process.kill()

    def kill(self, identity: Facts, seconds: float) -> None:
        process = self.kernel.find(identity)
        if process is None:
            return
        process.kill()
        if process.lives:
            raise oserror(errno.ETIMEDOUT, "")
        process.state = "dead"
        self._inits = {key: held for key, held in self._inits.items() if held[0] is not process}

    def held_root(self, via: str) -> str | None:
        return self._roots.get(via)

    def hold_root(self, via: str, identity: Facts) -> str:
        if not self.is_alive(identity):
            raise oserror(errno.ESRCH, "")
        self._ever_held += 1
        self._roots[via] = f"/proc/{self.myself.pid}/fd/{self._ever_held}"
        return self._roots[via]

    def drop_root(self, via: str) -> None:
        self._roots.pop(via, None)

    def _move(self, process: Process, node: CgroupNode) -> None:
        if "cpuset.cpus" in node.entries and node.version == 1 and not node.value("cpuset.cpus"):
            raise oserror(errno.ENOSPC, "tasks")
        top = node.lineage()[-1]
        process.cgroups = [other for other in process.cgroups if other.lineage()[-1] is not top] + [node]


if TYPE_CHECKING:
    _promise: Callable[[], Host] = FakeHost
