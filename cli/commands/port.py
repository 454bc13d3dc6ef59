"""`mydocker port`."""

from __future__ import annotations

from cli.declare import argument, command
from cli.report import echo
from cli.session import Session, pass_session
from machine.errors import InvalidValue, MachineError
from machine.network_errors import outside
from machine.ports import MAX_PORT
from machine.quantities import whole

PROTOCOLS = ("tcp", "udp", "sctp")


class NotPublished(MachineError):
    """Nothing of the host leads to this port of the container."""

    def __init__(self, name: str, port: int, protocol: str) -> None:
        self.name, self.port, self.protocol = name, port, protocol
        super().__init__(f"no public port {port}/{protocol} of {name} [mydocker port {name} lists them]")


@command()
@argument("name")
@argument("wanted", required=False, metavar="[PORT[/PROTOCOL]]")
@pass_session
def port(session: Session, name: str, wanted: str | None) -> None:
    """List the published ports of a container.

    With PORT: where on the host that port of the container is.
    """
    asked = inner_port(wanted) if wanted is not None else None
    container = session.find(name)
    published = container.ports
    if asked is None:
        for entry in published:
            echo(f"{entry['port']}/{entry['protocol']} -> {outside(entry['address'], entry['host_port'])}")
        return
    found = [entry for entry in published if (entry["port"], entry["protocol"]) == asked]
    if not found:
        raise NotPublished(container.name, *asked)
    for entry in found:
        echo(outside(entry["address"], entry["host_port"]))


def inner_port(text: str) -> tuple[int, str]:
    """A port of the container, and its protocol, tcp if none is named."""
    number, slash, protocol = text.partition("/")
    if slash and protocol not in PROTOCOLS:
        raise InvalidValue("port", text, f"expected PORT or PORT/PROTOCOL with one of {', '.join(PROTOCOLS)}")
    return whole(number, "port", least=1, most=MAX_PORT), protocol or "tcp"
