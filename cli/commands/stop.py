"""`mydocker stop`."""

from __future__ import annotations

from cli.declare import argument, command, value
from cli.each import each
from cli.session import Session, pass_session
from machine import decide
from machine.quantities import whole
from machine.signals import signal_number
from machine.subjects import Container

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cli.each import Wait

SECOND = 1_000_000_000
LONGEST = 10**9
GRACE = 20.0  # seconds beyond the container's own time, for SIGKILL and the undoing


def seconds_of(text: str, what: str) -> int:
    """Whole seconds; -1 waits for ever."""
    return whole(text, what, least=-1, most=LONGEST)


@command()
@value("seconds", "-t", "--time", parse=seconds_of, metavar="SECONDS", help="Time until SIGKILL; -1: never.")
@value(
    "signal",
    "-s",
    "--signal",
    parse=signal_number,
    metavar="SIGNAL",
    help="The first signal, instead of the container's.",
)
@argument("names", many=True)
@pass_session
def stop(session: Session, names: tuple[str, ...], seconds: int | None, signal: int | None) -> None:
    """Ask containers to end, and kill them when they do not in time."""
    each(names, lambda name: stop_one(session, name, seconds=seconds, signal=signal))


def stop_one(
    session: Session, name: str, *, seconds: int | None = None, signal: int | None = None
) -> Wait | None:
    """Begin to stop one container. The wait is until it has ended and nothing of its run is left; None where it had."""
    container = session.touch(name)
    timeout = None if seconds is None else -1 if seconds < 0 else seconds * SECOND
    engine = session.engine()
    if not engine.decide(decide.stop, container.id, timeout=timeout, signal=signal):
        return None
    allowed = container.setting("stop_timeout") if timeout is None else timeout
    patience = 1e9 if allowed < 0 else allowed / SECOND + GRACE
    return session.settler().begin(container.id, _stopped, patience, "stopping")


def _stopped(container: Container | None) -> bool:
    """Ended; or no longer on its way to that, since somebody else has started it again behind our stop."""
    return ended(container) or (
        container is not None and container.status in ("starting", "running", "paused")
    )


def ended(container: Container | None) -> bool:
    """Not live any more, and nothing of its run held."""
    return container is None or (
        container.status in ("created", "exited", "failed", "removed") and container.holding("init") is None
    )
