"""`mydocker start`."""

from __future__ import annotations

import sys

from cli.declare import argument, command, flag
from cli.each import each
from cli.run_options import DETACH_KEYS
from cli.session import Session, pass_session
from cli.starting import attach_request, attach_to, follow_new
from cli.starting import start as start_container
from machine.errors import InvalidValue


@command()
@flag("attach", "-a", "--attach", help="Relay what it says, and end with its code.")
@flag("interactive", "-i", "--interactive", help="Relay our stdin too.")
@DETACH_KEYS
@argument("names", many=True)
@pass_session
def start(
    session: Session, names: tuple[str, ...], detach_keys: bytes, *, attach: bool, interactive: bool
) -> int:
    """Start created or ended containers."""
    if not (attach or interactive):
        each(names, lambda name: start_one(session, name))
        return 0
    if len(names) > 1:
        raise InvalidValue("start", " ".join(names), "only one container can be attached to")
    container = session.touch(names[0])
    stdin = interactive and container.setting("stdin")
    tty = container.setting("tty") and sys.stdin.isatty()
    companion = start_container(session, container, request=attach_request(stdin=stdin, tty=tty))
    if companion is None:
        return attach_to(session, container, stdin=stdin, detach_keys=detach_keys)
    return follow_new(session, container, companion, stdin=stdin, detach_keys=detach_keys)


def start_one(session: Session, name: str) -> None:
    """Start one container in the background."""
    companion = start_container(session, session.touch(name))
    if companion is not None:
        companion.close()
