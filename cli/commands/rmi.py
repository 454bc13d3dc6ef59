"""`mydocker rmi`."""

from __future__ import annotations

import os

from cli.declare import argument, command, flag
from cli.session import Session, each, pass_session
from effects import failpoints, layers
from machine import decide
from machine.errors import ImageInUse, NoSuchImage


@command()
@flag("force", "-f", "--force", help="Even while containers stand on it; they keep their layers.")
@argument("names", many=True)
@pass_session
def rmi(session: Session, names: tuple[str, ...], *, force: bool) -> None:
    """Remove images: the name, ROOT/NAME.tar, and the layers that nothing else needs."""
    each(names, lambda name: remove_image(session, name, force=force))


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
    failpoints.step()
    if has_tar:
        os.unlink(tar)
        layers.sync_directory(session.root)
    if known:
        for event in engine.decide(decide.remove_image, name, force=force):
            if event.s.startswith("layer/"):
                session.settler().mend(event.s, why="user")
