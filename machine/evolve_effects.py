"""How intents, outcomes and losses change what a subject holds. The same for every kind of subject."""

from __future__ import annotations

from machine import restarts
from machine.resources import NETWORKING, ONE_SHOT, RANK, VOLATILE
from machine.subjects import Container, Held, Job, Standing, Subject
from machine.table import TABLE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


def move(c: Subject, trigger: str, event: Any) -> bool:
    """Take the table's step; False and an anomaly where there is none."""
    status = TABLE.get(trigger, {}).get(c.status)
    if status is None:
        c.anomalies.append(event.n)
        return False
    c.status = status
    return True


def _do(c: Subject, e: Any) -> None:
    kind, key = e.kind, e.key
    c.pending = ["do", kind, key]
    if kind in ONE_SHOT:
        return
    if c.leftovers:
        take_over(c, kind, key)
    row = _row(c.held, kind, key)
    if row is not None and row.stale:
        c.held.remove(row)
        row = None
    if row is None:
        c.held.append(Held(e.n, kind, key, e.spec))
    else:
        row.spec = e.spec


def _undo(c: Subject, e: Any) -> None:
    kind, key = e.kind, e.key
    if _row(c.held, kind, key) is None and _row(c.leftovers, kind, key) is None:
        c.anomalies.append(e.n)
        return
    c.pending = ["undo", kind, key]


def _change(c: Subject, e: Any) -> None:
    row = _row(c.held, e.kind, e.key)
    if row is None:
        c.anomalies.append(e.n)
        return
    row.spec = e.spec
    c.pending = ["change", e.kind, e.key]
    if isinstance(c, Container) and c.changed:
        c.changed = [what for what in c.changed if what not in (e.kind, f"{e.kind}/{e.key}")]


def _done(c: Subject, e: Any) -> None:
    kind, key = e.kind, e.key
    c.pending = None
    if e.verb == "undo":
        _drop(c, kind, key)
        if kind == "forwarding":
            _anew(c, "firewall")
        return
    row = _row(c.held, kind, key)
    if row is None:
        if kind in ONE_SHOT:
            _consume(c, key)
        else:
            c.anomalies.append(e.n)
        return
    row.done = True
    if c.error is not None:
        _overcome(c, kind)
    if e.verb != "do":
        row.facts = {**row.facts, **e.facts}
        return
    row.facts = e.facts
    if kind in MADE:
        MADE[kind](c, e)


def _overcome(c: Subject, kind: str) -> None:
    """What failed then has succeeded now."""
    if isinstance(c, (Container, Standing)) and c.error is not None and c.error["kind"] == kind:
        c.error = None


def _anew(c: Subject, kind: str) -> None:
    """Its specification is another now; making it once more brings it there, and leaves what others keep in it."""
    for row in c.held:
        if row.kind == kind:
            row.done = False


def _failed(c: Subject, e: Any) -> None:
    c.pending = None
    if e.kind in ONE_SHOT:
        _consume(c, e.key)
    elif e.verb == "undo":
        row = _row(c.held, e.kind, e.key)
        if row is not None:
            c.held.remove(row)
            c.leftovers.append(row)
    elif isinstance(c, (Container, Standing, Job)):
        c.error = {"kind": e.kind, "errno": e.errno, "step": e.step, "message": e.message}
        if e.verb == "do" and isinstance(c, Container):
            _do_failed(c, e)


def _do_failed(c: Container, e: Any) -> None:
    if e.kind == "frozen":  # it could not be paused: it runs on, unless something else was asked meanwhile
        if c.status == "paused":
            move(c, "unpause", e)
    elif c.status in TABLE["fail"] and not _runs(c):  # a link or cgroup made anew under it is no start
        if c.restarts and e.kind in NETWORKING and c.status in TABLE["put_off"]:
            # By its policy, which nobody waits for: what others broke may be mended by then.
            move(c, "put_off", e)
            c.backoff = restarts.doubled(c.backoff)
            c.restart_due = e.up + c.backoff
        else:
            move(c, "fail", e)


def _runs(c: Container) -> bool:
    release = c.holding("release")
    return release is not None and release.done


def _lost(c: Subject, e: Any) -> None:
    c.pending = None if c.pending is not None and c.pending[1:] == [e.kind, e.key] else c.pending
    row = _row(c.held, e.kind, e.key)
    if isinstance(c, (Container, Standing)) and row is not None and not row.done and c.error is not None:
        c.error = None  # what its making left may still be there: held, and to be tried again
    elif row is not None and e.kind not in VOLATILE:
        row.stale = True  # some of it may still lie on disk: undone first, then made anew
    else:
        _drop(c, e.kind, e.key)
    if e.kind == "init":  # what was made for this process is of no use to the next
        for row in c.held:
            row.stale = row.stale or RANK.get(row.kind, 0) > RANK["init"]
    elif e.kind == "bridge":  # its server listens on an address that has gone
        for row in c.held:
            row.stale = row.stale or row.kind == "dns"


def take_over(c: Subject, kind: str, key: str) -> None:
    """What is made anew is no leftover any more: a later attempt to undo that would hit the new one."""
    if c.leftovers:
        c.leftovers = [row for row in c.leftovers if row.kind != kind or row.key != key]


def _row(rows: list[Held], kind: str, key: str) -> Held | None:
    for row in reversed(rows):  # it is mostly the last: made in order, undone from behind
        if row.kind == kind and row.key == key:
            return row
    return None


def _drop(c: Subject, kind: str, key: str) -> None:
    if c.held and c.held[-1].kind == kind and c.held[-1].key == key:
        c.held.pop()
    else:
        c.held = [row for row in c.held if row.kind != kind or row.key != key]
    if c.leftovers:
        take_over(c, kind, key)


def _consume(c: Subject, key: str) -> None:
    if isinstance(c, Container):
        c.signals = [pair for pair in c.signals if str(pair[0]) != key]


def _forwarding(c: Subject, _e: Any) -> None:
    _anew(c, "firewall")


def _directory(c: Subject, e: Any) -> None:
    if c.status == "creating":
        move(c, "ready", e)


def _release(c: Subject, e: Any) -> None:
    if c.status in ("starting", "stopping"):
        move(c, "released", e)


# What follows once one of these kinds is made.
MADE: dict[str, Callable[[Any, Any], None]] = {
    "forwarding": _forwarding,
    "directory": _directory,
    "release": _release,
}
EFFECTS: dict[str, Callable[[Any, Any], None]] = {
    "effect.do": _do,
    "effect.undo": _undo,
    "effect.change": _change,
    "effect.done": _done,
    "effect.failed": _failed,
    "effect.lost": _lost,
}

# What no fold looks at, by tag: a replay need not decode it. Effects are four of five events.
UNREAD: dict[str, tuple[str, ...]] = dict.fromkeys(EFFECTS, ("ts", "up", "op", "by", "why"))
UNREAD["effect.failed"] = ("ts", "op", "by", "why")  # a start is put off from its failure on
