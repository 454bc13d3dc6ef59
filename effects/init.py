"""A container's first process: made, held at its gate, ended. LEAN."""

from __future__ import annotations

import errno

from effects import cgroup_tree, process_file, resolv
from effects.trees import ensure_dir

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from effects.host import Facts, Host, Spec

_DYING = 10.0  # seconds from SIGKILL to death
_HOSTS, _RESOLV = "/etc/hosts", "/etc/resolv.conf"
_MOST = 1 << 20  # bytes of such a file that are looked at: the container writes there too


class Init:
    """Namespaces, mounts, rights; blocked before its program.

    spec    what `effects.child` makes a process from (InitConfig), less argv, env, joins and cgroup2; and
            process: path of the file with {"argv", "env"}
            cgroup: {"parent", "name"} as in the cgroup's spec
            volumes: their sources on the host are made where they are missing
            hosts: text of its /etc/hosts, which for network "host" begins as the host's does   resolv: {"nameservers", "search", "options"} of its /etc/resolv.conf,
            or None for the host's own; without `hosts`, and for network "container", these files stay as they are
            was: {"hosts", "resolv"} of before, for `change`
    facts   pid, start, boot; mounts: what it mounted, in this order

    It is whole only while a process holds its gate: `probe` answers for this one. A successor takes an
    init over by its recorded facts (`adopt`).
    """

    def probe(self, spec: Spec, host: Host) -> Facts | None:
        return host.held_init(spec["id"])

    def adopt(self, spec: Spec, facts: Facts, host: Host) -> None:
        if facts.get("pid") and host.held_init(spec["id"]) is None:
            host.adopt_init(spec["id"], facts)

    def do(self, spec: Spec, host: Host) -> Facts:
        argv, env = process_file.decode(host.read_file(spec["process"]), spec["process"])
        for volume in spec["volumes"]:
            ensure_dir(host, volume["source"], 0o755)  # as docker does; it is the user's from then on
        _write_names(spec, host)
        names = spec["cgroup"]
        leaf = f"{names['parent']}/{names['name']}"
        where = cgroup_tree.places(cgroup_tree.facts_of(host, host.hierarchies(), leaf))
        entry = {"joins": where["joins"], "cgroup2": where["cgroup2"]}
        return host.spawn_init({**spec, "argv": argv, "env": env, **entry})

    def change(self, spec: Spec, host: Host) -> Facts:
        """It is on other networks now: /etc/hosts and /etc/resolv.conf tell so, by our own lines alone."""
        theirs = _of_host(host, _RESOLV)
        was, files = spec["was"], spec["files"]
        for path, before, now in (
            (_HOSTS, was["hosts"], spec["hosts"]),
            (_RESOLV, _nameservers(was["resolv"], theirs), _nameservers(spec["resolv"], theirs)),
        ):
            try:
                text = host.read_file(files[path], _MOST).decode(errors="surrogateescape")
            except OSError as error:
                if error.errno not in {errno.EFBIG, errno.ENOENT}:
                    raise
                continue  # the container has made something of its own of it
            altered = resolv.altered(text, before, now)
            if altered != text:
                host.rewrite_file(files[path], altered.encode(errors="surrogateescape"))
        return {}

    def undo(self, spec: Spec, facts: Facts, host: Host) -> None:
        held = host.held_init(spec["id"])
        known = [identity for identity in (facts, held) if identity and identity.get("pid")]
        if any(map(host.is_alive, known)):
            leaf = f"{spec['cgroup']['parent']}/{spec['cgroup']['name']}"
            cgroup_tree.thaw(host, cgroup_tree.directories(host.hierarchies(), leaf, {}))
        for identity in known:
            host.kill(identity, _DYING)


def _write_names(spec: Spec, host: Host) -> None:
    """/etc/hosts and /etc/resolv.conf, anew at each start: addresses, and the host's servers, may have changed."""
    if "hosts" not in spec or spec["network"] == "container":
        return
    hosts = _of_host(host, _HOSTS) + spec["hosts"] if spec["network"] == "host" else spec["hosts"]
    theirs = _of_host(host, _RESOLV)
    for path, content in ((_HOSTS, hosts), (_RESOLV, resolv.render(spec["resolv"], theirs))):
        host.write_file(spec["files"][path], content.encode(), 0o644, sync=False)


def _of_host(host: Host, path: str) -> str:
    """A file of the host's own, whose last line ends."""
    text = host.read_file(path).decode(errors="replace") if host.exists(path) else ""
    return text if text.endswith("\n") or not text else f"{text}\n"


def _nameservers(wanted: dict[str, Any] | None, theirs: str) -> str:
    """Those lines alone: what else is in its resolv.conf has nothing to do with networks."""
    lines = resolv.render(wanted, theirs).splitlines(keepends=True)
    return "".join(line for line in lines if line.startswith("nameserver"))


class Release:
    """The gate of a container's first process, opened: its program runs.

    spec    pid, start, boot of the init
    facts   {}

    What was let go can only be ended, so that is what undoing does.
    """

    def probe(self, spec: Spec, host: Host) -> Facts | None:
        return {} if host.has_execed(spec) else None

    def do(self, spec: Spec, host: Host) -> Facts:
        host.open_gate(spec)
        return {}

    def undo(self, spec: Spec, _facts: Facts, host: Host) -> None:
        host.kill(spec, _DYING)


class Signal:
    """One signal to a container's first process; done once, never undone.

    spec    pid, start, boot; signal: its number
    facts   {}
    """

    def probe(self, _spec: Spec, _host: Host) -> Facts | None:
        return None

    def do(self, spec: Spec, host: Host) -> Facts:
        host.signal(spec, spec["signal"])
        return {}

    def undo(self, _spec: Spec, _facts: Facts, _host: Host) -> None:
        """Nothing: a signal cannot be called back."""
