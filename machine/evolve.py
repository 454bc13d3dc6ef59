"""evolve: one recorded event into the world. Pure and total: it never raises on what was recorded.

Legality is checked in `machine.decide` only. An event that the table forbids (an exit noted twice, a
release after the end) changes nothing but is kept in `anomalies`, which `history` and `replay` show.
"""

from __future__ import annotations

from machine.evolve_container import ASKED, CONTAINER
from machine.evolve_effects import EFFECTS, move, take_over
from machine.evolve_network import forget_removed, give_back, network
from machine.home import has_moved, relocate
from machine.resources import ONE_SHOT, VOLATILE
from machine.subjects import Container, Held, Image, Job, Layer, Network, Standing, Subject

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from machine.state import State

GOING = ("removing", "removed")


def evolve(world: State, event: Any) -> None:
    """Fold `event` into `world`, in place."""
    c = world.awake.get(event.s)  # no more than a look-up, for almost all of a journal
    if c is None:
        kind, _, key = event.s.partition("/")
        if kind != "container":
            if kind in FOLDS:
                FOLDS[kind](world, key, event)
            return
        c = world.wake(key)
    c.version = event.v
    fold = EFFECTS.get(event.tag)
    if fold is not None and c.status != "absent":
        fold(c, event)  # four of five events
    else:
        _decided(world, c, event)
    if c.endpoints or c.ports:
        give_back(c)
    if c.status in GOING:
        _forget_removed(world, c, event)


def _decided(world: State, c: Container, event: Any) -> None:
    """What is no effect: somebody decided it, or saw it."""
    name, tag = c.name, event.tag
    fold = CONTAINER.get(tag)
    if fold is None or (c.status == "absent" and tag != "container.created"):
        c.anomalies.append(event.n)
        return
    fold(c, event)
    if tag in ASKED:
        c.asked = {"op": event.op, "by": event.by, "why": event.why}
    if (c.name != name or tag == "container.created") and c.status not in GOING:
        _name(world, c, name)


def _forget_removed(world: State, c: Container, event: Any) -> None:
    """A name is free from the decision to remove on; the container goes once it leaves nothing behind."""
    if world.names.get(c.name) == c.id:
        del world.names[c.name]
    if c.status == "removing" and not c.held and c.pending is None:
        move(c, "forget", event)
    if c.status == "removed" and not c.leftovers:
        world.forget(c)


def _name(world: State, c: Container, before: str) -> None:
    if world.names.get(before) == c.id:
        del world.names[before]
    world.names[c.name] = c.id


# --- layers, images, jobs, the host ----------------------------------------------------------------


def _layer(world: State, key: str, event: Any) -> None:
    layer = world.layers.get(key)
    if layer is None:
        layer = world.layers[key] = Layer(key)
    layer.version = event.v
    if event.tag == "layer.published":
        layer.status = "published"
        layer.pending = None  # an undoing that a crash cut short must not go on: the bytes are new
        take_over(layer, "layer", key)
        layer.size, layer.entries, layer.path = event.size, event.entries, event.path
        if layer.holding("layer") is None:
            row = Held(event.n, "layer", key, {"path": event.path})
            row.done = True
            layer.held.append(row)
    elif event.tag == "layer.remove_requested" and layer.status == "published":
        layer.status = "removing"
    elif event.tag in EFFECTS and layer.status != "absent":
        EFFECTS[event.tag](layer, event)
    else:
        layer.anomalies.append(event.n)
    if layer.status == "removing" and not layer.held:
        layer.status = "removed"


def _image(world: State, key: str, event: Any) -> None:
    image = world.images.get(key)
    if image is None:
        image = world.images[key] = Image(key)
    image.version = event.v
    if event.tag == "image.published":
        image.status = "published"
        image.layers, image.source, image.created = event.layers, event.source, event.ts
    elif event.tag == "image.removed":
        image.status, image.layers = "removed", []


def _job(world: State, key: str, event: Any) -> None:
    job = world.jobs.get(key)
    if job is None:
        job = world.jobs[key] = Job(key)
    job.version = event.v
    if event.tag == "job.started" and job.status == "absent":
        job.status = "working"
        job.kind, job.about, job.target, job.staging = event.kind, event.subject, event.target, event.staging
    elif event.tag == "job.publishing" and job.status == "working":
        job.publishing = {"path": event.path, "inode": event.inode, "image": event.image}
    elif event.tag == "job.finished" and job.status == "working":
        job.status = "done"
    elif event.tag == "job.abandoned" and job.status == "working":
        job.status = "abandoned"
    elif event.tag in EFFECTS and job.status != "absent":
        EFFECTS[event.tag](job, event)
    else:
        job.anomalies.append(event.n)
    if job.status in ("done", "abandoned") and not job.held and not job.leftovers:
        del world.jobs[key]


def _journal(world: State, _key: str, event: Any) -> None:
    world.journal = event.v


def _host(world: State, _key: str, event: Any) -> None:
    host = world.host
    host.version = event.v
    if event.tag in EFFECTS:
        EFFECTS[event.tag](host, event)
    elif event.tag == "host.run_dir_changed":
        _change_run_dir(world, event.run)
    if event.tag != "host.booted":
        return
    moved = has_moved(host, event)
    if host.boot != event.boot or moved:
        host.boots += host.boot != event.boot
        for subject in list(world.subjects()):
            _forget_volatile(subject)
            if isinstance(subject, Container):
                give_back(subject)
                if subject.status in GOING:
                    _forget_removed(world, subject, event)
            elif isinstance(subject, Network):
                forget_removed(world, subject)
    if moved and host.path and event.path:
        relocate(world, host.path, event.path)
    host.boot, host.machine = event.boot, event.machine
    host.root, host.path, host.spaces = event.root, event.path, event.spaces
    host.id = event.id
    _change_run_dir(world, event.run)


def _change_run_dir(world: State, run: str) -> None:
    """Name servers read their names there; all else that would lie there is of what lives, which nothing does."""
    if world.host.run != run:
        world.host.run = run
        for net in world.networks.values():
            for row in net.held:
                row.stale = row.stale or row.kind == "dns"


def _forget_volatile(subject: Subject) -> None:
    """What died with the kernel is not held any more, and needs no undoing."""
    subject.held = [row for row in subject.held if row.kind not in VOLATILE]
    subject.leftovers = [row for row in subject.leftovers if row.kind not in VOLATILE]
    if subject.pending is not None and (subject.pending[1] in VOLATILE or subject.pending[1] in ONE_SHOT):
        subject.pending = None
    if isinstance(subject, Container):
        subject.restart_due = 0  # by the last boot's clock
        subject.monitor = None
        subject.signals = []
        subject.changed = []
    elif isinstance(subject, Standing):
        subject.error = None


# By the first word of the stream.
FOLDS: dict[str, Callable[[State, str, Any], None]] = {
    "job": _job,
    "layer": _layer,
    "image": _image,
    "network": network,
    "host": _host,
    "journal": _journal,
}
