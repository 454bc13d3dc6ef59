"""`mydocker version`."""

from __future__ import annotations

import os
import sys

from cli import __version__
from cli.declare import command, value
from cli.document import show
from machine.events import SCHEMA


@command(needs_root=False)
@value("form", "-f", "--format", metavar="FORM", help="json, or a template such as {{.Version}}.")
def version(form: str | None) -> None:
    """Print the versions of mydocker and of what it stands on."""
    kernel = os.uname()
    show(
        {
            "Version": __version__,
            "JournalSchema": SCHEMA.number,
            "Python": sys.version.partition(" ")[0],
            "Kernel": f"{kernel.sysname} {kernel.release}",
            "Machine": kernel.machine,
        },
        form,
    )
