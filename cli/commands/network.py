"""`mydocker network create`, `ls`, `inspect`, `rm`, `prune`, `connect` and `disconnect`."""

from __future__ import annotations

from cli.declare import argument, flag, value
from cli.each import each
from cli.family import family, member
from cli.network_options import ADDRESS
from cli.render import Column, documents, listing, local_time
from cli.report import echo
from cli.session import Session, pass_session
from machine import networks, parse, parse_network, projections_network
from machine.errors import InvalidValue
from machine.leases import DEFAULT
from machine.networks import Wanted
from machine.settings import SHORT
from machine.subjects import Network

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

COLUMNS = [Column("Name", "NAME"), Column("IpRange", "IpRange"), Column("Driver", "Driver")]
FIELDS = ("ID", "Scope", "IPv6", "Internal", "Labels", "CreatedAt")
FILTERS = ("id", "name", "driver", "label", "dangling")
YES_OR_NO = {"true": True, "1": True, "false": False, "0": False}


@family()
def network() -> None:
    """Create, list and remove networks, and connect containers to them."""


def _driver(text: str, what: str) -> str:
    if text != "bridge":
        raise InvalidValue(what, text, "only bridge is there")
    return text


@member(network)
@value("_driver", "-d", "--driver", parse=_driver, metavar="DRIVER", help="bridge, the only one.")
@value(
    "subnets",
    "--subnet",
    multiple=True,
    metavar="CIDR",
    help="Its addresses, such as 192.168.10.0/24; one of each family.",
)
@value(
    "gateways",
    "--gateway",
    multiple=True,
    metavar="ADDRESS",
    help="The host's own address there (the first).",
)
@flag("ipv6", "--ipv6", help="IPv6 too.")
@flag("internal", "--internal", help="No way out, and none in.")
@value("labels", "-l", "--label", parse=parse.label, multiple=True, metavar="K=V", help="A label.")
@argument("name")
@pass_session
def create(session: Session, name: str, *, ipv6: bool, internal: bool, **more: Any) -> None:
    """Create a network."""
    from cli import networking

    pools = parse_network.pools(more["subnets"], more["gateways"])
    wanted = Wanted(networking.new_id(session), networks.network_name(name), pools)
    wanted.v6, wanted.internal, wanted.labels = ipv6, internal, dict(more["labels"])
    networking.make(session, wanted)


@member(network)
@flag("quiet", "-q", "--quiet", help="Ids only.")
@flag("no_trunc", "--no-trunc", help="Whole ids.")
@value("filters", "-f", "--filter", multiple=True, metavar="K=V", help=f"Only these: {', '.join(FILTERS)}.")
@value("form", "--format", metavar="FORM", help="json, table, or a template such as {{.Name}}.")
@pass_session
def ls(session: Session, filters: tuple[str, ...], form: str | None, *, quiet: bool, no_trunc: bool) -> None:
    """List networks."""
    wanted = parse.filters(filters, FILTERS, "--filter")
    for text in wanted.get("dangling", ()):
        if text not in YES_OR_NO:
            raise InvalidValue("--filter", f"dangling={text}", "expected true or false")
    found = [net for net in projections_network.visible(session.world) if _matches(session, net, wanted)]
    if quiet:
        lines = [net.id if no_trunc else net.id[:SHORT] for net in found]
    else:
        lines = list(
            listing([_row(net, whole=no_trunc) for net in found], COLUMNS, form or "", fields=FIELDS)
        )
    for line in lines:
        echo(line)


def _row(net: Network, *, whole: bool) -> dict[str, Any]:
    return {
        "Name": net.name,
        "IpRange": ", ".join(projections_network.ranges(net)),
        "Driver": net.driver,
        "ID": net.id if whole else net.id[:SHORT],
        "Scope": "local",
        "IPv6": len(net.subnets) > 1,
        "Internal": net.internal,
        "Labels": net.labels,
        "CreatedAt": local_time(net.created),
    }


def _matches(session: Session, net: Network, wanted: dict[str, list[str]]) -> bool:
    tests: dict[str, Callable[[str], bool]] = {
        "id": net.id.startswith,
        "name": lambda text: text in net.name,
        "driver": lambda text: text == net.driver,
        "dangling": lambda text: YES_OR_NO[text] == (not networks.wanted_by(session.world, net)),
        "label": lambda text: _has_label(net, text),
    }
    return all(any(tests[key](text) for text in texts) for key, texts in wanted.items())


def _has_label(net: Network, text: str) -> bool:
    key, equals, label = text.partition("=")
    return key in net.labels and (not equals or net.labels[key] == label)


@member(network)
@value(
    "form", "-f", "--format", metavar="FORM", help="json (one line), or a template such as {{.IPAM.Config}}."
)
@argument("names", many=True)
@pass_session
def inspect(session: Session, names: tuple[str, ...], form: str | None) -> None:
    """Show all that is known of networks, as JSON."""
    world = session.world
    found = [projections_network.inspect(networks.find(world, name), world) for name in names]
    for text in documents(found, form):
        echo(text)


@member(network)
@flag("_force", "-f", "--force", help="Taken, as docker does: one that is in use stays.")
@argument("names", many=True)
@pass_session
def rm(session: Session, names: tuple[str, ...], **_force: bool) -> None:
    """Remove networks that no live container is on."""
    from cli import networking

    each(names, lambda name: networking.remove(session, name), done=False)


@member(network)
@flag("_force", "-f", "--force", help="Taken, as docker does: nothing is asked.")
@value("filters", "--filter", multiple=True, metavar="K=V", help="Only these: label.")
@pass_session
def prune(session: Session, filters: tuple[str, ...], **_force: bool) -> None:
    """Remove all networks that no container is on, live or not; the default one stays."""
    from cli import networking

    wanted, world = parse.filters(filters, ("label",), "--filter"), session.engine().world
    unused = [
        net
        for net in projections_network.visible(world)
        if net.name != DEFAULT and not networks.wanted_by(world, net) and _matches(session, net, wanted)
    ]
    if unused:
        echo("Deleted Networks:")
    each([net.name for net in unused], lambda name: networking.remove(session, name))


# --- containers ----------------------------------------------------------------------------------------


@member(network)
@ADDRESS[0]
@ADDRESS[1]
@ADDRESS[2]
@value(
    "aliases",
    "--alias",
    parse=parse.hostname,
    multiple=True,
    metavar="NAME",
    help="Another name for it there.",
)
@argument("name", metavar="NETWORK")
@argument("container", metavar="CONTAINER")
@pass_session
def connect(
    session: Session, name: str, container: str, aliases: tuple[str, ...], **address: str | None
) -> None:
    """Connect a container to one more network, at once where it runs."""
    from cli import networking

    asked: dict[str, Any] = {key: text or "" for key, text in address.items()}
    networking.connect(session, name, container, asked | {"aliases": list(aliases)})


@member(network)
@flag("_force", "-f", "--force", help="Taken, as docker does.")
@argument("name", metavar="NETWORK")
@argument("container", metavar="CONTAINER")
@pass_session
def disconnect(session: Session, name: str, container: str, **_force: bool) -> None:
    """Disconnect a container from a network, at once where it runs."""
    from cli import networking

    networking.disconnect(session, name, container)


network.add_command(ls, "list")
network.add_command(rm, "remove")
