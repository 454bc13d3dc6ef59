"""All subjects by id: the state that events are folded into."""

from __future__ import annotations

from machine.subjects import Container, Host, Image, Job, Layer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, Self

    from machine.subjects import Subject


class State:
    """Everything the journal tells, by id; names point to ids.

    Removed containers and ended jobs are forgotten, unless they left something behind (`leftovers`).
    """

    def __init__(self) -> None:
        self.containers: dict[str, Container] = {}
        self.layers: dict[str, Layer] = {}
        self.images: dict[str, Image] = {}
        self.jobs: dict[str, Job] = {}
        self.names: dict[str, str] = {}
        self.host = Host()
        self.journal = 0  # version of the journal's own stream

    def subject(self, stream: str) -> Subject | None:
        """The subject of a stream, where it still has one."""
        kind, _, key = stream.partition("/")
        if kind == "container":
            return self.containers.get(key)
        if kind == "layer":
            return self.layers.get(key)
        return self.jobs.get(key) if kind == "job" else None

    def subjects(self) -> Iterator[Subject]:
        """All that may hold resources."""
        yield from self.containers.values()
        yield from self.jobs.values()
        yield from self.layers.values()

    def dump(self) -> dict[str, Any]:
        """The whole state as JSON values, for a snapshot."""
        return {
            "containers": [c.dump() for c in self.containers.values()],
            "layers": [layer.dump() for layer in self.layers.values()],
            "images": [image.dump() for image in self.images.values()],
            "jobs": [job.dump() for job in self.jobs.values()],
            "host": self.host.dump(),
            "journal": self.journal,
        }

    @classmethod
    def load(cls, state: dict[str, Any]) -> Self:
        """The state that `dump` described; missing parts are empty."""
        world = cls()
        for container in map(Container.load, state.get("containers", ())):
            world.containers[container.id] = container
            if container.status not in ("absent", "removing", "removed"):
                world.names[container.name] = container.id
        world.layers = {layer.digest: layer for layer in map(Layer.load, state.get("layers", ()))}
        world.images = {image.name: image for image in map(Image.load, state.get("images", ()))}
        world.jobs = {job.id: job for job in map(Job.load, state.get("jobs", ()))}
        if "host" in state:
            world.host = Host.load(state["host"])
        world.journal = state.get("journal", 0)
        return world

    def version(self, stream: str) -> int:
        """How many events the stream has had."""
        kind, _, key = stream.partition("/")
        if kind == "image":
            image = self.images.get(key)
            return image.version if image is not None else 0
        if kind == "host":
            return self.host.version
        if kind == "journal":
            return self.journal
        subject = self.subject(stream)
        return subject.version if subject is not None else 0
