"""The server that knows the names of a network: one dnsmasq on its gateways. LEAN."""

from __future__ import annotations

from effects import cgroup_tree
from effects.trees import ensure_dir

TYPE_CHECKING = False
if TYPE_CHECKING:
    from effects.host import Facts, Host, Spec

DYING = 10.0  # seconds from SIGKILL to death
_READABLE = 0o755
_ACCOUNTS = "/etc/passwd"
PROGRAM = "dnsmasq"


class Dns:
    """dnsmasq(8), which reads a file of names for each container that is there, and asks the host's servers else.

    spec    device: the bridge, by which it is asked, and by no other
            directory: of the files, its pid file among them   internal: nothing but the names it knows
            cgroup: parent of the one that servers are in
            left: directories of servers that could not be ended when the run directory became another one
    facts   pid, start, boot

    It serves as an unprivileged user, who sees the directory alone of all that is ours. Files that come, change and go are noticed
    before the next question is answered (inotify). It outlives the command that started it.
    """

    def probe(self, spec: Spec, host: Host) -> Facts | None:
        pid_file = _pid_file(spec)
        if not host.exists(pid_file) or not host.exists(spec["directory"]):
            return None
        text = host.read_file(pid_file).decode().strip()
        return host.process_with(int(text), _word(spec["directory"])) if text.isdigit() else None

    def do(self, spec: Spec, host: Host) -> Facts:
        # One that lost its directory, or its pid file, still has the address.
        self._end(spec, host)
        for directory in _directories(spec)[1:]:
            host.remove_tree(directory)
        above = spec["directory"].rpartition("/")[0]
        ensure_dir(host, above.rpartition("/")[0])
        host.make_dir(above, _READABLE)  # a server for several networks reads below it
        host.make_dir(spec["directory"], _READABLE)
        host.run_server(PROGRAM, _argv(spec, host), spec["directory"], spec["cgroup"])
        facts = self.probe(spec, host)
        assert facts is not None, "it has told that it serves"
        return facts

    def undo(self, spec: Spec, facts: Facts, host: Host) -> None:
        self._end(spec, host)
        if facts.get("pid"):
            host.kill(facts, DYING)
        for directory in _directories(spec):
            host.remove_tree(directory)
        leave_cgroup(spec, host)

    def _end(self, spec: Spec, host: Host) -> None:
        # One that somebody has just killed is known by its words no more, and may have the address still.
        words = [_word(directory) for directory in _directories(spec)]
        ours = [identity for word in words for identity in host.processes_with(word)]
        for identity in (*ours, *host.dying(PROGRAM)):
            host.kill(identity, DYING)


def _pid_file(spec: Spec) -> str:
    return f"{spec['directory']}/.pid"  # names with a dot before them are no files of names


def _directories(spec: Spec) -> list[str]:
    return [spec["directory"], *spec.get("left", ())]


def _word(directory: str) -> str:
    """The first word of its command line, which no other process has."""
    return f"dnsmasq:{directory}"


def _user(host: Host) -> list[str]:
    """The package's own user, where there is one; else dnsmasq takes "nobody", who is others' too."""
    is_there = host.exists(_ACCOUNTS) and b"\ndnsmasq:" in host.read_file(_ACCOUNTS)
    return ["--user=dnsmasq"] if is_there else []


def _argv(spec: Spec, host: Host) -> list[str]:
    return [
        _word(spec["directory"]),
        "--hostsdir=/tmp",  # its own: see `run_server`
        "--pid-file=/tmp/.pid",
        f"--interface={spec['device']}",
        *common(host, outward=not spec["internal"]),
    ]


def common(host: Host, *, outward: bool) -> list[str]:
    """What all our servers are told; its interfaces besides."""
    return [
        # By device and not by address, and `dynamic`: then it minds by which device a question came. To a socket
        # that is merely bound to the gateway's address, a neighbour with a route could ask.
        "--bind-dynamic",
        "--except-interface=lo",
        "--conf-file=/dev/null",
        "--no-hosts",
        "--domain-needed",  # a name without a dot is one of ours, or none
        "--log-facility=/dev/null",
        # All names are ours then, and what is none of them is nobody's: said at once. "Refused", libraries ask again.
        *([] if outward else ["--no-resolv", "--local=/#/"]),
        *_user(host),
    ]


def leave_cgroup(spec: Spec, host: Host) -> None:
    """The servers' cgroup goes with the last of them."""
    hierarchies = host.hierarchies()
    cgroup_tree.remove_unused(host, hierarchies, spec["cgroup"], cgroup_tree.SERVERS)
