"""How each decision about a container changes it."""

from __future__ import annotations

from machine import health, restarts
from machine.evolve_effects import EFFECTS, move
from machine.evolve_network import CONNECTIONS, lease, renamed
from machine.resources import HOLDS, LIVE, ONE_SHOT
from machine.settings import SIGKILL

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from machine.subjects import Container


OVERDUE = "stop deadline"


def _created(c: Container, e: Any) -> None:
    if not move(c, "create", e):
        return
    c.name, c.image, c.layers, c.command = e.name, e.image, e.layers, e.command
    c.process, c.env_keys, c.settings = e.process, e.env_keys, dict(e.settings)
    c.created = e.ts
    model, _, target = str(c.setting("network")).partition(":")
    c.joins = target if model == "container" else ""
    c.note_requests()


def _start(c: Container, e: Any) -> None:
    before, again = HOLDS.get(c.status, ()), c.status == "restarting"
    if move(c, "start", e):
        if not again:
            c.restarts = c.backoff = 0
        c.restart_due = 0
        c.told_to_end = False
        # The last run's exit is recorded, its undoing may not be: nothing of it may pass for this run's.
        for row in c.held:
            row.stale = row.kind not in before
        c.changed = []
        c.exit = c.error = None
        c.signals = []
        c.stop_deadline = 0
        c.stopped_by_user = c.ended_by_check = False
        c.health = health.STARTING if c.setting("health") else ""
        c.started, c.started_up, c.finished = e.ts, e.up, 0
        lease(c, e)
        c.netns = e.netns


def _monitored(c: Container, e: Any) -> None:
    c.monitor = {"pid": e.pid, "start": e.start, "boot": e.boot}


def _stop(c: Container, e: Any) -> None:
    was = c.status
    if not move(c, "stop", e):
        return
    if e.why == health.CAUSE:
        c.ended_by_check = True
        c.told_to_end = c.told_to_end or not restarts.for_health(c)
    else:
        c.stopped_by_user = c.told_to_end = True
    if was != "restarting":
        c.signals.append([e.n, e.signal])
        c.stop_deadline = e.up + e.timeout if e.timeout >= 0 else 0


def _kill(c: Container, e: Any) -> None:
    if move(c, "kill", e):
        c.signals.append([e.n, e.signal])
        c.stop_deadline = 0 if e.signal == SIGKILL else c.stop_deadline
        if e.why == health.CAUSE:
            c.ended_by_check = True  # a failure like any other: its restart policy has the word
        elif e.why != OVERDUE:  # that kill is the stop's, which has told already
            c.told_to_end = c.told_to_end or e.signal in (SIGKILL, c.setting("stop_signal"))


def _pause(c: Container, e: Any) -> None:
    move(c, "pause", e)


def _unpause(c: Container, e: Any) -> None:
    move(c, "unpause", e)


def _exited(c: Container, e: Any) -> None:
    if not move(c, "exit", e):
        return
    c.exit = {"code": e.code, "signal": e.signal, "reason": e.reason, "ts": e.ts}
    c.finished = e.ts
    c.stop_deadline = 0
    c.execs = {}
    _no_signals(c)


def _restart(c: Container, e: Any) -> None:
    if move(c, "restart", e):
        c.restarts += 1
        c.backoff, c.restart_due = e.delay, e.up + e.delay
        if e.endpoints:
            lease(c, e)


def _remove(c: Container, e: Any) -> None:
    if move(c, "rm_force" if c.status in LIVE else "rm", e):
        _no_signals(c)


def _no_signals(c: Container) -> None:
    c.signals = []
    if c.pending is not None and c.pending[1] in ONE_SHOT:
        c.pending = None


def _renamed(c: Container, e: Any) -> None:
    if move(c, "rename", e):
        renamed(c, e.name)
        c.name = e.name


def _updated(c: Container, e: Any) -> None:
    if not move(c, "update", e):
        return
    c.settings.update(e.settings)
    if "limits" in e.settings and c.holding("cgroup") is not None and "cgroup" not in c.changed:
        c.changed.append("cgroup")


def _health_changed(c: Container, e: Any) -> None:
    if c.status in LIVE and c.health:
        c.health = e.health
    else:
        c.anomalies.append(e.n)


def _exec_started(c: Container, e: Any) -> None:
    if move(c, "exec", e):
        c.execs[e.exec] = e.command


def _exec_exited(c: Container, e: Any) -> None:
    c.execs.pop(e.exec, None)


CONTAINER: dict[str, Callable[[Any, Any], None]] = {
    **EFFECTS,
    **CONNECTIONS,
    "container.created": _created,
    "container.start_requested": _start,
    "container.monitored": _monitored,
    "container.stop_requested": _stop,
    "container.kill_requested": _kill,
    "container.pause_requested": _pause,
    "container.unpause_requested": _unpause,
    "container.exited": _exited,
    "container.restart_requested": _restart,
    "container.remove_requested": _remove,
    "container.renamed": _renamed,
    "container.updated": _updated,
    "container.health_changed": _health_changed,
    "exec.started": _exec_started,
    "exec.exited": _exec_exited,
}

# Decisions that somebody took, on whose behalf the container is settled afterwards.
ASKED = frozenset(
    tag
    for tag in CONTAINER
    if tag.startswith("container.")
    and tag not in ("container.exited", "container.monitored", "container.health_changed")
)
