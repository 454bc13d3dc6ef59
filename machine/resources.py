"""The one table of resources: which status holds which, and which of them live on disk."""

from __future__ import annotations

# Statuses in which a container may have processes, and those in which it has a monitor.
LIVE = ("starting", "running", "paused", "stopping")
WATCHED = (*LIVE, "restarting")
# Those of one that is not there for anybody any more.
GONE = ("absent", "removing", "removed")

# Held resources by status, in the order they are made; undone in reverse.
RUN = ("directory", "cgroup", "init", "endpoint", "rules", "resolver", "root_link", "release")
HOLDS: dict[str, tuple[str, ...]] = {
    "creating": ("directory",),
    "created": ("directory",),
    "starting": RUN,
    "running": RUN,
    "paused": (*RUN, "frozen"),
    "stopping": RUN,
    "exited": ("directory",),
    "restarting": ("directory",),
    "failed": ("directory",),
    "removing": (),
    "removed": (),
    # networks
    "active": ("bridge", "rules", "dns"),
    # the host
    "idle": (),
    "networked": ("forwarding", "firewall"),
    # layers
    "published": ("layer",),
    # jobs
    "working": ("staging",),
    "done": (),
    "abandoned": (),
}

# Each stands on those before it, so they are undone from behind, in whatever order they were made anew.
RANK = {
    kind: place for place, kind in enumerate(("forwarding", "firewall", "bridge", *HOLDS["paused"], "dns"))
}

# Survive a power cut: the intent must be on disk before the deed. The others die with the kernel.
DISK = frozenset({"directory", "layer", "staging"})

# Events that may use the space kept for a full disk: they make room, or tell what must not be lost.
MAKES_ROOM = frozenset({
    *("container.exited", "container.stop_requested", "container.kill_requested"),
    *("container.remove_requested", "exec.exited", "image.removed", "layer.remove_requested"),
    *("network.remove_requested", "container.disconnected"),
    *("journal.archived", "job.abandoned", "host.booted", "host.swept", "container.monitored"),
    "host.run_dir_changed",
    *("effect.undo", "effect.done", "effect.failed", "effect.lost"),
})  # fmt: skip

# What a boot takes with it, whole. The root link is a file in ROOT: it dangles, and is still to be removed.
VOLATILE = frozenset({
    *("cgroup", "init", "release", "frozen"),
    *("endpoint", "rules", "resolver", "bridge", "dns", "firewall", "forwarding"),
})  # fmt: skip

# What a lease stands for: an address or port is somebody's as long as one of these may be there.
NETWORKING = frozenset({"endpoint", "rules", "resolver"})

# These, and what they stand on: all that anybody can find out who may ask the kernel.
OF_NETWORKS = NETWORKING | {"bridge", "dns", "firewall", "forwarding"}

# Done once, held by nobody.
ONE_SHOT = frozenset({"signal"})
