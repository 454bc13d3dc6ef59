"""Real containers that a real journal tells of, made without a monitor: their files are what is looked at."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from effects.identity import boot_id
from effects.newborn import Newborn
from machine import decide
from machine import events as ev
from tests.births import Box, make_image
from tests.histories import container_id, created
from tests.written import Written

DIGEST = "f" * 64


class Boxed:
    """The container `c1` of `past`, on an image of busybox."""

    def __init__(self, past: Written, **settings: Any) -> None:
        self.past, self.settings = past, settings
        self.layer = Path(past.root, "layers", DIGEST, "fs")
        if not self.layer.exists():
            make_image(self.layer)
            published = ev.LayerPublished(digest=DIGEST, size=1, entries=1, path=str(self.layer.parent))
            past.note(f"layer/{DIGEST}", published)
        born = created("c1", "a", **settings)
        born.layers = [DIGEST]
        past.decide(decide.create, born)
        past.settle(self.stream)
        self.place = Path(past.root, "containers", container_id("a"))
        self.box = Box(self.place, self.layer)
        self._born: Newborn | None = None

    @property
    def stream(self) -> str:
        return f"container/{container_id('a')}"

    @property
    def upper(self) -> Path:
        return self.place / "upper"

    def start(self, script: str) -> None:
        """Its shell has run the script, which must not end, up to the line "ready" on its stdout."""
        wanted = {key: self.settings[key] for key in ("volumes", "tmpfs") if key in self.settings}
        self._born = self.box.start("/bin/sh", "-c", script, **wanted)
        self.box.wait_output("ready\n")
        init = {
            "pid": self._born.pid,
            "start": self._born.start,
            "boot": boot_id(),
            "mounts": self.box.mounts,
        }
        facts = {"init": init, "cgroup": {"leaf": "none", "at": {}, "cgroup2": ""}}
        self.past.decide(decide.start, "c1")
        self.past.settle(self.stream, lambda step: facts.get(step.kind, {}))

    def stop(self) -> None:
        """It is killed, and that is noted."""
        assert self._born is not None
        self._born.abandon()
        self._born = None
        self.past.decide(decide.note_exit, container_id("a"), code=137, signal=9, reason="signal")
        self.past.settle(self.stream)

    def close(self) -> None:
        self.box.close()


@contextmanager
def boxed(past: Written, **settings: Any) -> Iterator[Boxed]:
    """Nothing of it runs afterwards."""
    made = Boxed(past, **settings)
    try:
        yield made
    finally:
        made.close()


def mounts() -> list[str]:
    """What the host has mounted."""
    with open("/proc/self/mountinfo") as file:
        return file.readlines()
