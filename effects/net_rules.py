"""What of a network or a container stands in the sets of the firewall. LEAN."""

from __future__ import annotations

import errno

from effects import nft_elements
from effects.failure import StepFailed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from effects.host import Element, Facts, Host, Spec


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
        table = spec["table"]
        whole = all(host.element_data(table, e) == e[3] for e in nft_elements.elements(spec))
        return {} if whole else None

    def do(self, spec: Spec, host: Host) -> Facts:
        host.hold_ports(spec["mark"], [(p["protocol"], p["address"], p["host_port"]) for p in spec["ports"]])
        wanted = nft_elements.elements(spec)
        self._replace(spec, host, _there(host, spec["table"], wanted), wanted)
        host.forget_flows(_datagrams(spec))
        return {}

    def change(self, spec: Spec, host: Host) -> Facts:
        """Exactly these from now on."""
        host.hold_ports(spec["mark"], [(p["protocol"], p["address"], p["host_port"]) for p in spec["ports"]])
        wanted = nft_elements.elements(spec)
        old = [*host.owned_elements(spec["table"], spec["mark"]), *_there(host, spec["table"], wanted)]
        self._replace(spec, host, list({element[:3]: element for element in old}.values()), wanted)
        host.forget_flows(_datagrams(spec))
        return {}

    def undo(self, spec: Spec, _facts: Facts, host: Host) -> None:
        found = _there(host, spec["table"], nft_elements.elements(spec))
        host.change_elements(spec["table"], spec["mark"], found, [])
        host.forget_flows(_datagrams(spec))
        host.drop_ports(spec["mark"])

    def _replace(self, spec: Spec, host: Host, old: list[Element], new: list[Element]) -> None:
        try:
            host.change_elements(spec["table"], spec["mark"], old, new)
        except OSError as error:
            if error.errno != errno.ENOENT:
                raise
            message = "the firewall's tables are gone [mydocker replay]"
            raise StepFailed("firewall", errno.ENOENT, message, f"table {spec['table']}") from error


def _datagrams(spec: Spec) -> list[tuple[str, int]]:
    return [(lease["address"], lease["host_port"]) for lease in spec["ports"] if lease["protocol"] == "udp"]


def _there(host: Host, table: str, elements: list[Element]) -> list[Element]:
    """Those whose key is there, whatever it leads to."""
    return [element for element in elements if host.element_data(table, element) is not None]
