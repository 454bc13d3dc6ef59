"""Which handler makes which kind of resource: one row each. LEAN."""

from __future__ import annotations

from effects.cgroup import Cgroup
from effects.directory import Directory
from effects.frozen import Frozen
from effects.init import Init, Release, Signal
from effects.net_dns import Dns
from effects.net_host import Firewall, Forwarding
from effects.net_links import Bridge, Endpoint
from effects.net_rules import Rules
from effects.root_link import RootLink
from effects.storage import Layer, Staging

TYPE_CHECKING = False
if TYPE_CHECKING:
    from effects.handler import Handler

HANDLERS: dict[str, Handler] = {
    "directory": Directory(),
    "cgroup": Cgroup(),
    "init": Init(),
    "root_link": RootLink(),
    "release": Release(),
    "frozen": Frozen(),
    "signal": Signal(),
    "bridge": Bridge(),
    "endpoint": Endpoint(),
    "rules": Rules(),
    "dns": Dns(),
    "firewall": Firewall(),
    "forwarding": Forwarding(),
    "staging": Staging(),
    "layer": Layer(),
}
