"""`mydocker cp`."""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack

from cli.declare import argument, command, flag
from cli.filesystem import root_of
from cli.jobs import Work
from cli.session import Session, pass_session
from effects import copying, failpoints, jail
from machine import decide, parse
from machine.errors import InvalidValue, MachineError
from machine.subjects import Container

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


@command()
@flag("archive", "-a", "--archive", help="Keep owners and rights.")
@flag("follow", "-L", "--follow-link", help="Copy what a link at SRC points to.")
@argument("src")
@argument("dst")
@pass_session
def cp(session: Session, src: str, dst: str, *, archive: bool, follow: bool) -> None:
    """Copy files between a container and the host: NAME:PATH one side, a path or - (a tar) the other."""
    (source_name, source), (target_name, target) = parse.location(src, "SRC"), parse.location(dst, "DST")
    if bool(source_name) == bool(target_name):
        raise InvalidValue("cp", f"{src} {dst}", "exactly one side must be NAME:PATH")
    container = session.touch(source_name or target_name)
    decide.check(container, "cp")
    about = f"{src} -> {dst}"
    with Work(session, "cp", container.name, about) as work, ExitStack() as stack:
        failpoints.step("copy")
        root, path = _where(
            stack, session, container, source if source_name else target, writing=not source_name
        )
        if source_name:
            _out(root, path, target, archive=archive, follow=follow)
        else:
            _in(root, path, source, archive=archive, follow=follow)
        work.finish(about)


def _where(
    stack: ExitStack, session: Session, container: Container, path: str, *, writing: bool
) -> tuple[int, str]:
    """(a root descriptor, the path below it). A stopped container's volumes are not mounted: go to the source."""
    if container.process_identity is None:
        for volume in container.setting("volumes"):
            below = _below(volume["target"], path)
            if below is not None:
                if writing and volume["ro"]:
                    raise MachineError(f"cannot copy to {path}: {volume['target']} is a read-only volume")
                fd = os.open(volume["source"], os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
                stack.callback(os.close, fd)
                return fd, below
    return stack.enter_context(root_of(session, container, writing=writing)), path


def _below(target: str, path: str) -> str | None:
    """`path` seen from the volume's own root; None where it is not in the volume."""
    full = os.path.normpath("/" + path)
    if full != target and not full.startswith(target + "/"):
        return None
    return full[len(target) :] + ("/" if path.endswith("/") else "") or "/"


def _out(root: int, path: str, target: str, *, archive: bool, follow: bool) -> None:
    if target == "-":
        if sys.stdout.isatty():
            raise MachineError("refusing to write a tar to a terminal [redirect it]")
        copying.copy_out(root, path, sys.stdout.fileno(), follow=follow)
        return
    if os.path.exists(target) and not (os.path.isfile(target) or os.path.isdir(target)):
        # What is copied takes the place of what is there: of /dev/null too.
        raise MachineError(f"cannot copy to {target}: it is neither a file nor a directory")
    _piped(
        lambda fd: copying.copy_out(root, path, fd, follow=follow),
        lambda fd: copying.extract_to_host(fd, target, keep_rights=archive),
        keep=(root,),
    )


def _in(root: int, path: str, source: str, *, archive: bool, follow: bool) -> None:
    if source == "-":
        copying.copy_in(root, path, sys.stdin.fileno(), into=True, keep_owner=archive)
        return
    _piped(
        lambda fd: copying.pack_host(source, fd, follow=follow),
        lambda fd: copying.copy_in(root, path, fd, keep_owner=archive),
        keep=(),
    )


def _piped(write: Callable[[int], Any], read: Callable[[int], Any], *, keep: tuple[int, ...]) -> None:
    """Both at once: a child writes what we read. Of two failures the first cause is told.

    The writer's, where it failed by itself: a stream cut short is what the reader then complains of.
    """
    reading, writing = os.pipe2(os.O_CLOEXEC)

    def produce() -> None:
        write(writing)

    producer = jail.Child(produce, label="read the source", keep=(writing, *keep))
    os.close(writing)
    failed: OSError | None = None
    try:
        read(reading)
    except OSError as error:
        failed = error
    os.close(reading)  # a writer that is still at it hears of it
    try:
        producer.wait()
    except BrokenPipeError as error:
        raise (failed or error) from None
    if failed is not None:
        raise failed
