"""The kernel as the handlers see it: every way out of the process is a method here. LEAN.

`effects.linux` is the kernel itself, `tests.fakes` one in memory; both pass the same contract suite.
All paths are absolute. Every method raises OSError with the kernel's errno and the path, unless its
docstring says that it answers otherwise. Nothing here decides anything.
"""

from __future__ import annotations

# Every method of Host that changes something. The tests' fuses and `effects.failpoints` go by it; a test compares it with the protocol.
CHANGES = frozenset({
    *("make_dir", "write_file", "rewrite_file", "make_fifo", "symlink", "rename", "remove_file", "remove_tree", "sync"),
    *("forget_overlay", "set_mark", "write_control", "limit_devices", "kill_all", "remove_cgroup"),
    *("spawn_init", "open_gate", "signal", "kill", "hold_root", "drop_root"),
    *("make_bridge", "make_veth", "set_link", "join_bridge", "add_address", "delete_link", "furnish"),
    "load_rules",
    *("change_elements", "hold_ports", "drop_ports", "forget_flows", "run_server"),
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

    class Link(TypedDict):
        """A network device. `master`, `peer`: the index of what it is enslaved to, or is one end of; else 0."""

        index: int
        name: str
        kind: str  # "bridge", "veth", ...; "" for hardware
        alias: str
        group: int
        master: int
        peer: int
        mac: str
        up: bool

    class BaseChain(TypedDict):
        """A chain of type filter at hook "input" or "forward", with what its policy is.

        `owned`: only the process that made its table may change it.
        """

        table: str
        name: str
        hook: str
        drops: bool
        owned: bool

    # One element of a set of the firewall: family of the table, name of the set, key, and in a map its data. In a
    # set of ranges the data is the key of its end.
    Element = tuple[str, str, bytes, bytes]

    class Host(Protocol):
        """`secrets`: name of a process file -> its content, handed over by whoever created the container."""

        secrets: dict[str, bytes]

        # --- files: observations ---------------------------------------------------------------------

        def exists(self, path: str) -> bool:
            """Whether `path` itself is there, a dangling link included."""

        def read_file(self, path: str, most: int = -1) -> bytes:
            """The whole file; EFBIG if it has more than `most` bytes."""

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

        def rewrite_file(self, path: str, data: bytes) -> None:
            """The same file with another content: wherever it is mounted, that is seen."""

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

        def forget_overlay(self, path: str) -> None:
            """Take off an overlay's upper directory what binds it to the layers and the file system it was on."""

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

        def oom_kills(self, cgroup: Facts) -> int:
            """How often the kernel killed in the cgroup of these facts for want of memory; 0 where it is gone."""

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

        # --- network: observations -------------------------------------------------------------------

        def link(self, name: str) -> Link | None:
            """The device of this name in our own network namespace."""

        def links(self) -> list[Link]:
            """All of them."""

        def addresses(self, index: int) -> list[str]:
            """ADDRESS/LENGTH of the device, less those that it gave itself."""

        def chains(self, family: str) -> dict[str, list[str]]:
            """Table -> its chains, of all tables of nftables of the family: inet, bridge, ip, ip6."""

        def base_chains(self, family: str) -> list[BaseChain]:
            """Those of all tables of the family."""

        def rules(self, family: str, table: str) -> dict[str, list[tuple[int, str]]]:
            """Chain -> (handle, comment) of each of its rules; chains without rules are left out."""

        def element_data(self, table: str, element: Element) -> bytes | None:
            """What is there under the element's key: its data, b"" in a set, None where nothing is."""

        def has_elements(self, table: str, elements: list[Element]) -> bool:
            """Whether all of them are there, with their data."""

        def owned_elements(self, table: str, owner: str) -> list[Element]:
            """All elements that bear the owner's mark."""

        def processes_with(self, argument: str) -> list[Facts]:
            """{pid, start, boot} of each live process whose command line has exactly this argument."""

        def dying(self, program: str) -> list[Facts]:
            """{pid, start, boot} of each process of that program which is on its way out, and has no command line any more.

            What it had open, an address that it listened on, say, may still be its own.
            """

        def process_with(self, pid: int, argument: str) -> Facts | None:
            """The same of one pid; None if it is gone, or is another's."""

        def free_port(self) -> int:
            """One that nobody on this host has, of TCP and of UDP; EADDRINUSE where somebody has one half of it."""

        # --- network: changes ------------------------------------------------------------------------

        def make_bridge(self, name: str, mac: str) -> None:
            """A bridge, down, of our group (rtnetlink.GROUP); EEXIST if there is a device of this name."""

        def make_veth(self, name: str, mac: str, peer: str, identity: Facts) -> None:
            """A pair, down, of our group: `name` here, `peer` with this MAC in the process's namespace."""

        def set_link(self, index: int, *, alias: str, up: bool) -> None: ...

        def join_bridge(
            self, index: int, master: int, *, alias: str, mac: str, addresses: Sequence[str]
        ) -> None:
            """Up, a port that reflects, with this MAC behind it, which needs not be learned; ADDRESS/LENGTH is there."""

        def add_address(self, index: int, address: str) -> None:
            """ADDRESS/LENGTH; no error if it is there."""

        def delete_link(self, index: int) -> None:
            """Gone on return, its peer too; no error if it was."""

        def furnish(self, identity: Facts, device: str, of: int, plan: Facts) -> None:
            """Inside the process's network namespace: the device has exactly these addresses and is up.

            `of` is the index of its other end here; ENODEV where the device is not that one's peer.
            plan: addresses ["ADDRESS/LENGTH"], gateways, default: whether default routes lead to them.
            """

        def load_rules(self, text: str) -> None:
            """`nft -f`: all of the text or nothing."""

        def change_elements(self, table: str, owner: str, delete: list[Element], add: list[Element]) -> None:
            """In one transaction; what is added bears the owner's mark.

            ENOENT for a set, or for what is to be deleted, that is not there. EEXIST or EBUSY for a key that has other data.
            """

        def hold_ports(self, owner: str, ports: Sequence[tuple[str, str, int]]) -> None:
            """Keep (protocol, address, port) from other processes as long as this one lives.

            EADDRINUSE where a process of the host has one, by name. What is held already is kept.
            """

        def drop_ports(self, owner: str) -> None: ...

        def forget_flows(self, ports: Sequence[tuple[str, int]]) -> None:
            """No flow of UDP to (address of this host, port) goes on where it went; 0.0.0.0 and ::: to any."""

        def run_server(self, name: str, argv: Sequence[str], directory: str, cgroup: str) -> None:
            """Run the program `name` that goes on in the background once it serves; else StepFailed, with its words.

            It sees the directory as /tmp, even where its user could not get there. `cgroup`: the parent of the leaf
            (cgroup_tree.SERVERS) that it is in, so that it does not end with the session of whoever started it.
            """
