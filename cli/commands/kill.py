"""`mydocker kill`."""

from __future__ import annotations

from cli.commands.stop import ended
from cli.declare import argument, command, value
from cli.each import each
from cli.session import Session, pass_session
from cli.settler import PATIENCE
from machine import decide
from machine.settings import SIGKILL
from machine.signals import signal_number
from machine.subjects import Container

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cli.each import Wait


@command()
@value("signal", "-s", "--signal", parse=signal_number, metavar="SIGNAL", help="Instead of KILL.")
@argument("names", many=True)
@pass_session
def kill(session: Session, names: tuple[str, ...], signal: int | None) -> None:
    """Send containers a signal; KILL if none is given."""
    each(names, lambda name: kill_one(session, name, signal or SIGKILL))


def kill_one(session: Session, name: str, signal: int) -> Wait:
    """Signal one container; with KILL, the wait is until it has ended."""
    container = session.touch(name)
    session.engine().decide(decide.kill, container.id, signal)

    def sent(now: Container | None) -> bool:
        return now is None or ended(now) or not now.signals

    until = ended if signal == SIGKILL else sent
    return session.settler().begin(container.id, until, PATIENCE, "killing")
