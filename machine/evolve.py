"""evolve: one recorded event into the world. Pure and total: it never raises on what was recorded.

Legality is checked in `machine.decide` only. An event that the table forbids (an exit noted twice, a
release after the end) changes nothing but is kept in `anomalies`, which `history` and `replay` show.
"""

from __future__ import annotations

from machine.resources import ONE_SHOT, VOLATILE
from machine.table import TABLE
from machine.world import Container, Held, Host, Image, Job, Layer, Subject, World

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

LIVE = frozenset({"starting", "running", "paused", "stopping"})


def evolve(world: World, event: Any) -> None:
    """Fold `event` into `world`, in place."""
    kind, _, key = event.s.partition("/")
    if kind == "container":
        _container(world, key, event)
    elif kind == "job":
        _job(world, key, event)
    elif kind == "layer":
        _layer(world, key, event)
    elif kind == "image":
        _image(world, key, event)
    elif kind == "host":
        _host(world, event)


def _container(world: World, key: str, event: Any) -> None:
    c = world.containers.get(key)
    if c is None:
        c = world.containers[key] = Container(key)
    c.version = event.v
    fold = CONTAINER.get(event.tag)
    if fold is None:
        c.anomalies.append(event.n)
        return
    fold(c, event)
    if event.tag == "container.created" or event.tag == "container.renamed":
        _name(world, c)
    if c.status == "removing" and not c.held and c.pending is None:
        move(c, "forget", event)
    if c.status in ("removing", "removed") and world.names.get(c.name) == c.id:
        del world.names[c.name]  # the name is free from the decision on
    if c.status == "removed" and not c.leftovers:
        del world.containers[key]


def _name(world: World, c: Container) -> None:
    for name in [name for name, owner in world.names.items() if owner == c.id]:
        del world.names[name]
    world.names[c.name] = c.id


def move(c: Subject, trigger: str, event: Any) -> bool:
    """Take the table's step; False and an anomaly where there is none."""
    status = TABLE.get(trigger, {}).get(c.status)
    if status is None:
        c.anomalies.append(event.n)
        return False
    c.status = status
    return True


# --- decisions about a container -------------------------------------------------------------------


def _created(c: Container, e: Any) -> None:
    if not move(c, "create", e):
        return
    c.name, c.image, c.layers, c.command = e.name, e.image, e.layers, e.command
    c.process, c.env_keys, c.settings = e.process, e.env_keys, dict(e.settings)
    c.created = e.ts


def _start(c: Container, e: Any) -> None:
    if move(c, "start", e):
        c.exit = c.error = None
        c.signals = []
        c.stop_deadline = 0
        c.stopped_by_user = False
        c.started, c.started_up, c.finished = e.ts, e.up, 0


def _monitored(c: Container, e: Any) -> None:
    c.monitor = {"pid": e.pid, "start": e.start, "boot": e.boot}


def _stop(c: Container, e: Any) -> None:
    was = c.status
    if not move(c, "stop", e):
        return
    c.stopped_by_user = True
    if was != "restarting":
        c.signals.append([e.n, e.signal])
        c.stop_deadline = e.up + e.timeout if e.timeout >= 0 else 0


def _kill(c: Container, e: Any) -> None:
    if move(c, "kill", e):
        c.signals.append([e.n, e.signal])
        c.stop_deadline = 0 if e.signal == 9 else c.stop_deadline  # noqa: PLR2004 - SIGKILL


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


def _remove(c: Container, e: Any) -> None:
    if move(c, "rm_force" if c.status in LIVE else "rm", e):
        _no_signals(c)


def _no_signals(c: Container) -> None:
    c.signals = []
    if c.pending is not None and c.pending[1] in ONE_SHOT:
        c.pending = None


def _renamed(c: Container, e: Any) -> None:
    c.name = e.name


def _updated(c: Container, e: Any) -> None:
    c.settings.update(e.settings)
    if "limits" in e.settings and c.holding("cgroup") is not None and "cgroup" not in c.changed:
        c.changed.append("cgroup")


def _exec_started(c: Container, e: Any) -> None:
    c.execs[e.exec] = e.command


def _exec_exited(c: Container, e: Any) -> None:
    c.execs.pop(e.exec, None)


# --- effects, on any subject -----------------------------------------------------------------------


def _do(c: Subject, e: Any) -> None:
    c.pending = ["do", e.kind, e.key]
    if e.kind in ONE_SHOT:
        return
    row = _row(c.held, e.kind, e.key)
    if row is None:
        c.held.append(Held(e.n, e.kind, e.key, e.spec))
    else:
        row.spec = e.spec


def _undo(c: Subject, e: Any) -> None:
    if _row(c.held, e.kind, e.key) is None and _row(c.leftovers, e.kind, e.key) is None:
        c.anomalies.append(e.n)
        return
    c.pending = ["undo", e.kind, e.key]


def _change(c: Subject, e: Any) -> None:
    row = _row(c.held, e.kind, e.key)
    if row is None:
        c.anomalies.append(e.n)
        return
    row.spec = e.spec
    c.pending = ["change", e.kind, e.key]
    if isinstance(c, Container) and e.kind in c.changed:
        c.changed.remove(e.kind)


