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
    from effects.handler import Handler

HANDLERS: dict[str, Handler] = {
    "directory": Directory(),
    "cgroup": Cgroup(),
    "init": Init(),
    "root_link": RootLink(),
    "release": Release(),
    "frozen": Frozen(),
    "signal": Signal(),
    "staging": Staging(),
    "layer": Layer(),
}
