"""`mydocker update`."""

from __future__ import annotations

from cli.declare import argument, command
from cli.each import each
from cli.run_options import limit_options
from cli.session import Session, pass_session
from cli.settler import PATIENCE
from machine import decide
from machine.errors import EffectFailure, InvalidValue
from machine.subjects import Container

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


@command()
@limit_options
@argument("names", many=True)
@pass_session
def update(session: Session, names: tuple[str, ...], settings: dict[str, Any]) -> None:
    """Change the limits or the restart policy of containers, running ones in place."""
    if not settings:
        raise InvalidValue("update", " ".join(names), "no new limit was given [see update --help]")
    each(names, lambda name: update_one(session, name, settings))


def update_one(session: Session, name: str, settings: dict[str, Any]) -> None:
    """Change one container. EffectFailure where the kernel refuses the new limits; the old ones stay."""
    container = session.touch(name)
    engine = session.engine()
    before = dict(container.setting("limits"))
    engine.decide(
        decide.update, container.id, limits=settings.get("limits", {}), restart=settings.get("restart")
    )

    def applied(now: Container | None) -> bool:
        return now is None or not (now.changed or (now.pending and now.pending[0] == "change"))

    session.settler().carry_out(container.id, applied, PATIENCE, "updating")
    now = engine.world.containers.get(container.id)
    if now is not None and now.error is not None and now.error["kind"] == "cgroup":
        engine.decide(decide.update, container.id, limits=before, restart=None, whole=True)
        raise EffectFailure.of(f"cannot update {name}", now.error)
