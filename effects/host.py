"""The kernel as the handlers see it: every way out of the process is a method here. LEAN.

`effects.linux` is the kernel itself, `tests.fakes` one in memory; both pass the same contract suite.
All paths are absolute. Every method raises OSError with the kernel's errno and the path, unless its
docstring says that it answers otherwise. Nothing here decides anything.
"""

from __future__ import annotations

# Every method of Host that changes something. The tests' fuses and `effects.failpoints` go by it; a test compares it with the protocol.
CHANGES = frozenset({
    *("make_dir", "write_file", "make_fifo", "symlink", "rename", "remove_file", "remove_tree", "sync"),
    *("set_mark", "write_control", "limit_devices", "kill_all", "remove_cgroup"),
    *("spawn_init", "open_gate", "signal", "kill", "hold_root", "drop_root"),
})  # fmt: skip

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Protocol, TypedDict

    Spec = dict[str, Any]
    Facts = dict[str, Any]

    class Hierarchy(TypedDict):
        """One cgroup hierarchy: its mount, what it controls, 1 or 2.

        Of version 1: controllers such as "memory", or "name=systemd" for one without any.
        Of version 2: empty; its own `cgroup.controllers` says what it has to offer.
        """

        path: str
        controllers: list[str]
        version: int

    class Host(Protocol):
        """`secrets`: name of a process file -> its content, handed over by whoever created the container."""

        secrets: dict[str, bytes]

        # --- files: observations ---------------------------------------------------------------------

        def exists(self, path: str) -> bool:
            """Whether `path` itself is there, a dangling link included."""

        def read_file(self, path: str) -> bytes: ...

        def read_link(self, path: str) -> str | None:
            """Where the symbolic link points; None if there is nothing, or something else."""

        def subdirs(self, path: str) -> list[str]:
            """Full paths of the directories in a directory; none if it is gone."""

        def get_mark(self, path: str) -> bool:
            """Whether `set_mark` marked this directory since it was made."""

        # --- files: changes --------------------------------------------------------------------------

        def make_dir(self, path: str, mode: int) -> None:
            """One directory, its mode whatever the umask; no error if it is there. ENOENT without parent."""

        def write_file(self, path: str, data: bytes, mode: int, *, sync: bool) -> None:
            """Whole or not at all: a new file, renamed over `path`; with `sync` its data is on disk before."""

        def make_fifo(self, path: str, mode: int, uid: int, gid: int) -> None:
            """A FIFO; one that is there is given this mode and owner, anything else there is EEXIST."""

        def symlink(self, target: str, path: str) -> None:
            """A symbolic link at `path`, in place of another one, atomically."""

        def rename(self, source: str, target: str) -> None: ...

        def remove_file(self, path: str) -> None:
            """Unlink; no error if it is gone."""

        def remove_tree(self, path: str) -> None:
            """Remove `path` and all below it; no error if it is gone.

            Never into another mount: EBUSY with the path of the mount, and what lies there stays whole.
            """

        def sync(self, path: str) -> None:
            """The file's data, or the directory's entries, are on disk on return."""

        def set_mark(self, path: str) -> None:
            """Mark a directory of a cgroup hierarchy; the mark dies with the directory."""

        # --- cgroups ---------------------------------------------------------------------------------

        def hierarchies(self) -> list[Hierarchy]:
            """What is mounted, by /proc/self/mountinfo, each hierarchy once. A directory proves nothing."""

        def pids_in(self, directory: str) -> list[int]:
            """The live processes of one cgroup, zombies left out; none if it is gone."""

        def write_control(self, path: str, value: str) -> None:
            """Write to a file of the kernel's, in place; ENOENT where the kernel does not offer it."""

        def limit_devices(self, directory: str, rules: Sequence[str]) -> None:
            """Only these devices from a version 2 cgroup, by BPF; rules as devices.allow takes them."""

        def kill_all(self, directories: Sequence[str], seconds: float) -> None:
            """Kill whatever runs in these cgroups or below them; ETIMEDOUT if that takes longer."""

        def remove_cgroup(self, directory: str, seconds: float) -> None:
            """Remove one empty cgroup, trying for `seconds` while it is EBUSY; no error if it is gone.

            An ended process may hold its cgroup for a moment after its end was told.
            """

        def wait_control(self, path: str, line: str, seconds: float) -> None:
            """Return once the kernel's file has that line; ETIMEDOUT if it does not within `seconds`."""

        # --- processes -------------------------------------------------------------------------------

        def held_init(self, container_id: str) -> Facts | None:
            """What `spawn_init` told, while this process holds that init and it lives."""

        def is_alive(self, identity: Facts) -> bool:
            """Whether this very process (pid, start, boot) runs; a zombie does not."""

        def exit_status(self, identity: Facts) -> int | None:
            """How a process ended that nobody has reaped yet, as os.waitstatus_to_exitcode tells it; else None."""

        def has_execed(self, identity: Facts) -> bool:
            """Whether it lives and runs a program of its own: not what its fork left it as."""

        def spawn_init(self, config: Facts) -> Facts:
            """Make a container's first process, ready and held at its gate: {pid, start, boot, mounts}.

            It lets itself die if this process ends before the gate is open. On failure nothing is left of it.
            """

        def adopt_init(self, container_id: str, facts: Facts) -> None:
            """Hold the init that an earlier settler made, if it lives."""

        def open_gate(self, identity: Facts) -> None:
            """Let a held init run its program; returns once exec succeeded. Step "exec" where it did not."""

        def signal(self, identity: Facts, signal: int) -> None:
            """Send it through a pidfd; a process that is gone has been told enough."""

        def kill(self, identity: Facts, seconds: float) -> None:
            """SIGKILL, and wait until it is dead; our own child is reaped, its exit status kept.

            ETIMEDOUT if it does not die within `seconds`.
            """

        def held_root(self, via: str) -> str | None:
            """What `hold_root` told for `via`, while this process holds it."""

        def hold_root(self, via: str, identity: Facts) -> str:
            """Hold the process's root directory open; the path by which others reach it: /proc/PID/fd/N."""

        def drop_root(self, via: str) -> None:
            """Close what `hold_root` opened; no error if nothing is held."""
