"""What images and jobs keep on disk: layers, and the half-made things of a job. LEAN."""

from __future__ import annotations

import errno

from effects.failure import StepFailed
from effects.trees import ensure_dir, remove_durably

TYPE_CHECKING = False
if TYPE_CHECKING:
    from effects.host import Facts, Host, Spec


class Staging:
    """The directory where a job makes something before it is published; nothing in it need outlive a crash.

    spec    path
    facts   {}
    """

    def probe(self, spec: Spec, host: Host) -> Facts | None:
        return {} if host.exists(spec["path"]) else None

    def do(self, spec: Spec, host: Host) -> Facts:
        ensure_dir(host, spec["path"])
        return {}

    def undo(self, spec: Spec, _facts: Facts, host: Host) -> None:
        remove_durably(host, spec["path"])


class Layer:
    """An extracted layer of an image. A job made and published it; here it is only kept and removed.

    spec    path: ROOT/layers/<digest>
    facts   {}
    """

    def probe(self, spec: Spec, host: Host) -> Facts | None:
        return {} if host.exists(spec["path"]) else None

    def do(self, spec: Spec, _host: Host) -> Facts:
        raise StepFailed(
            "layer", errno.ENOENT, "the layer is not there, and only an import makes one", spec["path"]
        )

    def undo(self, spec: Spec, _facts: Facts, host: Host) -> None:
        remove_durably(host, spec["path"])
