"""What `system prune` takes away, and how: by the same decisions as `rm` and `rmi`, under the same locks."""

from __future__ import annotations

import os

from cli import archiving, orphans
from cli.disk import ENDED, Disk
from cli.images import remove_image
from cli.report import line_of, say
from cli.session import Session
from cli.travel import Moment
from eventstore.errors import JournalError, JournalMissing
from machine import decide, decide_store, leases
from machine.errors import ImageInUse, MachineError
from machine.settings import SHORT
from machine.subjects import Container, Image

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from machine.world import World


class Doomed:
    """All that would go, and how many bytes would come back. `until`: only what was created before, ns; None: all."""

    def __init__(self, session: Session, *, images: bool, until: int | None) -> None:
        self._disk = disk = Disk(session)
        self._until = until
        world = session.world
        self.containers = [c for c in world.containers.values() if c.status in ENDED and self._is_old(c)]
        self.containers = [c for c in self.containers if not session.locks.is_held(c.id)]
        self.containers.sort(key=lambda c: leases.joined(world, c.id), reverse=True)
        going = {c.id for c in self.containers}
        self.images: list[Image] = []
        if images:
            free = (i for i in disk.images() if not any(c.id not in going for c in disk.users(i)))
            self.images = [image for image in free if self._is_old(image)]
        self.layers = self._unneeded(going)
        self.strays = orphans.find(session) if until is None else []
        self.archived_before = self._limit(session)

    def _limit(self, session: Session) -> int:
        """The number of an event: sealed segments of the journal that end before it are packed away."""
        try:
            return archiving.limit(
                session.root, None if self._until is None else Moment("", ts=self._until - 1)
            )
        except JournalMissing:
            return 0

    def _is_old(self, what: Container | Image) -> bool:
        return self._until is None or what.created < self._until

    def _unneeded(self, going: set[str]) -> list[str]:
        """Layers that nothing stands on once those containers and images are gone."""
        world = self._disk.world
        names = {image.name for image in self.images}
        needed = {d for c in world.containers.values() if c.id not in going for d in c.layers}
        needed |= {d for i in self._disk.images() if i.name not in names for d in i.layers}
        return [digest for digest in self._disk.layers() if digest not in needed]

    def size(self) -> int:
        """Bytes that would come back."""
        disk = self._disk
        return sum((
            *(disk.files(c) + disk.log(c) for c in self.containers),
            *(disk.tar(image.name) for image in self.images),
            *map(disk.layer, self.layers),
            *(disk.taken(path.removeprefix(f"{disk.root}/")) for path in self.strays),
        ))  # fmt: skip


class Pruning:
    """Carries it out. `failed`: something could not be removed, which is told where it happens."""

    def __init__(self, session: Session, doomed: Doomed) -> None:
        self.session, self.doomed = session, doomed
        self.failed = False
        self.removed: dict[str, list[str]] = {}
        self.archived: list[str] = []  # segments of the journal
        self.saved = 0  # bytes by that

    def run(self) -> None:
        """Containers first: they stand on images, and images on layers. The journal last: packing needs some room."""
        self.session.engine()
        self._each("Containers", [c.id for c in self.doomed.containers], self._container)
        self._each("Images", [image.name for image in self.doomed.images], self._image)
        self._each("Layers", self._layers(), self._layer)
        if self.doomed.strays:
            removed, stuck = orphans.remove(self.session, why="user")
            self.removed["Strays"] = removed
            self.failed = self.failed or bool(stuck)
        self._archive()

    def _archive(self) -> None:
        """Nothing is lost by it: every command reads an archived segment as any other."""
        try:
            for one in archiving.pack(self.session, self.doomed.archived_before):
                self.archived.append(one.segment)
                self.saved += one.size - one.packed
        except (JournalError, MachineError, OSError) as error:
            say(f"cannot archive the journal: {line_of(error)}")
            self.failed = True

    def _each(self, title: str, names: Iterable[str], remove: Callable[[str], bool]) -> None:
        done = self.removed.setdefault(title, [])
        for name in names:
            try:
                if remove(name):
                    done.append(name)
            except (MachineError, OSError) as error:
                say(f"cannot remove {name}: {line_of(error)}")
                self.failed = True

    def _container(self, container_id: str) -> bool:
        """False where somebody has come to need it meanwhile: it is being started, say."""
        engine = self.session.engine()
        lock = self.session.locks.take(container_id)
        if lock is None:
            return False
        try:
            container = engine.refresh().containers.get(container_id)
            if container is None or container.status not in ENDED:
                return False
            engine.decide(decide.remove, container_id)
            left = engine.settle(container.stream)
        finally:
            os.close(lock)
        if left is not None and left.leftovers:
            raise StillThere(container.name)
        return True

    def _image(self, name: str) -> bool:
        try:
            remove_image(self.session, name, force=False)
        except ImageInUse:
            return False
        return True

    def _layers(self) -> list[str]:
        """Those that no image had any more; an image's own went with it."""
        unused = self.session.engine().decide(_unused, self.doomed.layers)
        return [event.s.partition("/")[2] for event in unused]

    def _layer(self, digest: str) -> bool:
        self.session.settler().mend(f"layer/{digest}", why="user")
        layer = self.session.engine().world.layers[digest]
        if layer.leftovers:
            raise StillThere(f"layer {digest[:SHORT]}")
        return True


class StillThere(MachineError):
    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"part of {name} stays behind [mydocker replay tries again]")


def _unused(world: World, among: list[str]) -> decide.Decision:
    """The removal of those of these layers that nothing stands on."""
    return [(s, event) for s, event in decide_store.unused_layers(world) if s.partition("/")[2] in among]
