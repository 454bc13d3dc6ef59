"""decide, for what lies in the store: images and their layers, and the jobs that make them. Pure."""

from __future__ import annotations

from machine import events as ev
from machine.errors import ImageInUse, NoSuchImage
from machine.world import World

TYPE_CHECKING = False
if TYPE_CHECKING:
    from machine.decide import Decision


def begin_job(_world: World, started: ev.JobStarted) -> Decision:
    return [(f"job/{started.id}", started)]


def finish_job(world: World, job_id: str, result: str, published: Decision | None = None) -> Decision:
    """The job's work and its end are one fact: `published` is appended with it."""
    job = world.jobs.get(job_id)
    assert job is not None, "only a job that was begun is finished"
    return [*(published or []), (job.stream, ev.JobFinished(result=result))]


def abandon_job(world: World, job_id: str, reason: str) -> Decision:
    job = world.jobs.get(job_id)
    if job is None or job.status != "working":
        return []
    return [(job.stream, ev.JobAbandoned(reason=reason))]


def publish_image(world: World, layer: ev.LayerPublished | None, image: ev.ImagePublished) -> Decision:
    """An image, and its layer where that is new."""
    decision: Decision = []
    if layer is not None:
        known = world.layers.get(layer.digest)
        if known is None or known.status != "published":
            decision.append((f"layer/{layer.digest}", layer))
    decision.append((f"image/{image.name}", image))
    return decision


def remove_image(world: World, name: str, *, force: bool = False) -> Decision:
    """Drop the name, and every layer that nothing else stands on. ImageInUse while containers do."""
    image = world.images.get(name)
    if image is None or image.status != "published":
        raise NoSuchImage(name, "a removed one")
    users = [c.name for c in world.containers.values() if c.image == name and c.status != "removed"]
    if users and not force:
        raise ImageInUse(name, users)
    decision: Decision = [(f"image/{name}", ev.ImageRemoved(name=name))]
    return decision + unused_layers(world, without=name)


def unused_layers(world: World, *, without: str = "") -> Decision:
    """The removal of every published layer that neither an image (but `without`) nor a container needs."""
    needed = {digest for c in world.containers.values() for digest in c.layers}
    for image in world.images.values():
        if image.name != without and image.status == "published":
            needed.update(image.layers)
    return [
        (layer.stream, ev.LayerRemoveRequested())
        for layer in world.layers.values()
        if layer.status == "published" and layer.digest not in needed
    ]
