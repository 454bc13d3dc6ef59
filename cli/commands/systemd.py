"""`mydocker systemd`."""

from __future__ import annotations

import os
import sys

from cli.declare import command, flag, pass_places, value
from cli.places import Places
from cli.report import echo
from cli.units import DIRECTORY, unit_name, units
from machine.errors import MachineError


class NoProgram(MachineError):
    """It runs, and does not know from where."""

    def __init__(self, tried: list[str]) -> None:
        super().__init__(f"no unit can be written: this program is not found as {' or '.join(tried)}")


@command(needs_root=False)
@flag("install", "--install", help="Write them, instead of printing them.")
@value("directory", "--directory", metavar="DIR", default=DIRECTORY, help=f"Where to ({DIRECTORY}).")
@pass_places
def systemd(places: Places, directory: str, *, install: bool) -> None:
    """Print or install systemd's units that look after this root: at boot, and once a minute."""
    written = units(_program(), places)
    name = unit_name(places.root)
    if not install:
        for file, text in written.items():
            echo(f"# {directory}/{file}\n{text}")
        return
    for file, text in written.items():
        _write(f"{directory}/{file}", text)
        echo(f"{directory}/{file}")
    names = " ".join(
        f"'{name}.{kind}'" if "\\" in name else f"{name}.{kind}" for kind in ("service", "timer")
    )
    echo(f"now: systemctl daemon-reload && systemctl enable --now {names}")


def _program() -> str:
    """As it was called, so that a link that outlives an upgrade stays one. Raises NoProgram."""
    tried = [os.path.abspath(sys.argv[0]), f"{os.path.dirname(sys.executable)}/mydocker"]
    for path in tried:
        if os.path.basename(path) == "mydocker" and os.access(path, os.X_OK):
            return path
    raise NoProgram(tried)


def _write(path: str, text: str) -> None:
    """Whole or not at all; mode 0644."""
    with open(f"{path}.new", "w", encoding="utf-8") as file:
        os.fchmod(file.fileno(), 0o644)
        file.write(text)
    os.rename(f"{path}.new", path)
