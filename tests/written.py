"""Histories that are written into a real journal, and what commands say about them; no kernel object is made."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from cli.bootstrap import machine_id
from cli.main import main
from effects.identity import boot_id
from eventstore.event import Event
from eventstore.journal import Journal
from machine import decide, decide_host
from machine.events import SCHEMA
from tests.histories import History, container_id, created, here
from tests.inmates import Inmate

PROGRAM = "import sys; from cli.main import flush, main; sys.exit(flush(main(sys.argv[1:])))"
ALICE: dict[str, int | str] = {"uid": 0, "login": 1234567, "pid": 4711, "cmd": "run --name=c1 busybox sh"}


class Written(History):
    """A history in the journal of `root`; this very boot has been noted."""

    def __init__(self, base: Path) -> None:
        self.root, self.run = str(base / "root"), str(base / "run")
        self.by, self.why = ALICE, "user"
        self.journal = Journal.open_or_create(f"{self.root}/journal", SCHEMA)
        super().__init__()
        self.journal.refresh(self.world)
        self.decide(decide_host.note_boot, here(boot_id(), machine_id(), run=self.run))

    def note(self, stream: str, event: Event) -> Event:
        with self.journal.transaction(self.world, by=self.by, why=self.why, op="0badcafe") as tx:
            tx.append(stream, event, sync=False)
        self.events.append(event)
        return event

    def born(self, name: str, digit: str, **settings: Any) -> str:
        """A container in status `created`; its id."""
        self.decide(decide.create, created(name, digit, **settings))
        self.settle(f"container/{container_id(digit)}")
        return container_id(digit)

    def removed(self, name: str) -> None:
        """Asked to go, and gone."""
        stream = f"container/{self.world.names[name]}"
        self.decide(decide.remove, name, force=True)
        self.settle(stream)

    def words(self, *args: str) -> list[str]:
        """What runs a command on this root in a process of its own."""
        return [sys.executable, "-c", PROGRAM, "--root", self.root, "--run-dir", self.run, *args]

    def mydocker(self, capfd: pytest.CaptureFixture[str], *args: str) -> tuple[int, list[str], str]:
        """(exit code, lines of stdout, stderr) of a command on this root."""
        capfd.readouterr()
        code = main(["--root", self.root, "--run-dir", self.run, *args])
        out, err = capfd.readouterr()
        return code, out.splitlines(), err

    def lives(self, name: str, digit: str, held: Inmate, **settings: Any) -> str:
        """A running container whose first process and cgroup are the inmate's; its id."""
        container_id = self.born(name, digit, **settings)
        facts = {"cgroup": held.cgroup, "init": {**held.identity, "mounts": []}}
        self.decide(decide.start, name)
        self.settle(f"container/{container_id}", lambda step: facts.get(step.kind, {}))
        assert self.world.containers[container_id].status == "running"
        return container_id
