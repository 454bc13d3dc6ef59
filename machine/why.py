"""Why a container is as it is, in a few plain sentences. Pure: how times and people are named comes in."""

from __future__ import annotations

from itertools import pairwise

from machine.endings import Endings
from machine.health import CAUSE
from machine.resources import DISK, LIVE
from machine.restarts import POLICY
from machine.settings import SHORT
from machine.story import THINGS, sentence
from machine.words import code_words, duration, errno_words, failed_times, times

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from machine.life import Life

_SAYS_MONITOR = "root_link"  # it leads through the monitor, so it is lost with it


def explain(life: Life, when: Callable[[int], str], who: Callable[[dict[str, Any]], str]) -> list[str]:
    """How the container came to its present state; nothing where it never was."""
    c = life.container
    return Teller(life, when, who).sentences() if c is not None and c.status != "absent" else []


class Teller(Endings):
    """All the parts, each some sentences or none."""

    def sentences(self) -> list[str]:
        """What to know first, first; each a paragraph of one or two sentences."""
        parts = (
            self.present,
            self.health,
            self.end,
            self.asked,
            self.failure,
            self.policy,
            self.removal,
            self.takeovers,
            self.losses,
            self.leftovers,
            self.origin,
            self.anomalies,
        )
        return [text for part in parts for text in part()]

    # --- what it is ----------------------------------------------------------------------------------

    def present(self) -> list[str]:
        """Where it is."""
        c = self.c
        said = {
            "creating": "is being created: its directory is not on disk yet",
            "created": "was created and has not been started",
            "starting": f"is being started{self.since(self.life.start)}",
            "running": f"runs{self.since(self.life.start)}{self._process()}",
            "paused": f"is paused: {self.by(self.life.pause)} froze its processes{self.at(self.life.pause)}",
            "stopping": "was asked to stop and has not ended yet",
            "exited": "is stopped" if c.stopped_by_user else "has ended",
            "restarting": f"has ended, and its {self._restarter()} is about to start it again",
            "failed": "could not be started",
            "removing": "is being removed: its name is free, what it held is being undone",
            "removed": "is removed",
        }
        return [f"{c.name} ({c.id[:SHORT]}) {said.get(c.status, c.status)}."]

    def _process(self) -> str:
        process = self.c.process_identity
        return f", as process {process['pid']}" if process is not None else ""

    def health(self) -> list[str]:
        """What its health check has come to, while it lives."""
        e, c = self.life.health, self.c
        if not c.health or not self.life.is_live:
            return []
        if e is None:
            return ["Its health check has not passed yet."]
        if not e.failures:
            return [f"Its health check passes{self.since(e)}."]
        return [f"It counts as unhealthy{self.since(e)}: its health check had failed {failed_times(e)}."]

    # --- what failed ---------------------------------------------------------------------------------

    def failure(self) -> list[str]:
        """Why its last start, creation or change of limits failed."""
        said = [
            f"At {self.when(e.ts)} it {sentence(e)}.{self._wanted_by(e)}"
            for e in self.life.failures
            if e.verb != "undo" or (e.kind, e.key) not in self._left()
        ]
        start = self.life.start
        if self.c.status == "failed" and start is not None:
            if self.life.created is None or start.op != self.life.created.op:
                said.insert(0, f"{self.by(start, start=True)} asked for that start{self.at(start)}.")
            if self.life.failures and all(row.kind in DISK for row in self.c.held) and not self.c.leftovers:
                said.append("Everything that had been made for it was undone again.")
        return said

    def _wanted_by(self, e: Any) -> str:
        return f" {self.by(e, start=True)} had asked for it." if e.verb == "change" else ""

    def policy(self) -> list[str]:
        """What its restart policy or its health check did, and why it did not."""
        c, policy = self.c, self.c.setting("restart")
        if self._restarter() is None or c.status in ("creating", "created", "removing", "removed"):
            return []
        name = f"{policy['policy']}, at most {times(policy['max'])}" if policy["max"] else policy["policy"]
        if self._restarter() == CAUSE:
            name = "restart when unhealthy"
        said, whose = [], f"Its {self._restarter()} ({name})"
        done = c.restarts - (c.status == "restarting")
        if done:
            since, ended = self.life.user_start, self.life.ended_before
            begun = f" since {self.who(since.by)} started it{self.at(since)}" if since is not None else ""
            last = f", the last time after an end with {code_words(ended.code)}" if ended is not None else ""
            said.append(f"{whose} has started it again {times(done)}{begun}{last}.")
            whose = "It"
        if c.status == "restarting" and self.life.restart is not None:
            said.append(f"{whose} starts it {duration(self.life.restart.delay)} after that end.")
        if c.status == "exited" and self.life.exit is not None:
            said.append(f"{whose} leaves it ended: {self._left_alone(policy)}.")
        return said

    def _restarter(self) -> str | None:
        """Who starts it again."""
        if self.c.setting("restart")["policy"] != "no":
            return POLICY
        return CAUSE if self.c.setting("health").get("on_failure") == "restart" else None

    def _left_alone(self, policy: dict[str, Any]) -> str:
        if self.c.ended_by_check and not self.c.stopped_by_user:
            return "its health check ended it"
        if self.c.told_to_end:
            return "somebody asked it to end"
        if policy["policy"] == "on-failure" and self.life.exit.code == 0:
            return "code 0 is no failure"
        spent = policy["max"] and self.c.restarts >= policy["max"]
        return f"{times(policy['max'])} is its limit" if spent else "it is not due"

    # --- how it went -----------------------------------------------------------------------------------

    def removal(self) -> list[str]:
        """Who removed it."""
        e = self.life.removal
        if e is None:
            return []
        before = self.life.status_before_removal
        if before == "creating":
            return [f"Its creation was never finished; {self.by(e)} removed it{self.at(e)}."]
        if e.why == "user":
            alive = ", alive as it was" if before in LIVE else ""
            return [f"{self.by(e, start=True)} removed it{self.at(e)}{alive}."]
        if self.c.setting("auto_remove"):
            return [f"It was to be removed at its end (--rm), so mydocker removed it{self.at(e)} by itself."]
        return [f"It was removed{self.at(e)} ({e.why}), by {self.by(e)}."]

    def takeovers(self) -> list[str]:
        """Monitors that died under it."""
        watched = self.life.monitors
        return [
            f"Its monitor, process {old.pid}, died while it ran; {self.by(new)} gave it a new one{self.at(new)}:"
            f" process {new.pid}."
            for old, new in pairwise(watched)
            if new.why != "upgrade"  # the same process, with other code
        ]

    def losses(self) -> list[str]:
        """What the kernel no longer had."""
        gone = [
            e
            for e in self.life.lost
            if e.kind != "init" and not (e.kind == _SAYS_MONITOR and len(self.life.monitors) > 1)
        ]
        return [self._loss(e, THINGS.get(e.kind, e.kind)) for e in gone]

    def _loss(self, e: Any, thing: str) -> str:
        anew = (
            f", and {'they were' if thing.endswith('s') else 'it was'} made anew" if self.life.is_live else ""
        )
        return f"{self.by(e, start=True)} found {thing} gone{self.at(e)}{anew}."

    def leftovers(self) -> list[str]:
        """What could not be undone."""
        said = []
        for kind, key in sorted(self._left()):
            tries = self.life.leftover_failures.get((kind, key), [])
            last = tries[-1] if tries else None
            why = (
                f": {last.step}: {errno_words(last)}{last.message}{self.at(last)}" if last is not None else ""
            )
            said.append(
                f"Left behind is {THINGS.get(kind, kind)}, which could not be undone{why} (tried {times(len(tries))})."
                " Every `mydocker replay` tries it once more."
            )
        return said

    def _left(self) -> set[tuple[str, str]]:
        return {(row.kind, row.key) for row in self.c.leftovers}

    # --- where it came from ----------------------------------------------------------------------------

    def origin(self) -> list[str]:
        """Who created and who started it."""
        life, said = self.life, []
        if life.created is None:
            return []
        image = f" from {life.created.image}" if life.created.image else ""
        text = f"{self.by(life.created, start=True)} created it{image}{self.at(life.created)}"
        start = life.user_start
        if start is None:
            said.append(f"{text}.")
        elif start.op == life.created.op:
            said.append(f"{text}, and started it.")
        else:
            said += [f"{text}.", f"{self.by(start, start=True)} started it{self.at(start)}."]
        said += [f"It was called {old} until {self.by(e)} renamed it{self.at(e)}." for old, e in life.renamed]
        return said

    def anomalies(self) -> list[str]:
        """Events that the table forbade."""
        numbers = ", ".join(str(e.n) for e in self.life.anomalies)
        if not numbers:
            return []
        return [
            f"Of its history these events were impossible when they came, and changed nothing: {numbers}."
        ]
