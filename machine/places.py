"""Where a root's things lie. Pure."""

from __future__ import annotations


class Places:
    """Where things lie; given once, so that `plan` derives every path from facts alone."""

    def __init__(self, root: str, run: str, root_id: str) -> None:
        self.root, self.run, self.root_id = root, run, root_id

    @property
    def cgroup(self) -> str:
        """The cgroup in which those of containers, monitors and name servers lie."""
        return f"mydocker-{self.root_id}"

    def container(self, container_id: str) -> str:
        return f"{self.root}/containers/{container_id}"
