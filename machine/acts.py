"""Events by what they tell: that somebody did something, that it happened, or how the engine went about it.

Pure. Decisions and observations are what an auditor asks for; intents and outcomes (`effect.*`) follow from them.
"""

from __future__ import annotations

from machine.errors import InvalidValue
from machine.events import SCHEMA

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

KINDS = ("container", "network", "image", "layer", "job", "host", "journal")  # what streams are of
# How the engine keeps its own house: neither decided nor done to anything.
_HOUSEKEEPING = frozenset({"container.monitored", "journal.segment", "job.publishing"})
DECISIONS = frozenset(
    tag for tag in SCHEMA.by_tag if not tag.startswith("effect.") and tag not in _HOUSEKEEPING
)

# Docker's words for what `docker events` tells.
ACTIONS = {
    "create": "container.created",
    "start": "container.start_requested",
    "restart": "container.restart_requested",
    "stop": "container.stop_requested",
    "kill": "container.kill_requested",
    "pause": "container.pause_requested",
    "unpause": "container.unpause_requested",
    "die": "container.exited",
    "destroy": "container.remove_requested",
    "rename": "container.renamed",
    "update": "container.updated",
    "health_status": "container.health_changed",
    "exec_start": "exec.started",
    "exec_die": "exec.exited",
    "import": "image.published",
    "delete": "image.removed",
    "connect": "container.connected",
    "disconnect": "container.disconnected",
}
# It has some of them twice: of networks too.
_WORD_OF = {tag: word for word, tag in ACTIONS.items()} | {
    "network.created": "create",
    "network.remove_requested": "destroy",
}


def action(tag: str) -> str:
    """Docker's word for an event where it has one, else the last part of our own tag."""
    return _WORD_OF.get(tag) or tag.partition(".")[2]


def tags_of(word: str, what: str) -> frozenset[str]:
    """The tags that are meant by a tag, by its last part (`exited`), or by docker's word (`die`). InvalidValue."""
    if word in SCHEMA.by_tag:
        return frozenset({word})
    found = {tag for tag in SCHEMA.by_tag if tag.partition(".")[2] == word}
    found |= {tag for tag, theirs in _WORD_OF.items() if theirs == word}
    if not found:
        raise InvalidValue(what, word, f"no such event [events: {', '.join(sorted(SCHEMA.by_tag))}]")
    return frozenset(found)


def is_decision(event: Any) -> bool:
    """Whether it tells of something that was decided or observed, not of how it was carried out."""
    return event.tag in DECISIONS


def by_itself(event: Any) -> bool:
    """Whether the engine acted by itself: nobody typed a command for it then."""
    return bool(event.by.get("cmd") == "monitor")
