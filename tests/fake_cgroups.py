"""Cgroups in memory: hierarchies of both versions with the control files that the handlers write."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from tests.fake_files import FileTree, Node, oserror

if TYPE_CHECKING:
    from effects.host import Hierarchy

V1_UNLIMITED = b"9223372036854771712"
FILES_V1: dict[str, dict[str, bytes]] = {
    "memory": {"memory.limit_in_bytes": V1_UNLIMITED, "memory.memsw.limit_in_bytes": V1_UNLIMITED},
    "cpu": {"cpu.shares": b"1024", "cpu.cfs_period_us": b"100000", "cpu.cfs_quota_us": b"-1"},
    "cpuset": {"cpuset.cpus": b"", "cpuset.mems": b""},
    "pids": {"pids.max": b"max"},
    "freezer": {"freezer.state": b"THAWED"},
    "devices": {"devices.allow": b"", "devices.deny": b"", "devices.list": b"a *:* rwm"},
}
FILES_V2: dict[str, dict[str, bytes]] = {
    "memory": {"memory.max": b"max", "memory.swap.max": b"max"},
    "cpu": {"cpu.weight": b"100", "cpu.max": b"max 100000"},
    "cpuset": {
        "cpuset.cpus": b"",
        "cpuset.mems": b"",
        "cpuset.cpus.effective": b"0-1",
        "cpuset.mems.effective": b"0",
    },
    "pids": {"pids.max": b"max"},
}
CORE_V2 = ("cgroup.freeze", "cgroup.subtree_control", "cgroup.controllers", "cgroup.procs", "cgroup.kill")
LAYOUTS: dict[str, list[tuple[str, list[str], int]]] = {
    "v1": [(c, [c], 1) for c in FILES_V1] + [("systemd", ["name=systemd"], 1)],
    "hybrid": [(c, [c], 1) for c in FILES_V1] + [("systemd", ["name=systemd"], 1), ("unified", [], 2)],
    "v2": [("", [*FILES_V2], 2)],
}


class CgroupNode(Node):
    def __init__(self, controllers: list[str], version: int, parent: CgroupNode | None) -> None:
        super().__init__("dir")
        self.controllers, self.version, self.parent = controllers, version, parent
        self.lingering = False  # an ended process has not quite left
        self.devices: list[str] | None = None
        core = CORE_V2 if version == 2 else ("tasks", "cgroup.procs")
        for name in core:
            self.file(name, b"0" if name == "cgroup.freeze" else b"")
        if version == 2:
            self.file("cgroup.controllers", " ".join(controllers).encode())
            self.file("cgroup.events", b"populated 0\nfrozen 0\n")
        for controller in controllers:
            for name, default in (FILES_V2 if version == 2 else FILES_V1).get(controller, {}).items():
                self.file(name, default)

    def file(self, name: str, data: bytes) -> None:
        node = Node("file")
        node.data = data
        self.entries[name] = node

    def value(self, name: str) -> str:
        return self.entries[name].data.decode()

    def children(self) -> list[CgroupNode]:
        return [entry for entry in self.entries.values() if isinstance(entry, CgroupNode)]

    def child(self) -> CgroupNode:
        handed = self.value("cgroup.subtree_control").split() if self.version == 2 else self.controllers
        return CgroupNode(list(handed), self.version, self)

    def lineage(self) -> list[CgroupNode]:
        return [self, *(self.parent.lineage() if self.parent is not None else [])]

    @property
    def is_frozen(self) -> bool:
        return any(
            node.entries["cgroup.freeze"].data == b"1"
            if node.version == 2
            else "freezer.state" in node.entries and node.value("freezer.state") == "FROZEN"
            for node in self.lineage()
        )

    def write(self, name: str, value: str, path: str) -> None:
        """What the kernel does on a write to a control file, apart from what concerns processes."""
        if name in {"memory.limit_in_bytes", "memory.memsw.limit_in_bytes"}:
            self._limit_memory(name, value, path)
        elif name in {"cpuset.cpus", "cpuset.mems"} and self.version == 1:
            self._set_cpuset(name, value, path)
        elif name in {"cpuset.cpus", "cpuset.mems"} and not value.strip() and self.value(name):
            raise oserror(errno.ENOSPC, path)  # as if there were processes, for the worst case
        elif name == "cgroup.subtree_control":
            self._enable(value.removeprefix("+"), path)
        elif name == "devices.deny":
            self.file("devices.list", b"")
        elif name == "devices.allow":
            self.file("devices.list", f"{self.value('devices.list')}{value}\n".encode())
        else:
            self.file(name, value.strip().encode())
        if name == "cgroup.freeze":
            self.file("cgroup.events", f"populated 0\nfrozen {value}\n".encode())

    def _limit_memory(self, name: str, value: str, path: str) -> None:
        number = V1_UNLIMITED if value == "-1" else str(int(value)).encode()
        memory, both = (self.entries[file].data for file in FILES_V1["memory"])
        if name == "memory.limit_in_bytes":
            memory = number
        else:
            both = number
        if int(memory) > int(both):
            raise oserror(errno.EINVAL, path)
        self.file(name, number)

    def _set_cpuset(self, name: str, value: str, path: str) -> None:
        assert self.parent is not None
        if not set(_numbers(value)) <= set(_numbers(self.parent.value(name))):
            raise oserror(errno.EACCES, path)
        self.file(name, value.encode())

    def _enable(self, controller: str, path: str) -> None:
        if controller not in self.controllers:
            raise oserror(errno.ENOENT, path)
        enabled = self.value("cgroup.subtree_control").split()
        if controller not in enabled:
            self.file("cgroup.subtree_control", " ".join([*enabled, controller]).encode())
            for child in self.children():
                child.controllers.append(controller)
                child.file("cgroup.controllers", " ".join(child.controllers).encode())
                for name, default in FILES_V2[controller].items():
                    child.file(name, default)


def mount_cgroups(tree: FileTree, layout: str) -> list[Hierarchy]:
    """Mount what `layout` names below /sys/fs/cgroup."""
    hierarchies: list[Hierarchy] = []
    tree.make_dirs("/sys/fs/cgroup")
    for name, controllers, version in LAYOUTS[layout]:
        path = f"/sys/fs/cgroup/{name}".rstrip("/")
        top = CgroupNode(controllers, version, None)
        for file, value in (("cpuset.cpus", b"0-1"), ("cpuset.mems", b"0")):
            if file in top.entries:
                top.file(file, value)
        tree.put(path, top)
        hierarchies.append(
            {"path": path, "controllers": controllers if version == 1 else [], "version": version}
        )
    return hierarchies


def _numbers(ranges: str) -> list[int]:
    numbers: list[int] = []
    for part in filter(None, ranges.split(",")):
        first, _, last = part.partition("-")
        numbers += range(int(first), int(last or first) + 1)
    return numbers
