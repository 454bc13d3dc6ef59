"""From the name a user types to layers on disk: an image, ROOT/NAME.tar, a path, or the embedded default."""

from __future__ import annotations

import os
import stat
import sys

from cli.report import line_of
from cli.session import Session
from effects import failpoints, layers
from eventstore.segments import sync_directory
from machine import decide_store, parse
from machine.errors import BrokenImage, ImageInUse, NoSuchImage
from machine.events import ImagePublished, LayerPublished
from machine.subjects import Image

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from cli.progress import Progress
    from effects import archive

DEFAULT_IMAGE = "busybox"


def resolve(session: Session, reference: str) -> Image:
    """The image, extracted. Imports ROOT/NAME.tar, or the tar at a path, where it is new or has changed.

    Raises NoSuchImage, InvalidValue, OSError for a broken archive.
    """
    if "/" in reference:
        return _from_tar(
            session, os.path.abspath(reference), os.path.basename(reference).removesuffix(".tar")
        )
    tar = f"{session.root}/{reference}.tar"
    if os.path.lexists(tar):
        return _from_tar(session, tar, reference)
    image = session.world.images.get(reference)
    if image is not None and image.status == "published" and image.layers:
        return image
    if reference == DEFAULT_IMAGE:
        return _embedded(session)
    raise NoSuchImage(reference, tar)


def config(session: Session, image: Image) -> dict[str, Any]:
    """What the image's uppermost layer says of how to run it."""
    return layers.config(f"{session.root}/layers/{image.layers[0]}")


def import_stream(
    session: Session, fd: int, name: str, source: dict[str, int | str], *, total: int = 0
) -> Image:
    """Extract a tar stream into a layer and publish it under `name`. Whole or not at all."""
    parse.name(name, "image name")
    if stat.S_ISDIR(os.fstat(fd).st_mode):
        raise BrokenImage(name, "it is a directory, not a tar")
    from cli.jobs import Work
    from cli.progress import Progress

    with Work(session, "import", str(source.get("path", "-")), name) as work:
        failpoints.step("unpack the tar")
        os.mkdir(f"{work.staging}/fs", 0o755)
        with Progress(f"importing {name}", total) as progress:
            unpacked = _unpacked(fd, name, f"{work.staging}/fs", progress)
        lock = session.locks.wait(unpacked.digest, 60)
        try:
            failpoints.step("publish the layer")
            path = layers.publish(work.staging, f"{session.root}/layers", unpacked.digest, unpacked.config)
            layer = LayerPublished(
                digest=unpacked.digest, size=unpacked.size, entries=unpacked.entries, path=path
            )
            image = ImagePublished(name=name, layers=[unpacked.digest], source=source)
            work.finish(unpacked.digest, decide_store.publish_image(session.world, layer, image))
        finally:
            os.close(lock)
    return session.world.images[name]


def _unpacked(fd: int, name: str, target: str, progress: Progress) -> archive.Unpacked:
    from effects import archive

    try:
        return archive.unpack(fd, target, progress=progress.update)
    except archive.ArchiveError as error:
        raise BrokenImage(name, line_of(error)) from error


def _from_tar(session: Session, path: str, name: str) -> Image:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        raise NoSuchImage(name, path) from None
    try:
        found = os.fstat(fd)
        source = layers.source_of(path, found)
        image = session.world.images.get(name)
        if image is not None and image.status == "published" and image.layers and image.source == source:
            return image
        session.engine()
        return import_stream(session, fd, name, source, total=found.st_size)
    finally:
        os.close(fd)


def _embedded(session: Session) -> Image:
    """The default image, made from the host's static busybox."""
    from cli.jobs import Work
    from effects import busybox

    program = busybox.find()
    print(f"mydocker: no image {DEFAULT_IMAGE} yet: making it from {program}", file=sys.stderr)  # noqa: T201 - said so
    session.engine()
    with Work(session, "build", program, DEFAULT_IMAGE) as work:
        tar = f"{work.staging}/{DEFAULT_IMAGE}.tar"
        fd = os.open(tar, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            busybox.build(fd, program)
            os.fsync(fd)
        finally:
            os.close(fd)
        work.publish(tar, f"{session.root}/{DEFAULT_IMAGE}.tar")
    return _from_tar(session, f"{session.root}/{DEFAULT_IMAGE}.tar", DEFAULT_IMAGE)


def remove_image(session: Session, name: str, *, force: bool) -> None:
    """Remove one image. NoSuchImage; ImageInUse while containers stand on it."""
    engine = session.engine()
    tar = f"{session.root}/{name}.tar"
    image = engine.world.images.get(name)
    known = image is not None and image.status == "published"
    has_tar = "/" not in name and os.path.isfile(tar)
    if not known and not has_tar:
        raise NoSuchImage(name, tar)
    users = [c.name for c in engine.world.containers.values() if c.image == name and c.status != "removed"]
    if users and not force:
        raise ImageInUse(name, users)
    # The tar first: without it the journal still tells of the image; the other way round it would come back.
    failpoints.step("remove ROOT/IMAGE.tar")
    if has_tar:
        os.unlink(tar)
        sync_directory(session.root)
    if known:
        for event in engine.decide(decide_store.remove_image, name, force=force):
            if event.s.startswith("layer/"):
                session.settler().mend(event.s, why="user")


def tars(root: str) -> dict[str, os.stat_result]:
    """The files ROOT/NAME.tar, by NAME."""
    try:
        names = [name for name in os.listdir(root) if name.endswith(".tar") and not name.startswith(".")]
    except FileNotFoundError:
        return {}
    found = {}
    for name in names:
        try:
            file = os.stat(f"{root}/{name}")
        except OSError:
            continue  # removed meanwhile, or a link that leads nowhere
        if stat.S_ISREG(file.st_mode):
            found[name.removesuffix(".tar")] = file
    return found
