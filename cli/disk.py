"""What of the disk is whose, and what of it could be had back: for `system df` and `system prune`."""

from __future__ import annotations

from contextlib import suppress

from cli import archiving, orphans
from cli.images import tars
from cli.session import Session
from effects.sizes import taken
from eventstore.errors import JournalMissing
from machine.projections import visible
from machine.resources import WATCHED
from machine.subjects import Container, Image

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

ENDED = ("created", "exited", "failed")  # statuses of containers that `system prune` removes


class Portion:
    """A row of `df`: how many there are and in use, bytes taken, bytes that could be had back."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.total = self.active = self.size = self.reclaimable = 0

    def add(self, size: int, *, active: bool) -> None:
        """One more of them."""
        self.total += 1
        self.active += active
        self.size += size
        self.reclaimable += 0 if active else size


class Disk:
    """The sizes of one root's things, each measured once, when first asked for."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.root, self.world = session.root, session.world
        self._taken: dict[str, int] = {}

    def taken(self, path: str) -> int:
        """Bytes at a path below ROOT."""
        if path not in self._taken:
            self._taken[path] = taken(f"{self.root}/{path}")
        return self._taken[path]

    def images(self) -> list[Image]:
        """Those that the journal tells of."""
        return [image for image in self.world.images.values() if image.status == "published"]

    def users(self, image: Image) -> list[Container]:
        """The containers that were made from it."""
        return [c for c in self.world.containers.values() if c.image == image.name and c.status != "removed"]

    def layers(self) -> list[str]:
        """Digests of the extracted layers."""
        return [layer.digest for layer in self.world.layers.values() if layer.status == "published"]

    def layer(self, digest: str) -> int:
        """Bytes of an extracted layer."""
        return self.taken(f"layers/{digest}")

    def tar(self, name: str) -> int:
        """Bytes of ROOT/NAME.tar; 0 where there is none."""
        return self.taken(f"{name}.tar")

    def log(self, container: Container) -> int:
        """Bytes of what it said."""
        return self.taken(f"containers/{container.id}/log")

    def files(self, container: Container) -> int:
        """Bytes of what it wrote, and of what it needs beside."""
        return self.taken(f"containers/{container.id}") - self.log(container)

    def needed(self) -> set[str]:
        """Digests of layers that a container or an image that has containers stands on."""
        digests = {digest for c in self.world.containers.values() for digest in c.layers}
        return digests | {digest for image in self.images() if self.users(image) for digest in image.layers}

    def portions(self) -> list[Portion]:
        """The rows of `df`, in its order."""
        strays = Portion("Strays")
        for path in orphans.find(self.session):
            strays.add(taken(path), active=False)
        return [
            self._images(),
            self._layers(),
            self._of_containers("Containers", self.files),
            self._of_containers("Logs", self.log),
            self._journal(),
            strays,
        ]

    def _journal(self) -> Portion:
        """Nothing of it is ever removed, but sealed segments can be packed."""
        portion = Portion("Journal")
        portion.add(self.taken("journal"), active=True)
        with suppress(JournalMissing):
            portion.reclaimable = archiving.saved(self.root, archiving.limit(self.root, None))
        return portion

    def _images(self) -> Portion:
        """As files: ROOT/NAME.tar. One that nobody has run yet belongs to who put it there."""
        portion = Portion("Images")
        known = {image.name: image for image in self.images()}
        for name in sorted({*known, *tars(self.root)}):
            portion.add(self.tar(name), active=name not in known or bool(self.users(known[name])))
        return portion

    def _layers(self) -> Portion:
        portion, needed = Portion("Layers"), self.needed()
        for digest in self.layers():
            portion.add(self.layer(digest), active=digest in needed)
        return portion

    def _of_containers(self, name: str, size: Callable[[Container], int]) -> Portion:
        portion = Portion(name)
        for container in visible(self.world):
            portion.add(size(container), active=container.status in WATCHED)
        return portion
