"""`mydocker attach`."""

from __future__ import annotations

from cli.declare import argument, command, flag
from cli.run_options import DETACH_KEYS
from cli.session import Session, pass_session
from cli.starting import attach_to
from machine import decide
from machine.resources import LIVE


@command()
@flag("no_stdin", "--no-stdin", help="Do not relay our stdin.")
@DETACH_KEYS
@argument("name")
@pass_session
def attach(session: Session, name: str, detach_keys: bytes, *, no_stdin: bool) -> int:
    """Join a running container's terminal or output."""
    container = session.touch(name)
    if container.status not in LIVE:
        decide.check(container, "attach")
    stdin = container.setting("stdin") and not no_stdin
    return attach_to(session, container, stdin=stdin, detach_keys=detach_keys)
