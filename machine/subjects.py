"""What the journal tells of: containers, layers, images, jobs and the host, as mutable slots.

Plain classes with `__slots__`: a replay of a million events folds into them in place, and the monitor
gets its container's slot as JSON (`dump`, `load`).
"""

from __future__ import annotations

from eventstore import plainjson
from machine.settings import SHORT, setting

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Self


class Slots:
    """An object whose `__slots__` are its whole state, all of it JSON."""

    __slots__ = ()

    def dump(self) -> dict[str, Any]:
        """The state as JSON values; the inverse of `load`."""
        return {name: _dumped(getattr(self, name)) for name in _slots(type(self))}

    def become(self, other: Self) -> None:
        """Take over the other's state: whoever holds this object sees it."""
        for name in _slots(type(self)):
            setattr(self, name, getattr(other, name))

    @classmethod
    def load(cls, state: dict[str, Any]) -> Self:
        """The object that `dump` described."""
        self = cls.__new__(cls)
        for name in _slots(cls):
            setattr(self, name, loaded(name, state[name]))
        return self


class Held(Slots):
    """A resource that may exist: held from its intent on, done or not.

    `stale`: of an earlier run, which a new start found not yet undone; it is undone first, then made anew.
    """

    __slots__ = ("done", "facts", "key", "kind", "n", "spec", "stale")

    def __init__(self, n: int, kind: str, key: str, spec: dict[str, Any]) -> None:
        self.n, self.kind, self.key, self.spec = n, kind, key, spec
        self.facts: dict[str, Any] = {}
        self.done = self.stale = False


class Subject(Slots):
    """What has a stream and may hold resources."""

    __slots__ = ("anomalies", "error", "held", "leftovers", "pending", "status", "stream", "version")

    def __init__(self, stream: str, status: str) -> None:
        self.stream = stream
        self.status = status
        self.version = 0
        self.held: list[Held] = []
        self.leftovers: list[Held] = []
        self.pending: list[str] | None = None  # [verb, kind, key]: an intent without an outcome
        self.error: dict[str, Any] | None = None  # why something last failed
        self.anomalies: list[int] = []  # numbers of recorded events that the table forbids

    def holding(self, kind: str) -> Held | None:
        """The resource of that kind that its present run holds."""
        for row in self.held:
            if row.kind == kind and not row.stale:
                return row
        return None


# What lists show of a container, and what tells who may have its name, its addresses and its ports.
BRIEF = (
    *("id", "name", "status", "image", "command", "created", "exit", "error", "stopped_by_user"),
    *("endpoints", "ports", "joins", "health", "requested"),
)


class Container(Subject):
    """One container. `exit` is {code, signal, reason, ts} of its last run, `error` why a start failed."""

    __slots__ = (
        "_process",  # these two only where it is `machine.asleep.Asleep`
        "_rest",
        "asked",
        "backoff",
        "changed",
        "command",
        "created",
        "ended_by_check",
        "endpoints",
        "env_keys",
        "execs",
        "exit",
        "finished",
        "health",
        "id",
        "image",
        "joins",
        "last",
        "layers",
        "monitor",
        "name",
        "netns",
        "ports",
        "process",
        "requested",
        "restart_due",
        "restarts",
        "settings",
        "signals",
        "started",
        "started_up",
        "stop_deadline",
        "stopped_by_user",
        "told_to_end",
    )

    def __init__(self, container_id: str) -> None:
        super().__init__(f"container/{container_id}", "absent")
        self.id = container_id
        self.name = ""
        self.image = ""
        self.layers: list[str] = []
        self.command: list[str] = []
        self.process = ""
        self.env_keys: list[str] = []
        self.settings: dict[str, Any] = {}
        self.created = self.started = self.finished = 0  # wall clock, ns
        self.started_up = 0  # CLOCK_BOOTTIME, ns
        self.asked: dict[str, Any] | None = None  # {op, by, why} of the last decision that somebody took
        self.changed: list[str] = []  # kinds whose specification a decision altered
        self.signals: list[list[int]] = []  # [number of the request, signal], oldest first
        self.stop_deadline = 0  # CLOCK_BOOTTIME ns when SIGKILL follows; 0: none
        self.stopped_by_user = False
        self.told_to_end = False  # by stop, or by kill with a signal that ends it: no policy starts it again
        self.exit: dict[str, Any] | None = None
        self.monitor: dict[str, Any] | None = None
        self.execs: dict[str, list[str]] = {}
        self.health = ""  # starting, healthy, unhealthy: of its last run; "": it has no health check
        self.ended_by_check = False  # its last run, for being unhealthy
        self.restarts = 0  # since a user last started it
        self.backoff = 0  # ns that the last restart was put off
        self.restart_due = 0  # CLOCK_BOOTTIME ns of the next start by its policy
        # Its leases: nobody else's while it is watched, or may not have given them back yet.
        self.endpoints: list[dict[str, Any]] = []  # see `machine.leases`; "leaving": being given back
        self.ports: list[dict[str, Any]] = []
        self.requested: list[list[str]] = []  # [network's id, address] of each that was asked for
        self.joins = ""  # the container whose network namespace it was created to share
        self.netns: dict[str, Any] = {}  # whose network namespace it is in, where that is not its own
        self.last: dict[str, Any] = {}  # {"endpoints", "ports"} of its last start: to be had again where free

    def wake(self) -> None:
        """To be called before the first change. It is awake."""

    def rest(self) -> bytes:
        """What one asleep needs beside `BRIEF`, as JSON: what a new container does not have as well."""
        new = Container(self.id).dump()
        mine = {name: value for name, value in self.dump().items() if value != new[name]}
        return plainjson.dumps({name: value for name, value in mine.items() if name not in BRIEF})

    def setting(self, key: str) -> Any:
        """The value of a setting, or its default."""
        return setting(self.settings, key)

    def note_requests(self) -> None:
        """After `connections` changed: whoever looks for a free address must not read the settings of a thousand."""
        rows = [
            (one.get("network"), one.get(key)) for one in self.setting("connections") for key in ("ip", "ip6")
        ]
        self.requested = [[network, address] for network, address in rows if network and address]

    @property
    def hostname(self) -> str:
        """As asked for, or the first digits of its id."""
        return self.setting("hostname") or self.id[:SHORT]

    @property
    def process_identity(self) -> dict[str, Any] | None:
        """{pid, start, boot} of its first process while it is held."""
        init = self.holding("init")
        if init is None or not init.facts.get("pid"):
            return None
        return {key: init.facts[key] for key in ("pid", "start", "boot")}

    @property
    def cgroup(self) -> dict[str, Any] | None:
        """The facts of its cgroup while that is held and made."""
        row = self.holding("cgroup")
        return row.facts if row is not None and row.facts else None


