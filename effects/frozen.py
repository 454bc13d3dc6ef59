"""A container held still: every process of its cgroup stopped where it is. LEAN."""

from __future__ import annotations

import errno

from effects.cgroup_tree import places
from effects.failure import StepFailed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from effects.host import Facts, Host, Spec

_PATIENCE = 10.0  # seconds; a process in an uninterruptible wait freezes only after it


class Frozen:
    """Frozen through cgroup version 2 where the container has such a cgroup (the frozen may be killed
    there), else through version 1's freezer.

    spec    the facts of the container's cgroup; {} where that is gone and could not be made anew
    facts   {}
    """

    def probe(self, spec: Spec, host: Host) -> Facts | None:
        control, *_, state, frozen, _ = _freezer(spec)
        if not host.exists(control):
            return None
        return {} if frozen in host.read_file(state).decode().split("\n") else None

    def do(self, spec: Spec, host: Host) -> Facts:
        control, freeze, _, state, frozen, _ = _freezer(spec)
        host.write_control(control, freeze)
        host.wait_control(state, frozen, _PATIENCE)
        return {}

    def undo(self, spec: Spec, _facts: Facts, host: Host) -> None:
        try:
            control, _, thaw, state, _, thawed = _freezer(spec)
            host.write_control(control, thaw)
            host.wait_control(state, thawed, _PATIENCE)
        except OSError as error:
            # ENODEV: the cgroup was removed between our open and our read.
            if error.errno not in {errno.ENOENT, errno.ENODEV}:
                raise


def _freezer(spec: Spec) -> tuple[str, str, str, str, str, str]:
    """Control file, what freezes, what thaws; state file, its line when frozen, when thawed."""
    if not spec:
        raise StepFailed("freeze", errno.ENODEV, "its cgroup is gone")
    where = places(spec)
    if v2 := where["cgroup2"]:
        return (f"{v2}/cgroup.freeze", "1", "0", f"{v2}/cgroup.events", "frozen 1", "frozen 0")
    if v1 := where["dirs"].get("freezer"):
        state = f"{v1}/freezer.state"
        return (state, "FROZEN", "THAWED", state, "FROZEN", "THAWED")
    message = "this machine has neither the freezer controller nor cgroup version 2"
    raise StepFailed("freeze", errno.ENODEV, message, "/proc/self/mountinfo")
