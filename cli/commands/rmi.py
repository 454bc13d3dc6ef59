"""`mydocker rmi`."""

from __future__ import annotations

from cli.declare import argument, command, flag
from cli.each import each
from cli.images import remove_image
from cli.session import Session, pass_session


@command()
@flag("force", "-f", "--force", help="Even while containers stand on it; they keep their layers.")
@argument("names", many=True)
@pass_session
def rmi(session: Session, names: tuple[str, ...], *, force: bool) -> None:
    """Remove images: the name, ROOT/NAME.tar, and the layers that nothing else needs."""
    each(names, lambda name: remove_image(session, name, force=force))
