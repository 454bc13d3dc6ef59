"""The engine inside the virtual machine, as its user and as the host see it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from tests.vm.machine import CHECKOUT, PATIENCE, Done, Machine

PROGRAM = CHECKOUT / ".venv" / "bin" / "mydocker"
ROOT = "/data/root"
# How long the program waits for something to happen, in seconds, before it gives up.
WAITS = "^(ANSWER|WAIT|LOCK_WAIT|_?PATIENCE|GRACE|_DYING|DEADLINE) = [0-9]+[.][0-9]+"


def source(name: str) -> Path:
    """A file of the installed program: what the machine changes in it is only changed there."""
    [found] = (PROGRAM.parent.parent / "lib").glob(f"python3*/site-packages/{name}")
    return found


class Engine:
    """`mydocker` with its root on the machine's disk."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        # Emulated, and maybe on a busy host, it is slower than the program expects of a machine that works.
        files = [file for folder in ("cli", "effects", "eventstore") for file in source(folder).rglob("*.py")]
        wait = " ".join(str(file) for file in files if re.search(WAITS, file.read_text(), re.MULTILINE))
        machine.ok(f"sed -Ei 's/{WAITS}/\\1 = {PATIENCE / 2}/' {wait}")

    def __call__(self, command: str, before: str = "") -> Done:
        """`before`: variables, or other commands for the shell."""
        done = self.machine(f"{before} MYDOCKER_ROOT={ROOT} {PROGRAM} {command}")
        assert "Traceback" not in done.err, f"{command}: {done.err}"
        return done

    def ok(self, command: str) -> str:
        done = self(command)
        assert done.code == 0, f"{command} ended {done.code}: {done.out}{done.err}"
        return done.out

    def containers(self) -> dict[str, dict[str, Any]]:
        """Name -> `inspect`'s document, of all that `ps` lists."""
        ids = self.ok("ps -q --no-trunc").split()
        found = json.loads(self.ok("inspect " + " ".join(ids))) if ids else []
        return {document["Name"]: document for document in found}

    def journal(self) -> dict[str, str]:
        """File name -> text, of every segment."""
        names = self.machine.ok(f"cd {ROOT}/journal && ls 0*.jsonl").split()
        return {name: self.machine.ok(f"cat {ROOT}/journal/{name}") for name in names}