def _done(c: Subject, e: Any) -> None:
    c.pending = None
    if e.verb == "undo":
        _drop(c, e.kind, e.key)
        return
    if e.kind in ONE_SHOT:
        _consume(c, e.key)
        return
    row = _row(c.held, e.kind, e.key)
    if row is None:
        c.anomalies.append(e.n)
        return
    row.done = True
    row.facts = e.facts if e.verb == "do" else {**row.facts, **e.facts}
    if e.verb == "do" and e.kind == "directory" and c.status == "creating":
        move(c, "ready", e)
    elif e.verb == "do" and e.kind == "release" and c.status in ("starting", "stopping"):
        move(c, "released", e)


def _failed(c: Subject, e: Any) -> None:
    c.pending = None
    if e.kind in ONE_SHOT:
        _consume(c, e.key)
    elif e.verb == "undo":
        row = _row(c.held, e.kind, e.key)
        if row is not None:
            c.held.remove(row)
            c.leftovers.append(row)
    elif e.verb == "do" and isinstance(c, Container):
        _do_failed(c, e)


def _do_failed(c: Container, e: Any) -> None:
    c.error = {"kind": e.kind, "errno": e.errno, "step": e.step, "message": e.message}
    if e.kind == "frozen":  # it could not be paused: it runs on
        move(c, "unpause", e)
    elif c.status in TABLE["fail"]:
        move(c, "fail", e)


def _lost(c: Subject, e: Any) -> None:
    c.pending = None if c.pending is not None and c.pending[1:] == [e.kind, e.key] else c.pending
    _drop(c, e.kind, e.key)


def _row(rows: list[Held], kind: str, key: str) -> Held | None:
    for row in rows:
        if row.kind == kind and row.key == key:
            return row
    return None


def _drop(c: Subject, kind: str, key: str) -> None:
    c.held = [row for row in c.held if (row.kind, row.key) != (kind, key)]
    c.leftovers = [row for row in c.leftovers if (row.kind, row.key) != (kind, key)]


def _consume(c: Subject, key: str) -> None:
    if isinstance(c, Container):
        c.signals = [pair for pair in c.signals if str(pair[0]) != key]


EFFECTS: dict[str, Callable[[Any, Any], None]] = {
    "effect.do": _do,
    "effect.undo": _undo,
    "effect.change": _change,
    "effect.done": _done,
    "effect.failed": _failed,
    "effect.lost": _lost,
}
CONTAINER: dict[str, Callable[[Any, Any], None]] = {
    **EFFECTS,
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
    "exec.started": _exec_started,
    "exec.exited": _exec_exited,
}


# --- layers, images, jobs, the host ----------------------------------------------------------------


def _layer(world: World, key: str, event: Any) -> None:
    layer = world.layers.get(key)
    if layer is None:
        layer = world.layers[key] = Layer(key)
    layer.version = event.v
    if event.tag == "layer.published":
        layer.status = "published"
        layer.size, layer.entries, layer.path = event.size, event.entries, event.path
        if layer.holding("layer") is None:
            row = Held(event.n, "layer", key, {"path": event.path})
            row.done = True
            layer.held.append(row)
    elif event.tag == "layer.remove_requested":
        layer.status = "removing"
    elif event.tag in EFFECTS:
        EFFECTS[event.tag](layer, event)
    else:
        layer.anomalies.append(event.n)
    if layer.status == "removing" and not layer.held:
        layer.status = "removed"


def _image(world: World, key: str, event: Any) -> None:
    image = world.images.get(key)
    if image is None:
        image = world.images[key] = Image(key)
    image.version = event.v
    if event.tag == "image.published":
        image.status = "published"
        image.layers, image.source, image.created = event.layers, event.source, event.ts
    elif event.tag == "image.removed":
        image.status, image.layers = "removed", []


def _job(world: World, key: str, event: Any) -> None:
    job = world.jobs.get(key)
    if job is None:
        job = world.jobs[key] = Job(key)
    job.version = event.v
    if event.tag == "job.started":
        job.status = "working"
        job.kind, job.about, job.target, job.staging = event.kind, event.subject, event.target, event.staging
    elif event.tag == "job.finished":
        job.status = "done"
    elif event.tag == "job.abandoned":
        job.status = "abandoned"
    elif event.tag in EFFECTS:
        EFFECTS[event.tag](job, event)
    if job.status in ("done", "abandoned") and not job.held and not job.leftovers:
        del world.jobs[key]


def _host(world: World, event: Any) -> None:
    host: Host = world.host
    host.version = event.v
    if event.tag != "host.booted":
        return
    if host.boot != event.boot:
        host.boots += 1
        for subject in world.subjects():
            _forget_volatile(subject)
    host.boot, host.machine = event.boot, event.machine


def _forget_volatile(subject: Subject) -> None:
    """What died with the kernel is not held any more, and needs no undoing."""
    subject.held = [row for row in subject.held if row.kind not in VOLATILE]
    subject.leftovers = [row for row in subject.leftovers if row.kind not in VOLATILE]
    if subject.pending is not None and (subject.pending[1] in VOLATILE or subject.pending[1] in ONE_SHOT):
        subject.pending = None
    if isinstance(subject, Container):
        subject.monitor = None
        subject.signals = []
        subject.changed = []
