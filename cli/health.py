"""The health check of one container, for its monitor's loop: probes it, and notes what that comes to. LEAN.

The timer is the monitor's own, so none outlives the container; a new monitor takes it up where the last one was. Only a
change of status is an event; the last probes lie in the container's directory (`effects.probelog`).
"""

from __future__ import annotations

import time

from cli import early, joining
from effects import probelog, process_file
from effects.probe import NO_CODE, Probe, sweep
from eventstore.errors import JournalError
from machine.decide_health import note_health
from machine.health import CAUSE, Pulse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from effects.host import Host
    from machine.engine import Engine
    from machine.subjects import Container

_SECOND = 1_000_000_000


class Checks:
    """`act`: makes the engine's next events the monitor's own. All moments are CLOCK_BOOTTIME ns."""

    def __init__(self, engine: Engine, container: Container, host: Host, act: Callable[[], None]) -> None:
        self._engine, self._container, self._host, self._act = engine, container, host, act
        self._directory = engine.places.container(container.id)
        path = f"{self._directory}/{container.process}"
        with open(path, "rb") as file:
            content = file.read()
        self._argv, self._env = (
            process_file.decode_health(content, path),
            process_file.decode(content, path)[1],
        )
        self._run = -1  # the start of the run that `_pulse` is of
        self._pulse = Pulse(container.setting("health"), 0, container.health)
        self._log: list[dict[str, Any]] = []
        self._next = 0
        self._probe: Probe | None = None
        self._began = self._began_wall = self._deadline = 0
        self._was_still = False
        self._told = False  # what the running probe came to: it was too late

    def fds(self) -> list[int]:
        """Descriptors to poll for reading."""
        return self._probe.fds() if self._probe is not None else []

    def serve(self, fd: int) -> bool:
        """One is ready; False if it is none of ours."""
        if self._probe is None or fd not in self._probe.fds():
            return False
        self._probe.serve(fd)
        return True

    def due(self, *, still: bool) -> int:
        """When `tick` has something to do by itself; 0: never. `still`: the container is frozen."""
        if self._container.status != "running" or still:
            return 0
        if self._probe is None:
            return self._next if self._is_begun() else 1
        return 0 if self._told else self._deadline

    def tick(self, now: int, *, still: bool) -> None:
        """Begin, end and note what is due. A frozen container is not probed, and its time does not count."""
        if self._probe is not None and self._probe.over:
            self._conclude(now)
        if self._was_still and not still:
            self._deadline = now + self._timeout
        self._was_still = still
        if self._container.status != "running" or still:
            return
        if not self._is_begun():
            self._begin_run(now)
        if self._probe is None:
            if now >= self._next:
                self._begin_probe(now)
        elif now >= self._deadline and not self._told:
            self._told = True
            self._probe.kill()
            self._note(now, NO_CODE, f"not ended within {self._timeout / _SECOND:g} s: {self._probe.output}")

    def end(self) -> None:
        """Its first process has ended, and every other one with it."""
        if self._probe is not None:
            self._probe.close()
            self._probe = None

    @property
    def _timeout(self) -> int:
        return int(self._pulse.check["timeout"])

    def _is_begun(self) -> bool:
        return self._run == self._container.started_up

    # --- a run ---------------------------------------------------------------------------------------

    def _begin_run(self, now: int) -> None:
        """Of a container that has just started, or of one whose last monitor died."""
        c = self._container
        self._run = c.started_up
        found = probelog.read(self._directory, self._run)
        self._log = found.get("log", [])
        self._pulse = Pulse(c.setting("health"), c.started_up, c.health, found.get("failures", 0))
        self._next = self._pulse.next_after(found.get("ended", now))
        if c.cgroup is not None:
            sweep(self._host, c.cgroup)  # a dead monitor's probe

    # --- a probe -------------------------------------------------------------------------------------

    def _begin_probe(self, now: int) -> None:
        c = self._container
        if c.cgroup is None:  # lost, and not made anew yet: a probe has nowhere to be born
            self._next = self._pulse.next_after(now)
            return
        self._began, self._began_wall, self._told = now, time.time_ns(), False
        self._deadline = now + self._timeout
        container = {"identity": c.process_identity, "id": c.id, "cgroup": c.cgroup}
        config = joining.stage_config(c, self._argv, self._env)
        try:
            companion = early.Companion("effects.joiner")
            self._probe = Probe(self._host, container, config, companion.connection, companion.pid)
        except OSError as error:
            self._note(now, NO_CODE, f"cannot be run: {error.strerror or error}")

    def _conclude(self, now: int) -> None:
        """A probe has ended: note what it came to, unless that was too late."""
        probe, cgroup = self._probe, self._container.cgroup
        assert probe is not None
        if self._told and cgroup is not None:
            sweep(self._host, cgroup)  # what it forked while it was being killed
        probe.close()
        self._probe = None
        if not self._told and self._container.status == "running":
            self._note(now, probe.code, probe.output)
        self._next = self._pulse.next_after(now)

    def _note(self, now: int, code: int, output: str) -> None:
        self._pulse.note(self._began, code)
        self._next = self._pulse.next_after(now)
        probed = {"start": self._began_wall, "end": time.time_ns(), "code": code, "output": output}
        self._log = [*self._log, probed][-probelog.KEPT :]
        probelog.write(
            self._directory,
            {"run": self._run, "ended": now, "failures": self._pulse.failures, "log": self._log},
        )
        if self._pulse.status != self._container.health:
            self._decide(code)

    def _decide(self, code: int) -> None:
        self._act()
        status, failures = self._pulse.status, self._pulse.failures
        try:
            self._engine.decide(
                note_health, self._container.id, status, failures=failures, code=code, why=CAUSE
            )
        except (JournalError, OSError):
            return  # a full disk: the next probe comes to the same
        self._engine.settle(self._container.stream, why=CAUSE)