class Standing(Subject):
    """What stays until it is removed, mended whenever it is found broken. `error`: why its last making failed."""

    __slots__ = ()


class Network(Standing):
    """A bridge of ours. `subnets`: {"subnet", "gateway"} of each, IPv4 first."""

    __slots__ = ("created", "device", "driver", "id", "internal", "labels", "name", "subnets")

    def __init__(self, network_id: str) -> None:
        super().__init__(f"network/{network_id}", "absent")
        self.id, self.name, self.driver, self.device = network_id, "", "", ""
        self.subnets: list[dict[str, Any]] = []
        self.internal = False
        self.labels: dict[str, str] = {}
        self.created = 0


class Layer(Subject):
    """An extracted image layer. A removed one stays as a mark: the same bytes may come again."""

    __slots__ = ("digest", "entries", "path", "size")

    def __init__(self, digest: str) -> None:
        super().__init__(f"layer/{digest}", "absent")
        self.digest, self.size, self.entries, self.path = digest, 0, 0, ""


class Job(Subject):
    """Work that is not a container's life: import, commit, cp; its half-made things lie in `staging`.

    `error`: what its staging directory failed of. `publishing`: {path, inode, image} of what it was about to publish.
    """

    __slots__ = ("about", "id", "kind", "publishing", "staging", "target")

    def __init__(self, job_id: str) -> None:
        super().__init__(f"job/{job_id}", "absent")
        self.id, self.kind, self.about, self.target, self.staging = job_id, "", "", "", ""
        self.publishing: dict[str, Any] | None = None


class Image(Slots):
    """A name for layers. A removed one stays as a mark, since its stream may go on under the same name."""

    __slots__ = ("created", "layers", "name", "source", "status", "version")

    def __init__(self, name: str) -> None:
        self.name = name
        self.status = "absent"
        self.version = 0
        self.layers: list[str] = []
        self.source: dict[str, Any] = {}
        self.created = 0


class Host(Standing):
    """The machine as last seen, and where on it the root was (`machine.home.Here`). Its boot id tells a reboot.

    `run`: the directory of what may vanish in this boot, of whatever is live.
    `networks`: id -> families (4, 6) to be forwarded, of each that is there; the firewall stands while any is.
    """

    __slots__ = ("boot", "boots", "id", "machine", "networks", "path", "root", "run", "spaces")

    def __init__(self) -> None:
        super().__init__("host", "idle")
        self.boot = self.machine = self.path = self.id = self.run = ""
        self.boots = self.root = 0
        self.spaces: list[int] = []
        self.networks: dict[str, list[int]] = {}


def shape() -> str:
    """All slots of all subjects: a snapshot of other slots cannot be loaded."""
    return repr(
        [BRIEF, *((cls.__name__, _slots(cls)) for cls in (Held, Container, Network, Layer, Job, Image, Host))]
    )


def _slots(cls: type) -> list[str]:
    names = [name for base in reversed(cls.__mro__) for name in base.__dict__.get("__slots__", ())]
    return [name for name in names if name[0] != "_"]


def _dumped(value: Any) -> Any:
    if isinstance(value, list) and value and isinstance(value[0], Held):
        return [row.dump() for row in value]
    return value


def loaded(name: str, value: Any) -> Any:
    """What `dump` made of a slot, as the slot has it."""
    return [Held.load(row) for row in value] if name in ("held", "leftovers") else value
