"""`mydocker rename`."""

from __future__ import annotations

from cli.declare import argument, command
from cli.session import Session, pass_session
from cli.settler import PATIENCE
from machine import decide, parse
from machine.subjects import Container


@command()
@argument("name")
@argument("new_name")
@pass_session
def rename(session: Session, name: str, new_name: str) -> None:
    """Give a container another name."""
    container = session.touch(name)
    parse.name(new_name)
    session.engine().decide(decide.rename, container.id, new_name)

    def renamed(now: Container | None) -> bool:
        link = now.holding("root_link") if now is not None else None
        return link is None or (link.key == new_name and link.done)

    session.settler().carry_out(container.id, renamed, PATIENCE, "renaming")
