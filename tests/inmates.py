"""A program in a real cgroup of its own, in every hierarchy, as a container's first process is; no container around it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from effects import cgroup_tree, identity
from effects.cgroup import Cgroup
from effects.linux import LinuxHost
from tests import cgroups

ENTER = 'for file in $JOIN; do echo 0 > "$file"; done; echo in; exec "$@"'


class Inmate:
    """process: the program, with pipes for stdin and stdout;  cgroup: the facts of its cgroup;  identity: whose it is."""

    def __init__(self, cgroup: dict[str, Any], argv: list[str]) -> None:
        self.cgroup = cgroup
        self.places = cgroup_tree.places(cgroup)
        joins = [
            *self.places["joins"],
            f"{self.places['cgroup2']}/cgroup.procs" if self.places["cgroup2"] else "",
        ]
        self.process = subprocess.Popen(
            ["/bin/sh", "-c", ENTER, "sh", *argv],
            env={"PATH": os.environ["PATH"], "JOIN": " ".join(joins)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self.identity: identity.Identity = {"pid": 0, "start": 0, "boot": ""}

    def enter(self) -> None:
        """Return once it is in its cgroups; its exec may still be to come."""
        self.wait_for(b"in\n")
        found = identity.identity(self.process.pid)
        assert found is not None
        self.identity = found

    @property
    def pid(self) -> int:
        return self.process.pid

    def wait_for(self, line: bytes) -> None:
        """The program has written this line."""
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == line

    def say(self, line: bytes) -> None:
        """One line to its stdin."""
        assert self.process.stdin is not None
        self.process.stdin.write(line)
        self.process.stdin.flush()

    def end(self) -> None:
        """Killed and reaped. Its children may hold its pipes still: they end with the cgroup."""
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()


@contextmanager
def inmate(*argv: str, **limits: Any) -> Iterator[Inmate]:
    """The program runs; afterwards nothing of it is left."""
    host, handler = LinuxHost(), Cgroup()
    root_id = os.urandom(4).hex()
    cgroups.note(root_id)
    spec = {
        "parent": f"mydocker-{root_id}",
        "name": os.urandom(32).hex(),
        "limits": limits,
        "privileged": True,
    }
    cgroup = handler.do(spec, host)
    try:
        held = Inmate(cgroup, list(argv))
        try:
            held.enter()
            yield held
        finally:
            held.end()
    finally:
        handler.undo(spec, cgroup, host)
