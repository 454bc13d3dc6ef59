"""The ends of sessions that no command waits for (`exec -d`): their joiners tell the monitor, which notes them. LEAN."""

from __future__ import annotations

from machine import decide

TYPE_CHECKING = False
if TYPE_CHECKING:
    from effects.control_server import Client
    from machine.engine import Engine
    from machine.subjects import Container


class Execs:
    """A session is known by the connection of its joiner: if that dies without a word, the end is unknown."""

    def __init__(self, engine: Engine, container: Container) -> None:
        self._engine, self._container = engine, container

    def begun(self, client: Client, exec_id: str) -> None:
        client.session = exec_id

    def ended(self, client: Client, code: int | None) -> None:
        """Note it, once; nothing where the client tells of no session."""
        if client.session:
            self._engine.decide(decide.end_exec, self._container.id, client.session, code, why="exit")
            client.session = ""  # only now: who goes on with other code asks again
