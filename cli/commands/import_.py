"""`mydocker import`."""

from __future__ import annotations

import os
import sys

from cli import images
from cli.declare import Misused, argument, command
from cli.report import echo
from cli.session import Session, pass_session
from effects import layers


@command()
@argument("file")
@argument("name", required=False)
@pass_session
def import_(session: Session, file: str, name: str | None) -> None:
    """Make an image of a tar: FILE, or - for standard input; named NAME, or after the file."""
    if file == "-":
        if name is None:
            raise Misused("an image from standard input needs a NAME")
        session.engine()
        image = images.import_stream(session, sys.stdin.fileno(), name, {"path": "-"})
    else:
        fd = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
        try:
            stat = os.fstat(fd)
            path = os.path.abspath(file)
            chosen = name or os.path.basename(path).removesuffix(".gz").removesuffix(".tar")
            session.engine()
            source = layers.source_of(path, stat)
            image = images.import_stream(session, fd, chosen, source, total=stat.st_size)
        finally:
            os.close(fd)
    echo(image.layers[0])
