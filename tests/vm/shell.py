"""A shell in the virtual machine, for people: python -m tests.vm.shell DISK."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.vm.engine import PROGRAM, ROOT
from tests.vm.machine import Machine, PowerLost, make_disk, missing


def main(disk: Path) -> None:
    """Each line is run on its own; the end of input cuts the power."""
    if absent := missing():
        sys.exit(absent)
    if not disk.exists():
        make_disk(disk)
    with tempfile.TemporaryDirectory() as base, Machine(Path(base), disk) as machine:
        print(f"Linux {machine.release}, booted in {machine.booted:.1f} s; `mydocker` works on {disk}")
        try:
            for line in sys.stdin:
                done = machine(
                    f"export PATH={PROGRAM.parent}:$PATH MYDOCKER_ROOT={ROOT}; {line}", timeout=3600
                )
                print(f"{done.out}{done.err}[{done.code}]", flush=True)
        except PowerLost:
            print("the machine went off")


main(Path(sys.argv[1]))
