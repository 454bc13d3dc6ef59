"""`mydocker pause`."""

from __future__ import annotations

from cli.declare import argument, command
from cli.each import each
from cli.session import Session, pass_session
from cli.settler import PATIENCE
from machine import decide
from machine.errors import EffectFailure
from machine.subjects import Container


@command()
@argument("names", many=True)
@pass_session
def pause(session: Session, names: tuple[str, ...]) -> None:
    """Freeze every process of containers."""
    each(names, lambda name: pause_one(session, name))


def pause_one(session: Session, name: str) -> None:
    """Freeze one container; EffectFailure where the kernel could not."""
    container = session.touch(name)
    session.engine().decide(decide.pause, container.id)

    def frozen(now: Container | None) -> bool:
        if now is None or now.status != "paused":
            return True
        row = now.holding("frozen")
        return row is not None and row.done

    session.settler().carry_out(container.id, frozen, PATIENCE, "pausing")
    now = session.world.containers.get(container.id)
    if now is not None and now.status == "running" and now.error is not None:
        raise EffectFailure.of(f"cannot pause {name}", now.error)
