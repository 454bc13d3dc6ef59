"""`mydocker diff`."""

from __future__ import annotations

import os

from cli.declare import argument, command
from cli.escape import safe
from cli.filesystem import lower
from cli.looking import existing, files_of
from cli.report import echo
from cli.session import Session, pass_session
from effects import rootdir
from effects.changes import changes
from machine.subjects import Container

# What the engine mounts in every container.
MOUNTED = ("/proc", "/dev", "/sys", "/etc/hosts", "/etc/hostname", "/etc/resolv.conf")


@command()
@argument("name")
@pass_session
def diff(session: Session, name: str) -> None:
    """List what a container changed in its image.

    A: added, C: changed, D: deleted. What lies in volumes is not the container's.
    """
    container = existing(session, name, "diff")
    own = mount_points(session, container)
    upper = f"{session.directory(container)}/upper"
    for kind, path in changes(upper, lower(session, container), own):
        echo(f"{kind} {safe(path)}")


def mount_points(session: Session, container: Container) -> list[str]:
    """Where the engine mounts something, by the names that remain when the container's links are followed."""
    typed = [*MOUNTED, *(mount["target"] for key in ("volumes", "tmpfs") for mount in container.setting(key))]
    with files_of(session, container) as view:
        return [place for path in typed for place in (path, *_behind_links(view, path))]


def _behind_links(view: int, path: str) -> list[str]:
    """The path itself in most images; /etc/resolv.conf often leads to /run. None where nothing is there."""
    try:
        handle = rootdir.open_in(view, path)
    except OSError:  # not there, or a link that leads nowhere: then nothing was mounted there either
        return []
    try:
        # The view is mounted nowhere: the kernel names what is in it from its root.
        return [os.readlink(f"/proc/self/fd/{handle}")]
    finally:
        os.close(handle)
