"""ROOT/mnt/NAME: the way by which people look into a running container. LEAN."""

from __future__ import annotations

import errno

from effects.failure import StepFailed
from effects.trees import ensure_dir

TYPE_CHECKING = False
if TYPE_CHECKING:
    from effects.host import Facts, Host, Spec


class RootLink:
    """link -> via -> /proc/PID/fd/N, an O_PATH handle of the container's root that this process holds.

    A link to /proc/PID/root would lead into the host's files as soon as the pid is used again; the handle
    never does. `via` lies on a tmpfs, so that after a reboot the link in ROOT leads nowhere.

    spec    link: ROOT/mnt/NAME   via: RUN/<root id>/mnt/<container id>   pid, start, boot of the init
            left: if true, made before the root was moved here
    facts   {}
    """

    def probe(self, spec: Spec, host: Host) -> Facts | None:
        held = host.held_root(spec["via"])
        if held is None or host.read_link(spec["via"]) != held:
            return None
        return {} if host.read_link(spec["link"]) == spec["via"] else None

    def do(self, spec: Spec, host: Host) -> Facts:
        link, via = spec["link"], spec["via"]
        target = host.hold_root(via, spec)
        ensure_dir(host, via.rpartition("/")[0])
        host.symlink(target, via)
        ensure_dir(host, link.rpartition("/")[0])
        if host.exists(link) and host.read_link(link) is None:
            raise StepFailed("root link", errno.EEXIST, "something that is no link is in the way", link)
        host.symlink(via, link)
        return {}

    def undo(self, spec: Spec, _facts: Facts, host: Host) -> None:
        if host.read_link(spec["link"]) == spec["via"]:
            host.remove_file(spec["link"])
        if not spec.get("left"):  # then it is that of the root from which this one was copied
            host.remove_file(spec["via"])
        host.drop_root(spec["via"])
