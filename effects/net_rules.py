"""What of a network or a container stands in the sets of the firewall. LEAN."""

from __future__ import annotations

import errno

from effects import nft_elements
from effects.failure import StepFailed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from effects.host import Element, Facts, Host, Spec

_CLASH = {errno.EEXIST, errno.EBUSY}  # a key that is there with other data, by kernel


class Rules:
    """Elements of the firewall's sets, all in one transaction, and the ports that they publish.

    spec    table: "mydocker-<root id>"   mark: the subject's own, on each element
            networks: [{"device", "subnets", "internal"}]
            hosts: [{"device": the host's end, "mac", "addresses": without length}]
            ports: [{"address": of the host, "host_port", "port", "protocol", "to": the container's address}]
    facts   {}

    An element is one subject's alone, by the journal's reservations. Its ports are kept from other processes
    of the host by this one, for as long as it lives; a successor publishes them all the same.
    """

    def probe(self, spec: Spec, host: Host) -> Facts | None:
        return {} if host.has_elements(spec["table"], nft_elements.elements(spec)) else None

    def do(self, spec: Spec, host: Host) -> Facts:
        wanted = nft_elements.elements(spec)
        _hold_ports(spec, host)
        try:
            host.change_elements(spec["table"], spec["mark"], [], wanted)
        except OSError as error:
            if error.errno not in _CLASH:
                raise _told(spec, error) from error
            # A key leads elsewhere.
            host.change_elements(spec["table"], spec["mark"], _there(host, spec["table"], wanted), wanted)
        host.forget_flows(_datagrams(spec))
        return {}

    def change(self, spec: Spec, host: Host) -> Facts:
        """Exactly these from now on."""
        wanted = nft_elements.elements(spec)
        _hold_ports(spec, host)
        old = [*host.owned_elements(spec["table"], spec["mark"]), *_there(host, spec["table"], wanted)]
        old = list({element[:3]: element for element in old}.values())
        try:
            host.change_elements(spec["table"], spec["mark"], old, wanted)
        except OSError as error:
            raise _told(spec, error) from error
        host.forget_flows(_datagrams(spec))
        return {}

    def undo(self, spec: Spec, _facts: Facts, host: Host) -> None:
        there = nft_elements.elements(spec)
        try:
            host.change_elements(spec["table"], spec["mark"], there, [])
        except OSError as error:
            if error.errno != errno.ENOENT:
                raise
            # Not all of it was there, or is.
            host.change_elements(spec["table"], spec["mark"], _there(host, spec["table"], there), [])
        host.forget_flows(_datagrams(spec))
        host.drop_ports(spec["mark"])


def _hold_ports(spec: Spec, host: Host) -> None:
    ports = [(lease["protocol"], lease["address"], lease["host_port"]) for lease in spec["ports"]]
    host.hold_ports(spec["mark"], ports)


def _told(spec: Spec, error: OSError) -> OSError:
    """The same, with what to do where it is known."""
    if error.errno != errno.ENOENT:
        return error
    message = "the firewall's tables are gone [mydocker replay]"
    return StepFailed("firewall", errno.ENOENT, message, f"table {spec['table']}")


def _datagrams(spec: Spec) -> list[tuple[str, int]]:
    return [(lease["address"], lease["host_port"]) for lease in spec["ports"] if lease["protocol"] == "udp"]


def _there(host: Host, table: str, elements: list[Element]) -> list[Element]:
    """Those whose key is there, whatever it leads to."""
    return [element for element in elements if host.element_data(table, element) is not None]
