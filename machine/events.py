"""Every event the engine's journal can hold. A tag that was ever written is never changed.

Decisions (what was asked or observed) are past participles; `effect.*` are intents and outcomes.
No secret is ever in one: environment values and the full argv lie in the container's process file.
"""

from __future__ import annotations

from eventstore.event import Event
from eventstore.schema import Schema

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# --- containers: stream container/<id> ------------------------------------------------------------


class ContainerCreated(Event, tag="container.created"):
    """`settings` is the whole specification less the secrets: see `machine.settings`."""

    id: str
    name: str
    image: str
    layers: list[str]  # digests, uppermost first
    command: list[str]  # for people: cut to 1 KiB, undecodable bytes shown as \\xNN
    process: str  # file name in the container's directory that holds argv and environment
    env_keys: list[str]
    settings: dict[str, Any]


class ContainerStartRequested(Event, tag="container.start_requested"):
    """With what nobody else has from now on: addresses and ports. See `machine.leases`."""

    endpoints: list[dict[str, Any]] = []
    ports: list[dict[str, Any]] = []
    netns: dict[str, Any] = {}  # id, hostname, and pid, start, boot of whose namespace it joins


class ContainerMonitored(Event, tag="container.monitored"):
    """Which process settles the container from now on."""

    pid: int
    start: int
    boot: str


class ContainerStopRequested(Event, tag="container.stop_requested"):
    signal: int
    timeout: int  # ns until SIGKILL; -1: never


class ContainerKillRequested(Event, tag="container.kill_requested"):
    signal: int


class ContainerPauseRequested(Event, tag="container.pause_requested"):
    pass


class ContainerUnpauseRequested(Event, tag="container.unpause_requested"):
    pass


class ContainerExited(Event, tag="container.exited"):
    """`code` is None where nobody could learn it: unknown is never 0."""

    code: int | None
    signal: int = 0
    reason: str = "exit"  # exit, signal, oom, lost: monitor, lost: reboot, lost: moved
    up_at: int = 0  # CLOCK_BOOTTIME ns when it was seen


class ContainerRestartRequested(Event, tag="container.restart_requested"):
    """A restart policy decided, or a health check did (`cause`); `delay` ns from now.

    `endpoints`, `ports`: what it keeps meanwhile, or has got again where it had ended before the machine went down.
    """

    delay: int = 0
    cause: str = "restart policy"
    endpoints: list[dict[str, Any]] = []
    ports: list[dict[str, Any]] = []


class ContainerRemoveRequested(Event, tag="container.remove_requested"):
    force: bool = False


class ContainerRenamed(Event, tag="container.renamed"):
    name: str


class ContainerUpdated(Event, tag="container.updated"):
    """Keys of `settings` that change; the others stay."""

    settings: dict[str, Any]


class ContainerConnected(Event, tag="container.connected"):
    """One more network. `endpoint`: its place there, {} where it is not live; `ports`: all that it has now."""

    connection: dict[str, Any]
    endpoint: dict[str, Any] = {}
    ports: list[dict[str, Any]] = []


class ContainerDisconnected(Event, tag="container.disconnected"):
    """One network less. `ports`: what remains."""

    network: str
    ports: list[dict[str, Any]] = []
    name: str = ""  # of the network


class ContainerHealthChanged(Event, tag="container.health_changed"):
    """What its health check has come to, where that is new: healthy or unhealthy. Its probes are in no event."""

    health: str
    failures: int  # in a row
    code: int  # of the last probe; -1: it did not end in time, or could not be run


class ExecStarted(Event, tag="exec.started"):
    exec: str
    command: list[str]
    user: str = ""
    tty: bool = False


class ExecExited(Event, tag="exec.exited"):
    exec: str
    code: int | None


# --- effects: on the stream of the subject that holds the resource ---------------------------------


class EffectDo(Event, tag="effect.do"):
    """Intent: the resource is held from here on. `spec` holds all that undoing will ever need."""

    kind: str
    key: str
    spec: dict[str, Any]


class EffectUndo(Event, tag="effect.undo"):
    kind: str
    key: str


class EffectChange(Event, tag="effect.change"):
    kind: str
    key: str
    spec: dict[str, Any]


