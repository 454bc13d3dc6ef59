"""Containers from a snapshot, most of which nobody asks for more than what lists show. A monitor has none."""

from __future__ import annotations

from eventstore import plainjson
from machine.subjects import BRIEF, Container, loaded

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Asleep(Container):
    """A container from a snapshot: with what lists show, the rest being JSON until somebody asks for it.

    Then it becomes a plain Container, whose slots are read without the detour that `__getattr__` is.
    """

    __slots__ = ()

    def __init__(self, rest: bytes | memoryview, process: dict[str, Any] | None, *brief: Any) -> None:
        """By its `rest`, its `process_identity` and the values of `BRIEF`."""
        self.id, self.name, self.status, self.image, self.command, self.created, *more = brief
        self.exit, self.error, self.stopped_by_user, self.endpoints, self.ports, *last = more
        self.joins, self.health, self.requested = last
        self._rest, self._process = rest, process

    def wake(self) -> None:
        brief, rest = [getattr(self, name) for name in BRIEF], plainjson.loads(bytes(self._rest))
        self.__class__ = Container  # type: ignore[assignment]  # the same slots: that is what becomes of it
        self.__init__(self.id)  # type: ignore[misc]  # the plain one's
        for name, value in [*zip(BRIEF, brief, strict=True), *rest.items()]:
            setattr(self, name, loaded(name, value))

    def rest(self) -> bytes:
        return bytes(self._rest)

    @property
    def process_identity(self) -> dict[str, Any] | None:
        return self._process

    if not TYPE_CHECKING:  # to the type checker it has what a Container has, and nothing else

        def __getattr__(self, name: str) -> Any:
            """Called for a slot without a value."""
            if name[0] == "_":
                raise AttributeError(name)
            self.wake()
            return getattr(self, name)
