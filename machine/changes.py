"""What changed in the world from one moment to another. Pure: two worlds and the events between them in, lines out.

Lines begin as a diff's do: `+` is new, `-` has gone, `~` is another, `=` came and went in between.
"""

from __future__ import annotations

from machine.acts import is_decision
from machine.projections import long_status, pid, visible
from machine.words import count_of, size_words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from machine.subjects import Container
    from machine.world import World


class Change:
    """One thing: `sign` is +, -, ~ or =; `details` are (what, before, after), before and after in words."""

    __slots__ = ("details", "key", "kind", "name", "said", "sign")

    def __init__(self, sign: str, kind: str, name: str, said: str = "", key: str = "") -> None:
        self.sign, self.kind, self.name, self.said, self.key = sign, kind, name, said, key
        self.details: list[tuple[str, str, str]] = []


class Between:
    """Events on the way from one moment to the other; `see` each of them."""

    def __init__(self) -> None:
        self.events = self.boots = self.failures = 0
        self.commands: set[str] = set()
        self.born: dict[str, str] = {}  # container id -> name
        self.asked: dict[
            str, Any
        ] = {}  # container id or image -> the last decision that somebody took about it

    def see(self, event: Any) -> None:
        """Take note of one event."""
        self.events += 1
        self.commands.add(event.op)
        key = event.s.partition("/")[2]
        if event.tag == "container.created" or (event.tag == "container.renamed" and key in self.born):
            self.born[key] = event.name
        elif event.tag == "host.booted":
            self.boots += 1
        elif event.tag == "effect.failed":
            self.failures += 1
        if event.why == "user" and is_decision(event):
            self.asked[key] = event


def changes(before: dict[str, Any], after: World, between: Between) -> list[Change]:
    """From the world that `facts` described to `after`: containers, then images."""
    found = _containers(before["containers"], facts(after)["containers"], between)
    return found + _images(before["images"], facts(after)["images"])


def facts(world: World) -> dict[str, Any]:
    """What is compared of a world, as plain values: the world itself goes on."""
    return {
        "containers": {c.id: _facts(c) for c in visible(world)},
        "images": {i.name: list(i.layers) for i in world.images.values() if i.status == "published"},
    }


def _facts(c: Container) -> dict[str, str]:
    limits = {f"limit {key}": _limit(key, value) for key, value in c.setting("limits").items()}
    live = pid(c)
    policy = c.setting("restart")
    return {
        "name": c.name,
        "image": c.image,
        "status": long_status(c),
        "process": str(live) if live else "none",
        "restarts": str(c.restarts),
        "restart policy": f"{policy['policy']}:{policy['max']}" if policy["max"] else policy["policy"],
        "left behind": ", ".join(sorted(row.kind for row in c.leftovers)) or "nothing",
        **limits,
    }


def _limit(key: str, value: Any) -> str:
    return size_words(value) if key in ("memory", "memory_swap") and value > 0 else str(value)


def _containers(
    before: dict[str, dict[str, str]], after: dict[str, dict[str, str]], between: Between
) -> list[Change]:
    found = []
    for key, now in after.items():
        if key not in before:
            found.append(Change("+", "container", now["name"], f"{now['status']}, of {now['image']}", key))
        elif details := _details(before[key], now):
            change = Change("~", "container", before[key]["name"], key=key)
            change.details = details
            found.append(change)
    for key, was in before.items():
        if key not in after:
            found.append(Change("-", "container", was["name"], f"was {was['status']}", key))
    passing = (key for key in between.born if key not in before and key not in after)
    found += [Change("=", "container", between.born[key], "came and went", key) for key in passing]
    return found


def _details(was: dict[str, str], now: dict[str, str]) -> list[tuple[str, str, str]]:
    keys: Iterable[str] = dict.fromkeys([*was, *now])
    pairs = ((key, was.get(key, "none"), now.get(key, "none")) for key in keys)
    return [(key, old, new) for key, old, new in pairs if old != new]


def _images(before: dict[str, list[str]], after: dict[str, list[str]]) -> list[Change]:
    found = []
    for name, layers in after.items():
        if name not in before:
            found.append(Change("+", "image", name, count_of(len(layers), "layer"), name))
        elif before[name] != layers:
            found.append(Change("~", "image", name, "published anew: other layers", name))
    found += [Change("-", "image", name, "", name) for name in before if name not in after]
    return found
