"""`mydocker inspect`."""

from __future__ import annotations

from cli.declare import argument, command, value
from cli.render import documents
from cli.report import echo
from cli.session import Session, pass_session
from machine import decide, projections
from machine.errors import NoSuchContainer
from machine.subjects import Container
from machine.world import World

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


@command()
@value(
    "form", "-f", "--format", metavar="FORM", help="json (one line), or a template such as {{.State.Pid}}."
)
@value(
    "at", "--at", metavar="TIME|N", help="As they were then: a time such as 10m (ago), or an event's number."
)
@argument("names", many=True)
@pass_session
def inspect(session: Session, names: tuple[str, ...], form: str | None, at: str | None) -> None:
    """Show all that is known of containers, as JSON."""
    world = session.world_at(at)
    chosen = [_find(world, name, at) for name in names]
    found = [projections.inspect(c, session.root, {} if at else _probes(session, c)) for c in chosen]
    for text in documents(found, form):
        echo(text)


def _find(world: World, name: str, at: str | None) -> Container:
    try:
        return decide.find(world, name)
    except NoSuchContainer:
        if at is None:
            from machine import networks

            if networks.named(world, name) is not None:
                raise NoSuchContainer(name, f"there is a network: mydocker network inspect {name}") from None
            raise
        raise NoSuchContainer(name, f"mydocker ps -a --at '{at}' lists those of then") from None


def _probes(session: Session, c: Container) -> dict[str, Any]:
    from effects import probelog

    return probelog.read(session.directory(c), c.started_up) if c.health else {}
