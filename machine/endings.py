"""How a container's last run ended, and who had asked for it, in sentences. Pure."""

from __future__ import annotations

from machine.health import CAUSE
from machine.signals import signal_name
from machine.words import Words, code_words, duration, failed_times, known, size_words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

SHELL = 128  # a shell's code for the end by signal n is 128 + n
LAST_SIGNAL = 64
CRASHES = (4, 6, 7, 8, 11)  # ILL, ABRT, BUS, FPE, SEGV
SHELLS_OWN = {126: "a program inside cannot be run", 127: "a program inside was not found"}


class Endings(Words):
    """`end` and `asked`; nothing where it has not ended, or nobody asked."""

    def end(self) -> list[str]:
        """What ended it."""
        e = self.life.exit
        if e is None:
            return []
        endings = {
            "exit": self._by_itself,
            "signal": self._by_signal,
            "oom": self._by_oom,
            "lost: monitor": self._unwatched,
            "lost: moved": self._by_move,
            "lost: reboot": self._by_reboot,
        }
        tell = endings.get(e.reason)
        return [tell(e)] if tell is not None else [f"It ended{self.at(e)}: {e.reason}, {code_words(e.code)}."]

    def _by_itself(self, e: Any) -> str:
        alone = "" if self.life.asks else " by itself"
        text = f"It ended{alone} with {code_words(e.code)}{self.at(e)}{self.lasted(e)}."
        if e.code in SHELLS_OWN:
            return f"{text} That is a shell's code for: {SHELLS_OWN[e.code]}."
        if e.code is not None and SHELL < e.code <= SHELL + LAST_SIGNAL:
            return f"{text} That is a shell's code for an end by {signal_name(e.code - SHELL)}, of a program inside."
        return text

    def _by_signal(self, e: Any) -> str:
        text = f"{signal_name(e.signal)} ended it{self.at(e)}{self.lasted(e)} ({code_words(e.code)})."
        if self.life.asked_with(e.signal) is not None or self.life.removal is not None:
            return text
        if e.signal in CRASHES:
            return f"{text} That is a crash of its program; nobody asked mydocker for it."
        return f"{text} Nobody asked mydocker for it: the signal came from inside, or from elsewhere on the host."

    def _by_oom(self, e: Any) -> str:
        if e.code is None:
            return f"{self._unwatched(e)} The kernel had killed in it for want of memory."
        limit = self.c.setting("limits").get("memory")
        reached = f"it had reached its memory limit of {size_words(limit)}" if limit else "memory had run out"
        return f"The kernel killed it{self.at(e)}{self.lasted(e)}: {reached} ({code_words(e.code)})."

    def _unwatched(self, e: Any) -> str:
        return (
            f"It ended while nobody watched it, as its monitor had died. {self.by(e, start=True)} found it gone"
            f"{self.at(e)}; {known(e.code)}."
        )

    def _by_move(self, e: Any) -> str:
        return f"It was left behind when {self.by(e)} adopted its root{self.at(e)}; {known(e.code)}."

    def _by_reboot(self, e: Any) -> str:
        if not e.ts:
            return f"The machine went down while it ran; no command has noted that yet. {known(e.code).capitalize()}."
        return (
            f"The machine went down while it ran. {self.by(e, start=True)} was the first to come after the boot,"
            f"{self.at(e)}, and noted it; {known(e.code)}."
        )

    def _unhealthy(self, ask: Any) -> str:
        stops = ask.tag == "container.stop_requested"
        did = "asked it to stop" if stops else f"sent it {signal_name(ask.signal)}"
        how = f"{failed_times(self.life.health)}" if self.life.health is not None else "too often"
        return f"Its health check had failed {how}, so mydocker {did} by itself{self.at(ask)} (--health-on-failure)."

    # --- who asked -----------------------------------------------------------------------------------

    def asked(self) -> list[str]:
        """The stops and kills of its last run, by people and by the clock."""
        said = []
        for ask in self.life.asks:
            if ask.why == CAUSE:
                said.append(self._unhealthy(ask))
            elif ask.tag == "container.stop_requested":
                limit = "and no SIGKILL ever" if ask.timeout < 0 else f"SIGKILL after {duration(ask.timeout)}"
                said.append(
                    f"{self.by(ask, start=True)} asked it to stop{self.at(ask)}: {signal_name(ask.signal)}, {limit}."
                )
            elif ask.why == "stop deadline":
                said.append(
                    f"It had not ended when that time was over{self.at(ask)}, so mydocker sent {signal_name(ask.signal)}"
                    " by itself, as that stop had asked."
                )
            else:
                said.append(f"{self.by(ask, start=True)} sent it {signal_name(ask.signal)}{self.at(ask)}.")
        return said
