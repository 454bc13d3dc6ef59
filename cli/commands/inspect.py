"""`mydocker inspect`."""

from __future__ import annotations

from cli.declare import argument, command, value
from cli.render import documents
from cli.report import echo
from cli.session import Session, pass_session
from machine import decide, projections
from machine.subjects import Container

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


@command()
@value("form", "-f", "--format", metavar="FORM", help="A template such as {{.State.Pid}}.")
@value(
    "at", "--at", metavar="TIME|N", help="As they were then: a time such as 10m (ago), or an event's number."
)
@argument("names", many=True)
@pass_session
def inspect(session: Session, names: tuple[str, ...], form: str | None, at: str | None) -> None:
    """Show all that is known of containers, as JSON."""
    world = session.world_at(at)
    chosen = [decide.find(world, name) for name in names]
    found = [projections.inspect(c, session.root, {} if at else _probes(session, c)) for c in chosen]
    for text in documents(found, form):
        echo(text)


def _probes(session: Session, c: Container) -> dict[str, Any]:
    from effects import probelog

    return probelog.read(session.directory(c), c.started_up) if c.health else {}
