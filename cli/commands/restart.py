"""`mydocker restart`."""

from __future__ import annotations

from cli.commands.start import start_one
from cli.commands.stop import seconds_of, stop_one
from cli.declare import argument, command, value
from cli.each import each
from cli.session import Session, pass_session
from machine.errors import IllegalTransition

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cli.each import Wait


@command()
@value("seconds", "-t", "--time", parse=seconds_of, metavar="SECONDS", help="Time until SIGKILL; -1: never.")
@argument("names", many=True)
@pass_session
def restart(session: Session, names: tuple[str, ...], seconds: int | None) -> None:
    """Stop containers and start them again."""
    each(names, lambda name: restart_one(session, name, seconds))


def restart_one(session: Session, name: str, seconds: int | None) -> Wait:
    """Begin to stop one container where it is live. The wait is for that, and for its new start."""
    stopped = stop_one(session, name, seconds=seconds)

    def start() -> None:
        if stopped is not None:
            stopped()
        try:
            start_one(session, name)
        except IllegalTransition as error:
            if error.status != "stopping":
                raise
            # Somebody else has started it behind our stop, and stops it now. As if we had come after them.
            restart_one(session, name, seconds)()

    return start