class EffectDone(Event, tag="effect.done"):
    verb: str  # do, undo, change
    kind: str
    key: str
    facts: dict[str, Any] = {}


class EffectFailed(Event, tag="effect.failed"):
    verb: str
    kind: str
    key: str
    errno: int
    step: str
    message: str


class EffectLost(Event, tag="effect.lost"):
    """Observed: the kernel no longer has it."""

    kind: str
    key: str


# --- images and layers: streams image/<name>, layer/<digest> ---------------------------------------


class LayerPublished(Event, tag="layer.published"):
    digest: str
    size: int
    entries: int
    path: str


class LayerRemoveRequested(Event, tag="layer.remove_requested"):
    pass


class ImagePublished(Event, tag="image.published"):
    """`source` identifies the tar it was read from: path, device, inode, size, mtime, ctime (ns)."""

    name: str
    layers: list[str]
    source: dict[str, int | str]


class ImageRemoved(Event, tag="image.removed"):
    name: str


# --- networks: stream network/<id> --------------------------------------------------------------------


class NetworkCreated(Event, tag="network.created"):
    """`subnets`: {"subnet", "gateway"} of each, IPv4 first; `device`: the bridge's name."""

    id: str
    name: str
    driver: str
    device: str
    subnets: list[dict[str, Any]]
    internal: bool = False
    labels: dict[str, str] = {}


class NetworkRemoveRequested(Event, tag="network.remove_requested"):
    pass


# --- jobs: stream job/<id> --------------------------------------------------------------------------


class JobStarted(Event, tag="job.started"):
    """`kind`: import, commit, cp, export; `subject`: what it works on, for people and for `history`."""

    id: str
    kind: str
    subject: str
    target: str
    staging: str


class JobPublishing(Event, tag="job.publishing"):
    """What it made, file `inode`, gets the name `path` next, and is then image `image`, if that is not empty."""

    path: str
    inode: int
    image: str = ""


class JobFinished(Event, tag="job.finished"):
    result: str = ""


class JobAbandoned(Event, tag="job.abandoned"):
    reason: str


# --- the host: stream host --------------------------------------------------------------------------


class HostBooted(Event, tag="host.booted"):
    """Where the root is at home from now on (`machine.home.Here`): after a boot, and where it was adopted."""

    boot: str
    machine: str
    root: int = 0  # inode of its journal's directory
    path: str = ""
    spaces: list[int] = []
    id: str = ""  # the root's in names of cgroups and devices, since it was adopted; else the journal's
    run: str = ""  # the run directory of this boot


class HostRunDirChanged(Event, tag="host.run_dir_changed"):
    """Another one from now on, in the same boot; nothing that lives has anything in the one before."""

    run: str


class HostSwept(Event, tag="host.swept"):
    """What lies in the store, and nothing in the journal tells of it, is about to be removed."""

    paths: list[str]  # below ROOT, the first of them
    count: int


EVENTS: tuple[type[Event], ...] = (
    ContainerCreated,
    ContainerStartRequested,
    ContainerMonitored,
    ContainerStopRequested,
    ContainerKillRequested,
    ContainerPauseRequested,
    ContainerUnpauseRequested,
    ContainerExited,
    ContainerRestartRequested,
    ContainerRemoveRequested,
    ContainerRenamed,
    ContainerUpdated,
    ContainerConnected,
    ContainerDisconnected,
    ContainerHealthChanged,
    ExecStarted,
    ExecExited,
    EffectDo,
    EffectUndo,
    EffectChange,
    EffectDone,
    EffectFailed,
    EffectLost,
    LayerPublished,
    LayerRemoveRequested,
    ImagePublished,
    ImageRemoved,
    NetworkCreated,
    NetworkRemoveRequested,
    JobStarted,
    JobPublishing,
    JobFinished,
    JobAbandoned,
    HostBooted,
    HostRunDirChanged,
    HostSwept,
)

# By what people call a container, of which only the journal may still know.
NAMING = {ContainerCreated.tag: ("name", "id"), ContainerRenamed.tag: ("name",)}

SCHEMA = Schema(1, EVENTS, keywords=NAMING | {JobStarted.tag: ("subject",)})
