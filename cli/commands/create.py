"""`mydocker create`."""

from __future__ import annotations

import os

from cli.creating import create as create_container
from cli.declare import command
from cli.report import echo
from cli.run_options import RunOptions, container_options
from cli.session import Session, pass_session


@command(interspersed=False)
@container_options
@pass_session
def create(session: Session, options: RunOptions) -> None:
    """Create a container without starting it, and print its id."""
    container, lock = create_container(session, options)
    os.close(lock)
    echo(container.id)
