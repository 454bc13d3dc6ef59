"""What a container's new monitor is asked: the container as it is, the place in the journal, in whose name and why.

The other end is `cli.given`, and `cli.monitor`.
"""

from __future__ import annotations

import os
import time

from effects import failpoints

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from machine.engine import Engine
    from machine.subjects import Container

TARGET = 5.0  # seconds for a container in whose network another is to be


def request_of(
    engine: Engine, container: Container, *, why: str, observe: bool = False, attach: Any = None
) -> dict[str, Any]:
    """All that a monitor must know. `observe`: it outlived its last one; `attach`: makes who sends this the first client."""
    return {
        "root": engine.places.root,
        "container": _state(engine, container),
        "host": engine.world.host.dump(),
        "journal": engine.world.journal,
        "cursor": engine.journal.cursor.dump(),
        "by": engine.actor.by,
        "op": engine.actor.op,
        "why": why,
        "observe": observe,
        "attach": attach,
        "failpoint": os.environ.get(failpoints.VARIABLE),
    }


def _state(engine: Engine, container: Container) -> dict[str, Any]:
    """The container; one that a policy starts again in another's network joins that as it is now."""
    if not (container.joins and container.status == "restarting"):
        return container.dump()
    from machine.leases import netns  # what has no network does without
    from machine.network_errors import NetnsGone

    _await_target(engine, container.joins)
    state = container.dump()  # only now: that may have brought news of it, and the cursor is behind them
    try:
        state["netns"] = netns(engine.world, container, container.joins)
    except NetnsGone:
        return state  # its start will say so
    return state


def _await_target(engine: Engine, container_id: str) -> None:
    """After a boot both are started again: whose network it is comes first."""
    end = time.monotonic() + TARGET
    target = engine.world.containers.get(container_id)
    while target is not None and target.status in ("restarting", "starting") and time.monotonic() < end:
        time.sleep(0.02)
        target = engine.refresh().containers.get(container_id)
