"""A container held still for jobs that read its files: for as long as the job's connection lives. LEAN."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from effects.control_server import Client, Server
    from machine.engine import Engine
    from machine.subjects import Container


class Freezes:
    """Which clients have the container frozen. Not a status: that a user paused it is another matter."""

    def __init__(self, engine: Engine, container: Container, server: Server) -> None:
        self._engine, self._container, self._server = engine, container, server
        self._holders: set[int] = set()

    def has_any(self) -> bool:
        """Whether a job holds it still."""
        return bool(self._holders)

    def freeze(self, client: Client) -> None:
        """Hold it still until the client has gone, whatever way, and answer the client."""
        if self._container.status != "running":
            self._server.tell(client, {"event": "frozen", "already": True})
            return
        result = self._engine.effects.do("frozen", self._container.cgroup or {})
        if isinstance(result, dict):
            self._holders.add(client.fd)
            self._server.tell(client, {"event": "frozen"})
        else:
            self._server.tell(client, {"event": "error", "message": f"{result.step}: {result.message}"})

    def is_held_by(self, fd: int) -> bool:
        """Whether the client of this descriptor holds it still."""
        return fd in self._holders

    def inherit(self, client: Client) -> None:
        """It held it still before, and does so yet."""
        self._holders.add(client.fd)

    def release(self, client: Client) -> None:
        """The client has gone; with the last of them the container goes on."""
        if client.fd in self._holders:
            self._holders.discard(client.fd)
            if not self._holders:
                self.thaw()

    def thaw(self) -> None:
        """No job holds it still any more."""
        cgroup = self._container.cgroup
        if cgroup is not None and self._container.status != "paused":
            self._engine.effects.undo("frozen", cgroup, {})
