"""The server that knows the names of all networks of one container: a dnsmasq on their gateways. LEAN."""

from __future__ import annotations

import errno

from effects import net_dns
from effects.failure import StepFailed
from effects.nft_elements import redirection

TYPE_CHECKING = False
if TYPE_CHECKING:
    from effects.host import Element, Facts, Host, Spec

_TRIES = 3  # of a port that nobody had a moment before


class Resolver:
    """For a container on several networks, whose own servers each know one of them, and say of all else that it is not there.

    spec    container: its id   directory: of the names of all networks   networks: ids of its own
            devices: their bridges   clients: [{"address": of the container, "gateway"}], of IPv4
            outward: whether it may ask the host's servers   table, mark: as of `rules`   cgroup: parent of the servers'
    facts   pid, start, boot; port: on which it serves

    The container asks its gateways, as all others do. What it asks is led here, since its address stands in a map
    of the firewall: so it sees no more than its own networks, and its resolv.conf tells nothing of it.
    """

    def probe(self, spec: Spec, host: Host) -> Facts | None:
        pid_file = f"{spec['directory']}/{_pid_file(spec)}"
        if not host.exists(pid_file) or not all(map(host.exists, _notes(spec))):
            return None
        text = host.read_file(pid_file).decode().strip()
        facts = host.process_with(int(text), _argument(spec)) if text.isdigit() else None
        keys = _elements(spec, 0)
        found = {host.element_data(spec["table"], element) for element in keys}
        if facts is None or len(found) != 1 or None in found:
            return None
        port = int.from_bytes(found.pop() or b"", "big")
        return {**facts, "port": port} if host.process_with(facts["pid"], _listening(port)) else None

    def do(self, spec: Spec, host: Host) -> Facts:
        return self.change(spec, host)

    def change(self, spec: Spec, host: Host) -> Facts:
        """A new server, and then the end of the old one: no question goes unanswered."""
        old = host.processes_with(_argument(spec))
        port = self._started(spec, host)
        there = host.owned_elements(spec["table"], spec["mark"])
        host.change_elements(spec["table"], spec["mark"], there, _elements(spec, port))
        for identity in old:
            host.kill(identity, net_dns.DYING)
        for note in _notes(spec):
            # A directory of names that was made anew has none: the server would look at the old one for ever.
            host.write_file(note, b"", 0o600, sync=False)
        facts = self.probe(spec, host)
        assert facts is not None, "it has told that it serves"
        return facts

    def undo(self, spec: Spec, facts: Facts, host: Host) -> None:
        there = host.owned_elements(spec["table"], spec["mark"])
        if there:
            host.change_elements(spec["table"], spec["mark"], there, [])
        for identity in host.processes_with(_argument(spec)):
            host.kill(identity, net_dns.DYING)
        if facts.get("pid"):
            host.kill(facts, net_dns.DYING)
        for path in (*_notes(spec), f"{spec['directory']}/{_pid_file(spec)}"):
            host.remove_file(path)
        net_dns.leave_cgroup(spec, host)

    def _started(self, spec: Spec, host: Host) -> int:
        for attempt in range(_TRIES):
            try:
                port = host.free_port()
                host.run_server(net_dns.PROGRAM, _argv(spec, port, host), spec["directory"], spec["cgroup"])
            except OSError as error:
                # Somebody else took the port meanwhile, maybe.
                taken = isinstance(error, StepFailed) or error.errno == errno.EADDRINUSE
                if attempt == _TRIES - 1 or not taken:
                    raise
            else:
                return port
        raise AssertionError


def _argument(spec: Spec) -> str:
    """The first word of its command line, which no other process has."""
    return f"dnsmasq:{spec['directory']}/{spec['container']}"


def _listening(port: int) -> str:
    return f"--port={port}"


def _pid_file(spec: Spec) -> str:
    return f".{spec['container']}.pid"


def _notes(spec: Spec) -> list[str]:
    """Files in the directories that it watches; with a dot before them they are no files of names."""
    return [f"{spec['directory']}/{network}/.{spec['container']}.asks" for network in spec["networks"]]


def _elements(spec: Spec, port: int) -> list[Element]:
    return [redirection(client["address"], client["gateway"], port) for client in spec["clients"]]


def _argv(spec: Spec, port: int, host: Host) -> list[str]:
    return [
        _argument(spec),
        *(f"--hostsdir=/tmp/{network}" for network in spec["networks"]),
        f"--pid-file=/tmp/{_pid_file(spec)}",
        *(f"--interface={device}" for device in spec["devices"]),
        _listening(port),
        *net_dns.common(host, outward=spec["outward"]),
    ]
