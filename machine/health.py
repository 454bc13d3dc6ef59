"""When a container's health is probed, and what its probes come to. Docker's rules; pure. LEAN.

A check is `settings["health"]`: interval, timeout, start_period, start_interval (ns), retries, on_failure; empty
where there is none. The command that it runs may hold secrets, so it lies in the container's process file.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

STARTING, HEALTHY, UNHEALTHY = "starting", "healthy", "unhealthy"
ACTIONS = ("none", "kill", "restart", "stop")  # what follows from becoming unhealthy, as podman has them
CAUSE = "health check"
NO_CODE = -1  # of a probe that did not end in time, or could not be run
_SECOND = 1_000_000_000

DEFAULTS: dict[str, Any] = {
    "interval": 30 * _SECOND,
    "timeout": 30 * _SECOND,
    "start_period": 0,
    "start_interval": 5 * _SECOND,
    "retries": 3,
    "on_failure": "none",
}


class Pulse:
    """One run's probes so far: the status that they have come to, and how many have failed in a row.

    `started`: CLOCK_BOOTTIME ns of the run's start; so are all moments here.
    """

    def __init__(self, check: dict[str, Any], started: int, status: str, failures: int = 0) -> None:
        self.check, self.status, self.failures = {**DEFAULTS, **check}, status, failures
        self._grace_ends = started + self.check["start_period"]

    def next_after(self, now: int) -> int:
        """When the next probe is to begin, after a start or a probe that ended `now`."""
        wait: int = self.check["start_interval" if self._in_grace(now) else "interval"]
        return now + wait

    def note(self, began: int, code: int) -> str:
        """The status after a probe that began then and ended with `code`; all but 0 are failures.

        A failure while the container is still allowed to start does not count.
        """
        if code == 0:
            self.status, self.failures = HEALTHY, 0
        elif not self._in_grace(began):
            self.failures += 1
            if self.failures >= self.check["retries"]:
                self.status = UNHEALTHY
        return self.status

    def _in_grace(self, moment: int) -> bool:
        return self.status == STARTING and moment < self._grace_ends
