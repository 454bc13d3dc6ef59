"""`mydocker unpause`."""

from __future__ import annotations

from cli.declare import argument, command
from cli.each import each
from cli.session import Session, pass_session
from cli.settler import PATIENCE
from machine import decide
from machine.subjects import Container


@command()
@argument("names", many=True)
@pass_session
def unpause(session: Session, names: tuple[str, ...]) -> None:
    """Let paused containers go on."""
    each(names, lambda name: unpause_one(session, name))


def unpause_one(session: Session, name: str) -> None:
    """Thaw one container."""
    container = session.touch(name)
    session.engine().decide(decide.unpause, container.id)

    def thawed(now: Container | None) -> bool:
        return now is None or now.holding("frozen") is None

    session.settler().carry_out(container.id, thawed, PATIENCE, "unpausing")
