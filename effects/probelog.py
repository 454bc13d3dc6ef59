"""The last probes of a container's health check, in `health.json` of its directory. LEAN.

{"run": CLOCK_BOOTTIME ns of the run's start, "ended": the same of the last probe's end, "failures": in a row,
 "log": [{"start": ns, "end": ns, "code": n, "output": text}, ...] oldest first, at most five}
"""

from __future__ import annotations

import os

from eventstore.plainjson import dumps, loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

NAME = "health.json"
KEPT = 5  # probes, as docker keeps them


def read(directory: str, run: int) -> dict[str, Any]:
    """What is there of that run's probes; empty where there is nothing, or nothing whole."""
    try:
        with open(f"{directory}/{NAME}", "rb") as file:
            found = dict(loads(file.read()))
    except (OSError, ValueError):
        return {}
    return found if found.get("run") == run else {}


def write(directory: str, log: dict[str, Any]) -> None:
    """In place of the last one, whole. Not synced, and not worth the monitor's death where the disk is full."""
    path = f"{directory}/{NAME}"
    try:
        with open(f"{path}.new", "wb") as file:
            file.write(dumps(log))
        os.rename(f"{path}.new", path)
    except OSError:
        return
