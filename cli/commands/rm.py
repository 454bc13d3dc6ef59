"""`mydocker rm`."""

from __future__ import annotations

from cli.declare import argument, command, flag
from cli.each import each
from cli.session import Session, pass_session
from machine import decide, leases
from machine.errors import MachineError, NoSuchContainer
from machine.subjects import Container

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cli.each import Wait
    from machine.world import World

PATIENCE = 60.0


@command()
@flag("force", "-f", "--force", help="Kill it first if it is live; no error if it does not exist.")
@argument("names", many=True)
@pass_session
def rm(session: Session, names: tuple[str, ...], *, force: bool) -> None:
    """Remove containers, and all they wrote that is in no volume."""
    if len(names) > 1:
        world = session.engine().world
        names = tuple(sorted(names, key=lambda name: leases.joined(world, _id(world, name)), reverse=True))
    each(names, lambda name: remove_one(session, name, force=force))


def _id(world: World, name: str) -> str:
    try:
        return decide.find(world, name).id
    except MachineError:
        return ""  # told when its turn comes


def remove_one(session: Session, name: str, *, force: bool) -> Wait | None:
    """Begin to remove one container. Its name is free once the decision is in the journal."""
    try:
        container = session.touch(name)
    except NoSuchContainer:
        if force:
            return None
        raise
    session.engine().decide(decide.remove, container.id, force=force)
    return session.settler().begin(container.id, gone, PATIENCE, "removing")


def gone(container: Container | None) -> bool:
    """Removed; what could not be undone is a leftover, which the next command or `replay` tries again."""
    return container is None or container.status == "removed"
