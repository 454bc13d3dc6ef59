"""`mydocker commit`."""

from __future__ import annotations

import os
from contextlib import ExitStack

from cli.declare import argument, command, flag
from cli.filesystem import at_rest
from cli.jobs import Work
from cli.progress import Progress
from cli.session import Session, pass_session
from effects import archive, failpoints, process_file
from machine import decide, parse
from machine.subjects import Container

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


@command()
@flag("volumes", "-volumes", "--volumes", default=True, help="With what is in its volumes; =false: without.")
@flag("exclude_volumes", "--exclude-volumes", help="Without what is in its volumes.")
@argument("name")
@argument("image")
@pass_session
def commit(session: Session, name: str, image: str, *, volumes: bool, exclude_volumes: bool) -> None:
    """Write a container's file system as an image, ROOT/IMAGE.tar; it is held still meanwhile."""
    container = session.touch(name)
    decide.check(container, "commit")
    parse.name(image, "image name")
    with Work(session, "commit", container.name, image) as work:
        tar = f"{work.staging}/{image}.tar"
        failpoints.step("write the tar")
        _write(session, container, tar, with_volumes=volumes and not exclude_volumes)
        work.publish(tar, f"{session.root}/{image}.tar", image)


def _write(session: Session, container: Container, path: str, *, with_volumes: bool) -> None:
    with ExitStack() as stack:
        out = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        stack.callback(os.close, out)
        view = stack.enter_context(at_rest(session, container))
        grafts = _volumes(stack, container) if with_volumes else []
        progress = stack.enter_context(Progress(f"committing {container.name}", 0))
        config = _config(session, container)
        archive.pack(view, out, grafts=grafts, config=config, progress=progress.update)
        os.fsync(out)


def _volumes(stack: ExitStack, container: Container) -> list[tuple[str, int]]:
    """What lies at each volume's target: the host's own directory or file."""
    grafts = []
    for volume in container.setting("volumes"):
        fd = os.open(volume["source"], os.O_RDONLY | os.O_CLOEXEC)
        stack.callback(os.close, fd)
        grafts.append((volume["target"], fd))
    return grafts


def _config(session: Session, container: Container) -> dict[str, Any]:
    path = f"{session.directory(container)}/{container.process}"
    with open(path, "rb") as file:
        content = file.read()
    argv, env = process_file.decode(content, path)
    exposed = [f"{one['port']}/{one['protocol']}" for one in container.setting("exposed")]
    check = {"argv": process_file.decode_health(content, path), **container.setting("health")}
    return {
        **({"health": check} if check["argv"] else {}),
        **({"exposed": exposed} if exposed else {}),
        "cmd": argv,
        "env": env,
        "workdir": container.setting("cwd"),
        "user": container.setting("user"),
        "labels": container.setting("labels"),
    }
