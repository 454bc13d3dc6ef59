"""When an ended container is started again, and after how long. Docker's rules; pure."""

from __future__ import annotations

from machine import health
from machine.events import ContainerRestartRequested

TYPE_CHECKING = False
if TYPE_CHECKING:
    from machine.events import ContainerExited
    from machine.subjects import Container

FIRST = 100_000_000  # ns before the first restart; doubled each time
LONGEST = 60_000_000_000
POLICY = "restart policy"
WELL = 10_000_000_000  # ns of running after which the next wait is the first again


def after_exit(c: Container, exited: ContainerExited) -> ContainerRestartRequested | None:
    """What the container's policy says to its end; None: it stays ended.

    An exit that nobody could learn is a failure, and so is one by a signal. Asked to end by a user, it stays so.
    """
    policy, by_check = c.setting("restart"), for_health(c)
    if c.told_to_end or not (by_check or _wants(policy["policy"], exited)):
        return None
    if policy["policy"] == "on-failure" and policy["max"] and c.restarts >= policy["max"]:
        return None
    # Nobody saw when an end without `up_at` came: its run gets the benefit of the doubt.
    lasted = exited.up_at - c.started_up if exited.up_at else WELL
    delay = doubled(c.backoff) if lasted < WELL else FIRST
    return ContainerRestartRequested(delay=delay, cause=health.CAUSE if by_check else POLICY)


def doubled(backoff: int) -> int:
    """How long to wait next, ns; 0: it has not waited yet."""
    return min(backoff * 2, LONGEST) if backoff else FIRST


def for_health(c: Container) -> bool:
    """Whether its health check has ended it in order to start it again."""
    return c.ended_by_check and c.setting("health").get("on_failure") == "restart"


def after_boot(c: Container) -> ContainerRestartRequested | None:
    """For a container that had ended before the machine went down: only `always` ignores that a user stopped it."""
    ended = c.status == "exited" and c.exit is not None
    if ended and c.told_to_end and c.setting("restart")["policy"] == "always":
        return ContainerRestartRequested(delay=0)
    return None


def _wants(policy: str, exited: ContainerExited) -> bool:
    if policy in ("always", "unless-stopped"):
        return True
    return policy == "on-failure" and exited.code != 0
