"""`mydocker wait`."""

from __future__ import annotations

from cli.commands.stop import ended
from cli.declare import argument, command
from cli.each import each
from cli.report import echo
from cli.session import Session, pass_session
from machine.projections import exit_code
from machine.subjects import Container

FOR_EVER = 1e9


@command()
@argument("names", many=True)
@pass_session
def wait(session: Session, names: tuple[str, ...]) -> None:
    """Wait until containers have ended, and print the exit code of each."""
    each(names, lambda name: echo(wait_one(session, name)), done=False)


def wait_one(session: Session, name: str) -> int:
    """The exit code, as a shell shows it; 255 where nobody could learn it."""
    container = session.touch(name)
    last = container

    def over(now: Container | None) -> bool:
        nonlocal last
        last = now or last
        return ended(now)

    session.settler().carry_out(container.id, over, FOR_EVER, "waiting for")
    return exit_code(last)
