"""`mydocker export`."""

from __future__ import annotations

import os
from contextlib import contextmanager

from cli.declare import argument, command, value
from cli.filesystem import LOCK_WAIT
from cli.jobs import Work
from cli.looking import existing, files_of, is_live
from cli.progress import Progress
from cli.session import Session, pass_session
from effects import archive, failpoints
from effects.replacing import replacing
from machine.errors import MachineError
from machine.subjects import Container

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

STDOUT = 1


class RemovedMeanwhile(MachineError):
    """What was written is not all of it."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"cannot export {name}: it was removed meanwhile")


@command()
@value(
    "output", "-o", "--output", metavar="FILE", help="Write to FILE, which appears whole, instead of stdout."
)
@argument("name")
@pass_session
def export(session: Session, name: str, output: str | None) -> None:
    """Write a container's file system as a tar.

    What is mounted in it is left out: of volumes, /proc and the like only the empty directory is written.
    """
    to_stdout = output in (None, "-")
    if to_stdout and os.isatty(STDOUT):
        raise MachineError("refusing to write a tar to a terminal [use -o FILE, or redirect it]")
    session.touch(name)
    container = existing(session, name, "export")
    with Work(session, "export", container.name, output or "-") as work:
        failpoints.step("write the tar")
        if output is None or to_stdout:
            result = _write(session, container, STDOUT)
        else:
            with replacing(output) as out:
                result = _write(session, container, out)
        work.finish(result)


def _write(session: Session, container: Container, out: int) -> str:
    with (
        _held(session, container),
        files_of(session, container) as view,
        Progress(f"exporting {container.name}", 0) as progress,
    ):
        packed = archive.pack(view, out, progress=progress.update)
        # A removal takes the whole directory away first, and then what is in it: the tar would be of half a tree.
        if not os.path.isdir(session.directory(container)):
            raise RemovedMeanwhile(container.name)
    return f"{packed.entries} entries, {packed.size} bytes"


@contextmanager
def _held(session: Session, container: Container) -> Iterator[None]:
    """One that does not run is not started meanwhile, nor removed; one that runs is left alone, as docker does."""
    if is_live(container):
        yield
        return
    lock = session.locks.wait(container.id, LOCK_WAIT)
    try:
        session.engine().refresh()
        existing(session, container.id, "export")
        yield
    finally:
        os.close(lock)
