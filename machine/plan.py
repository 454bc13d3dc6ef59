"""plan: a subject -> the next effect, or None once the world holds what its status calls for.

Resources are known by (kind, key), never by the value of their specification: a newer engine that would
specify something otherwise leaves a running container alone.
"""

from __future__ import annotations

from machine.places import Places
from machine.resources import HOLDS, NETWORKING, RANK
from machine.subjects import Container, Host, Job, Layer, Standing, Subject

__all__ = ["Places", "Step", "leftover_steps", "maker", "plan", "wanted"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


SEVERAL = 2


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
    if isinstance(subject, Standing) and subject.error is not None:
        return None  # until somebody looks again (`Engine.observe`): what stands on it would fail as well
    unmade = {(row.kind, row.key) for row in subject.held if not row.done and _to_be_tried_again(subject)}
    held = {(row.kind, row.key) for row in subject.held} - unmade
    for kind, key in calls_for:
        if (kind, key) not in held:
            return Step("do", kind, key, maker(kind)(subject, places, key))
    return _altered(subject, places) if isinstance(subject, Container) else None


def _to_be_tried_again(subject: Subject) -> bool:
    """Whether what could not be made is to be made once more: its failure was looked at since."""
    return isinstance(subject, (Container, Standing)) and subject.error is None


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
    return [(kind, key) for kind in HOLDS.get(subject.status, ()) for key in _keys(subject, kind)]


def _keys(subject: Subject, kind: str) -> list[str]:
    if isinstance(subject, Container):
        if kind in NETWORKING:
            networks = [one["network"] for one in subject.endpoints if "leaving" not in one]
            if kind == "resolver" and (len(networks) < SEVERAL or subject.setting("dns")):
                return []  # the only one's server does, or somebody else's
            return networks if kind == "endpoint" else [subject.id] * bool(networks)
        # The link is named after the container, so a rename moves it.
        return [subject.name if kind == "root_link" else subject.id]
    if isinstance(subject, Host):
        families = {family for wanted in subject.networks.values() for family in wanted}
        return [f"ipv{family}" for family in sorted(families)] if kind == "forwarding" else ["host"]
    return [subject.stream.partition("/")[2]]


def _altered(c: Container, places: Places) -> Step | None:
    for what in c.changed:
        kind, _, key = what.partition("/")
        for row in c.held:
            if row.kind == kind and not row.stale and key in ("", row.key):
                return Step("change", kind, row.key, maker(kind)(c, places, row.key), facts=row.facts)
    return _signal(c)


def _signal(c: Container, *, recorded: bool = False) -> Step | None:
    process = c.process_identity
    if not c.signals or process is None:
        return None
    n, signal = c.signals[0]
    return Step("do", "signal", str(n), {**process, "signal": signal}, recorded=recorded)


# --- specifications: one maker a kind, read by its handler in effects/ ------------------------------


def maker(kind: str) -> Callable[[Any, Places, str], dict[str, Any]]:
    """(subject, places, key) -> the specification of that kind."""
    if kind not in MAKERS:
        from machine import plan_network  # what has no network does without

        return plan_network.MAKERS[kind]
    return MAKERS[kind]


def _directory(c: Container, places: Places, _key: str) -> dict[str, Any]:
    return {
        "path": places.container(c.id),
        "id": c.id,
        "files": {
            "etc/hostname": f"{c.hostname}\n",
            "etc/hosts": _hosts(c.hostname),
            "etc/resolv.conf": None,
        },
        "fifos": _fifos(c),
        "process": {"name": c.process},
    }


def _hosts(hostname: str) -> str:
    """/etc/hosts of a container that has no address."""
    return f"127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n127.0.1.1\t{hostname}\n"


def _fifos(c: Container) -> dict[str, list[int]]:
    return {} if c.setting("tty") else {"stdout": [0, 0], "stderr": [0, 0]}


def _cgroup(c: Container, places: Places, _key: str) -> dict[str, Any]:
    return {
        **_cgroup_names(c, places),
        "limits": c.setting("limits"),
        "privileged": c.setting("privileged"),
    }


def _cgroup_names(c: Container, places: Places) -> dict[str, Any]:
    return {"parent": places.cgroup, "name": c.id}


def _init(c: Container, places: Places, _key: str) -> dict[str, Any]:
    here = places.container(c.id)
    keys = ("cwd", "user", "groups", "volumes", "tmpfs", "tty", "stdin", "caps", "privileged")
    more = ("read_only", "no_new_privileges", "init", "shm_size", "auto_remove")
    return {
        **{key: c.setting(key) for key in (*keys, *more)},
        "id": c.id,
        "name": c.name,
        # In another's network it bears that one's: the name that its /etc/hosts tells.
        "hostname": c.setting("hostname") or c.netns.get("hostname") or c.hostname,
        "process": f"{here}/{c.process}",
        "lower": [f"{places.root}/layers/{digest}/fs" for digest in c.layers],
        "upper": f"{here}/upper",
        "work": f"{here}/work",
        "files": {f"/etc/{name}": f"{here}/etc/{name}" for name in ("hosts", "hostname", "resolv.conf")},
        "stdio": {name: f"{here}/{name}" for name in _fifos(c)},
        "cgroup": _cgroup_names(c, places),
        **_network(c, places),
    }


def _network(c: Container, places: Places) -> dict[str, Any]:
    """Whose network namespace, and which names it knows."""
    named = any(c.setting(key) for key in ("dns", "dns_search", "dns_options", "hosts"))
    text = "" if c.setting("network") == "host" else _hosts(c.hostname)
    if c.setting("network") in ("none", "host") and not named:
        return {"network": c.setting("network"), "netns": {}, "hosts": text, "resolv": None}
    from machine import plan_network  # what has no network does without

    before = c.holding("init")
    was = {key: before.spec.get(key) for key in ("hosts", "resolv")} if before is not None else None
    return plan_network.of_init(c, places, text) | ({"was": was} if was else {})


def _root_link(c: Container, places: Places, _key: str) -> dict[str, Any]:
    return {
        "link": f"{places.root}/mnt/{c.name}",
        "via": f"{places.run}/{places.root_id}/mnt/{c.id}",
        **(c.process_identity or {"pid": 0, "start": 0, "boot": ""}),
    }


def _identity(c: Container, _places: Places, _key: str) -> dict[str, Any]:
    return dict(c.process_identity or {})


def _frozen(c: Container, _places: Places, _key: str) -> dict[str, Any]:
    return dict(c.cgroup or {})


def _layer(layer: Layer, _places: Places, _key: str) -> dict[str, Any]:
    return {"path": layer.path}


def _staging(job: Job, _places: Places, _key: str) -> dict[str, Any]:
    return {"path": job.staging}


MAKERS: dict[str, Callable[[Any, Places, str], dict[str, Any]]] = {
    "directory": _directory,
    "cgroup": _cgroup,
    "init": _init,
    "root_link": _root_link,
    "release": _identity,
    "frozen": _frozen,
    "layer": _layer,
    "staging": _staging,
}
