"""`mydocker run`."""

from __future__ import annotations

import os
import sys

from cli.creating import create
from cli.declare import command
from cli.report import echo
from cli.run_options import RunOptions, container_options
from cli.session import Session, pass_session
from cli.starting import attach_request, follow_new, start
from machine import decide
from machine.errors import MachineError
from machine.subjects import Container


@command(interspersed=False)
@container_options
@pass_session
def run(session: Session, options: RunOptions) -> int:
    """Create a container, start it, and relay what it says."""
    at_terminal(options)
    container, lock = create(session, options)
    request = None
    if not options.detach:
        request = attach_request(stdin=options.interactive, tty=options.tty)
    try:
        companion = start(session, container, lock=lock, request=request)
    except (MachineError, OSError):
        forget(session, container)
        raise
    if companion is None:
        raise MachineError(f"{container.name} was started by somebody else")
    if options.detach:
        echo(container.id)
        return 0
    return follow_new(
        session, container, companion, stdin=options.interactive, detach_keys=options.detach_keys
    )


def forget(session: Session, container: Container) -> None:
    """What was refused before anything of it was made (a port is taken, no address is left) leaves no container."""
    engine = session.engine()
    if container.status == "created":
        engine.decide(decide.remove, container.id)
        engine.settle(container.stream)


def at_terminal(options: RunOptions) -> None:
    """Without -i, -t and -d, at a terminal: a terminal inside too, but the container is kept."""
    if options.interactive or options.tty or options.detach:
        return
    if os.isatty(sys.stdin.fileno()) and os.isatty(sys.stdout.fileno()):
        options.remove = options.auto_remove()
        options.interactive = options.tty = True
