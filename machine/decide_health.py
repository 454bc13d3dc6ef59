"""decide, for health checks: what their probes have come to, and what follows. LEAN, loaded only where there is one."""

from __future__ import annotations

from machine import events as ev
from machine.health import UNHEALTHY
from machine.settings import SIGKILL

TYPE_CHECKING = False
if TYPE_CHECKING:
    from machine.decide import Decision
    from machine.world import World


def note_health(world: World, container_id: str, status: str, *, failures: int, code: int) -> Decision:
    """Observed: its probes have come to another status. What the check is to do about it is decided with it."""
    c = world.containers.get(container_id)
    if c is None or c.status != "running" or c.health in ("", status):
        return []
    decision: Decision = [(c.stream, ev.ContainerHealthChanged(health=status, failures=failures, code=code))]
    action = c.setting("health").get("on_failure") if status == UNHEALTHY else None
    if action == "kill":
        decision.append((c.stream, ev.ContainerKillRequested(signal=SIGKILL)))
    elif action in ("stop", "restart"):
        signal, timeout = c.setting("stop_signal"), c.setting("stop_timeout")
        decision.append((c.stream, ev.ContainerStopRequested(signal=signal, timeout=timeout)))
    return decision
