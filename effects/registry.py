"""Which handler makes which kind of resource: one row each. LEAN."""

from __future__ import annotations

from effects.cgroup import Cgroup
from effects.directory import Directory
from effects.frozen import Frozen
from effects.init import Init, Release, Signal
from effects.root_link import RootLink
from effects.storage import Layer, Staging

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from effects.handler import Handler
    from effects.host import Facts, Host, Spec


class Later:
    """A handler that is loaded when it is first called: what has no network does without."""

    def __init__(self, load: Callable[[], Handler]) -> None:
        self._load = load

    def probe(self, spec: Spec, host: Host) -> Facts | None:
        return self._load().probe(spec, host)

    def do(self, spec: Spec, host: Host) -> Facts:
        return self._load().do(spec, host)

    def undo(self, spec: Spec, facts: Facts, host: Host) -> None:
        self._load().undo(spec, facts, host)


class LaterChanged(Later):
    """One that also changes in place what it made."""

    def change(self, spec: Spec, host: Host) -> Facts:
        changing: Any = self._load()
        facts: Facts = changing.change(spec, host)
        return facts


def _bridge() -> Handler:
    from effects.net_links import Bridge

    return Bridge()


def _endpoint() -> Handler:
    from effects.net_links import Endpoint

    return Endpoint()


def _rules() -> Handler:
    from effects.net_rules import Rules

    return Rules()


def _resolver() -> Handler:
    from effects.net_resolver import Resolver

    return Resolver()


def _firewall() -> Handler:
    from effects.net_host import Firewall

    return Firewall()


def _forwarding() -> Handler:
    from effects.net_host import Forwarding

    return Forwarding()


def _dns() -> Handler:
    from effects.net_dns import Dns

    return Dns()


HANDLERS: dict[str, Handler] = {
    "directory": Directory(),
    "cgroup": Cgroup(),
    "init": Init(),
    "root_link": RootLink(),
    "release": Release(),
    "frozen": Frozen(),
    "signal": Signal(),
    "bridge": Later(_bridge),
    "endpoint": LaterChanged(_endpoint),
    "rules": LaterChanged(_rules),
    "dns": Later(_dns),
    "resolver": LaterChanged(_resolver),
    "firewall": Later(_firewall),
    "forwarding": Later(_forwarding),
    "staging": Staging(),
    "layer": Layer(),
}
