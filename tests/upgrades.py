"""Versions of the program, side by side or one in the other's place: the tree as it is, and one with a later journal."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from tests.system.conftest import HERE, PROGRAM

FOLDERS = ("cli", "effects", "eventstore", "machine")

# What a later version might do to a journal: a higher number, and an event that is not known today.
LATER_NUMBER = (
    "machine/events.py",
    "SCHEMA = Schema(1, EVENTS, ",
    "SCHEMA = Schema(2, EVENTS, (lambda line: line,), ",
)
LATER_EVENT = (
    ("machine/events.py", "EVENTS: tuple[type[Event], ...] = (", "{0}\n    ContainerSighted,"),
    (
        "machine/events.py",
        "EVENTS: tuple",
        'class ContainerSighted(Event, tag="container.sighted"):\n    whence: str\n\n\n{0}',
    ),
    ("machine/evolve_container.py", '    "exec.started": _exec_started,', '    "container.sighted": lambda c, e: None,\n{0}'),
    (
        "machine/decide.py",
        '    check(c, "stop")\n',
        '{0}    sighted = (c.stream, ev.ContainerSighted(whence="afar"))\n',
    ),
    ("machine/decide.py", "    return [(c.stream, chosen)]\n\n\ndef overdue", "    return [sighted, (c.stream, chosen)]\n\n\ndef overdue"),
)  # fmt: skip


class Version:
    """A program in `place`. `put` is an installation over whatever is there: new files for the old ones."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.program = place / "mydocker"

    def put(self, *patches: tuple[str, str, str]) -> None:
        """The tree as it is, with (file, what to replace, by what) of some; {0} is what was there."""
        self.place.mkdir(exist_ok=True)
        for folder in FOLDERS:
            new = self.place / f"{folder}.new"
            shutil.copytree(HERE / folder, new, ignore=shutil.ignore_patterns("__pycache__"))
            for file, before, after in patches:
                if file.startswith(f"{folder}/"):
                    _patch(new / file.partition("/")[2], before, after.replace("{0}", before))
            shutil.rmtree(self.place / folder, ignore_errors=True)
            new.rename(self.place / folder)
        python = Path(PROGRAM).parent / "python"
        start = f"import sys\nsys.path.insert(0, {str(self.place)!r})\nfrom cli.entry import main\nmain()\n"
        self.program.write_text(f"#!{python if python.exists() else sys.executable} -IXutf8\n{start}")
        self.program.chmod(0o755)

    def remove(self) -> None:
        """As `rm -r` of a virtual environment."""
        shutil.rmtree(self.place)


def _patch(file: Path, before: str, after: str) -> None:
    text = file.read_text()
    assert text.count(before) == 1, f"{file} has {text.count(before)} times {before!r}"
    file.write_text(text.replace(before, after))


def code_of(pid: int) -> str:
    """Where the code of a monitor lies: its bootstrap has the place among its arguments."""
    words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    return next(os.fsdecode(word) for word in words if word.startswith(b"/") and b"bin" not in word)
