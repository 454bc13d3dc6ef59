"""`mydocker why`."""

from __future__ import annotations

from cli import past
from cli.accounts import actor
from cli.declare import argument, command
from cli.escape import safe
from cli.render import local_time
from cli.report import echo
from cli.session import Session, pass_session
from effects import identity
from machine.errors import NoSuchContainer
from machine.life import Life
from machine.resources import LIVE
from machine.settings import SHORT
from machine.why import explain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any


@command()
@argument("name")
@pass_session
def why(session: Session, name: str) -> None:
    """Tell in a few sentences how a container came to its present state.

    NAME is a name, an id or a unique prefix, of a removed container too (the newest of a name).
    """
    stream = past.streams_of(session, name, every=False)[0]
    life = Life(stream)
    for event in _events(session, stream):
        life.see(event)
    said = explain(life, local_time, actor)
    if not said:
        raise NoSuchContainer(name)
    first, *rest = said
    for text in [first, *(_unseen(session, life) or _unwhole(session, life)), *rest]:
        echo(safe(text))


def _events(session: Session, stream: str) -> Iterator[Any]:
    """The container's and the host's events; and the boot that no command has noted yet."""
    imagined = session.imagined_boot()
    yield from (event for event, _ in past.told(session.root, [stream, "host"]))
    yield from (event for event in imagined if event.s in (stream, "host"))


def _unseen(session: Session, life: Life) -> list[str]:
    """What the kernel says and the journal does not know yet."""
    c = life.container
    process = c.process_identity if c is not None and life.is_live else None
    if c is None or process is None:
        return []
    if not identity.alive(identity.of(process)):
        gone = (
            f"But the kernel has no process {process['pid']} of it any more, and no monitor has noted its end"
        )
        return [f"{gone}: `mydocker replay` puts that right."]
    if c.monitor is not None and not identity.alive(identity.of(c.monitor)):
        gone = f"But its monitor, process {c.monitor['pid']}, is gone, so nobody watches it"
        return [f"{gone}: `mydocker replay` gives it a new one."]
    if c.netns and not identity.alive(identity.of(c.netns)):
        target = session.world.containers.get(c.netns["id"])
        owner = target.name if target is not None else c.netns["id"][:SHORT]
        gone = f"But the network that it joined went with the run of {owner} that had it"
        return [f"{gone}: `mydocker restart {c.name}` joins the present one."]
    return []


def _unwhole(session: Session, life: Life) -> list[str]:
    """What its networks lack."""
    c = session.world.containers.get(life.container.id) if life.container is not None else None
    if c is None or not c.endpoints or c.status not in LIVE:
        return []
    from cli.gone import gone, named

    nets = [session.world.networks.get(one["network"]) for one in c.endpoints]
    lost = [named(*one) for one in gone([session.world.host, *(net for net in nets if net is not None), c])]
    return (
        [f"But the kernel no longer has {', '.join(lost)}: `mydocker replay` puts that right."]
        if lost
        else []
    )
