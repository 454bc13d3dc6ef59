"""Where a root's things lie. Pure."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from machine.subjects import Host


class Places:
    """Where things lie; given once, so that `plan` derives every path from facts alone."""

    def __init__(self, root: str, run: str, root_id: str) -> None:
        self.root, self.run, self.root_id = root, run, root_id

    @property
    def cgroup(self) -> str:
        """The cgroup in which those of containers, monitors and name servers lie."""
        return f"mydocker-{self.root_id}"

    def noted(self, host: Host) -> Places:
        """As the journal tells it, where it does."""
        run, root_id = host.run or self.run, host.id or self.root_id
        return self if (run, root_id) == (self.run, self.root_id) else Places(self.root, run, root_id)

    def container(self, container_id: str) -> str:
        return f"{self.root}/containers/{container_id}"
