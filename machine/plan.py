"""plan: a subject -> the next effect, or None once the world holds what its status calls for.

Resources are known by (kind, key), never by the value of their specification: a newer engine that would
specify something otherwise leaves a running container alone.
"""

from __future__ import annotations

from machine.resources import HOLDS, RANK
from machine.subjects import Container, Job, Layer, Subject

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


class Places:
    """Where things lie; given once, so that `plan` derives every path from facts alone."""

    def __init__(self, root: str, run: str, root_id: str) -> None:
        self.root, self.run, self.root_id = root, run, root_id

    def container(self, container_id: str) -> str:
        return f"{self.root}/containers/{container_id}"


class Step:
    """One effect to carry out. `recorded`: its intent is in the journal already (after a crash)."""

    __slots__ = ("facts", "key", "kind", "recorded", "spec", "verb")

    def __init__(
        self,
        verb: str,
        kind: str,
        key: str,
        spec: dict[str, Any],
        *,
        facts: Any = None,
        recorded: bool = False,
    ) -> None:
        self.verb, self.kind, self.key, self.spec = verb, kind, key, spec
        self.facts: dict[str, Any] = facts or {}
        self.recorded = recorded

    def __repr__(self) -> str:
        return f"Step({self.verb} {self.kind} {self.key})"


def plan(subject: Subject, places: Places) -> Step | None:
    """The pending intent again, the undoing of the topmost surplus, the first missing, a change, a signal.

    None when nothing is left to do.
    """
    calls_for = wanted(subject)
    if subject.pending is not None and (again := _again(subject, calls_for)) is not None:
        return again
    for row in sorted(subject.held, key=lambda row: RANK.get(row.kind, 0), reverse=True):
        if row.stale or (row.kind, row.key) not in calls_for:
            return Step("undo", row.kind, row.key, row.spec, facts=row.facts)
    held = {(row.kind, row.key) for row in subject.held}
    for kind, key in calls_for:
        if (kind, key) not in held:
            return Step("do", kind, key, MAKERS[kind](subject, places))
    return _altered(subject, places) if isinstance(subject, Container) else None


def leftover_steps(subject: Subject) -> list[Step]:
    """One attempt for each thing that an earlier undo could not remove."""
    return [Step("undo", row.kind, row.key, row.spec, facts=row.facts) for row in subject.leftovers]


def _again(subject: Subject, calls_for: list[tuple[str, str]]) -> Step | None:
    """The pending intent, unless it was to make what is not called for any more: that is only undone."""
    assert subject.pending is not None
    verb, kind, key = subject.pending
    for row in (*subject.held, *subject.leftovers):
        if (row.kind, row.key) == (kind, key):
            if verb != "undo" and (row.stale or (kind, key) not in calls_for):
                return None
            return Step(verb, kind, key, row.spec, facts=row.facts, recorded=True)
    if isinstance(subject, Container) and kind == "signal":
        return _signal(subject, recorded=True)
    return None


def wanted(subject: Subject) -> list[tuple[str, str]]:
    """(kind, key) of all that its status calls for, in the order in which it is made."""
    return [(kind, _key(subject, kind)) for kind in HOLDS.get(subject.status, ())]


def _key(subject: Subject, kind: str) -> str:
    if isinstance(subject, Container):
        # The link is named after the container, so a rename moves it.
        return subject.name if kind == "root_link" else subject.id
    return subject.stream.partition("/")[2]


def _altered(c: Container, places: Places) -> Step | None:
    for kind in c.changed:
        row = c.holding(kind)
        if row is not None:
            return Step("change", kind, row.key, MAKERS[kind](c, places), facts=row.facts)
    return _signal(c)


def _signal(c: Container, *, recorded: bool = False) -> Step | None:
    process = c.process_identity
    if not c.signals or process is None:
        return None
    n, signal = c.signals[0]
    return Step("do", "signal", str(n), {**process, "signal": signal}, recorded=recorded)


# --- specifications: one maker a kind, read by its handler in effects/ ------------------------------


def _directory(c: Container, places: Places) -> dict[str, Any]:
    hostname = c.setting("hostname") or c.id[:12]
    return {
        "path": places.container(c.id),
        "id": c.id,
        "files": {"etc/hostname": f"{hostname}\n", "etc/hosts": _hosts(hostname), "etc/resolv.conf": None},
        "fifos": _fifos(c),
        "process": {"name": c.process},
    }


def _hosts(hostname: str) -> str:
    return f"127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n127.0.1.1\t{hostname}\n"


def _fifos(c: Container) -> dict[str, list[int]]:
    return {} if c.setting("tty") else {"stdout": [0, 0], "stderr": [0, 0]}


def _cgroup(c: Container, places: Places) -> dict[str, Any]:
    return {
        **_cgroup_names(c, places),
        "limits": c.setting("limits"),
        "privileged": c.setting("privileged"),
    }


def _cgroup_names(c: Container, places: Places) -> dict[str, Any]:
    return {"parent": f"mydocker-{places.root_id}", "name": c.id}


def _init(c: Container, places: Places) -> dict[str, Any]:
    here = places.container(c.id)
    keys = ("cwd", "user", "groups", "volumes", "tmpfs", "network", "tty", "stdin", "caps", "privileged")
    more = ("read_only", "no_new_privileges", "init", "shm_size")
    return {
        **{key: c.setting(key) for key in (*keys, *more)},
        "id": c.id,
        "name": c.name,
        "hostname": c.setting("hostname") or c.id[:12],
        "process": f"{here}/{c.process}",
        "lower": [f"{places.root}/layers/{digest}/fs" for digest in c.layers],
        "upper": f"{here}/upper",
        "work": f"{here}/work",
        "files": {f"/etc/{name}": f"{here}/etc/{name}" for name in ("hosts", "hostname", "resolv.conf")},
        "stdio": {name: f"{here}/{name}" for name in _fifos(c)},
        "cgroup": _cgroup_names(c, places),
    }


def _root_link(c: Container, places: Places) -> dict[str, Any]:
    return {
        "link": f"{places.root}/mnt/{c.name}",
        "via": f"{places.run}/{places.root_id}/mnt/{c.id}",
        **(c.process_identity or {"pid": 0, "start": 0, "boot": ""}),
    }


def _identity(c: Container, _places: Places) -> dict[str, Any]:
    return dict(c.process_identity or {})


def _frozen(c: Container, _places: Places) -> dict[str, Any]:
    cgroup = c.holding("cgroup")
    return dict(cgroup.facts) if cgroup is not None else {}


def _layer(layer: Layer, _places: Places) -> dict[str, Any]:
    return {"path": layer.path}


def _staging(job: Job, _places: Places) -> dict[str, Any]:
    return {"path": job.staging}


MAKERS: dict[str, Callable[[Any, Places], dict[str, Any]]] = {
    "directory": _directory,
    "cgroup": _cgroup,
    "init": _init,
    "root_link": _root_link,
    "release": _identity,
    "frozen": _frozen,
    "layer": _layer,
    "staging": _staging,
}
