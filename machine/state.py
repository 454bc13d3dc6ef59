"""All subjects by id: the state that events are folded into."""

from __future__ import annotations

from eventstore import plainjson
from machine.resources import GONE
from machine.subjects import BRIEF, Container, Host, Image, Job, Layer, Network, Subject

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any, Self

    from machine.subjects import Slots


# Kinds of things that have streams of their own (`<kind>/<key>`), and the slot that holds the key. A State has
# them by key in the attribute `<kind>s`. What may hold resources is settled in this order.
KINDS: dict[str, tuple[type[Slots], str]] = {
    "network": (Network, "id"),
    "container": (Container, "id"),
    "job": (Job, "id"),
    "layer": (Layer, "digest"),
    "image": (Image, "name"),
}
PROCESS = "process_identity"
HEAD = 4  # bytes


class State:
    """Everything the journal tells, by id; names point to ids.

    Removed containers and ended jobs are forgotten, unless they left something behind (`leftovers`).
    """

    def __init__(self) -> None:
        self.networks: dict[str, Network] = {}
        self.containers: dict[str, Container] = {}
        self.awake: dict[str, Container] = {}  # by stream, those that an event has come for
        self.layers: dict[str, Layer] = {}
        self.images: dict[str, Image] = {}
        self.jobs: dict[str, Job] = {}
        self.names: dict[str, str] = {}
        self.host = Host()
        self.journal = 0  # version of the journal's own stream

    def _of(self, kind: str) -> dict[str, Any]:
        found: dict[str, Any] = getattr(self, f"{kind}s")
        return found

    def subject(self, stream: str) -> Subject | None:
        """The subject of a stream, where it still has one."""
        kind, _, key = stream.partition("/")
        if kind == "host":
            return self.host
        found = self._of(kind).get(key) if kind in KINDS else None
        return found if isinstance(found, Subject) else None

    def subjects(self) -> Iterator[Subject]:
        """All that may hold resources, those that others stand on first."""
        yield self.host
        for kind, (cls, _) in KINDS.items():
            if issubclass(cls, Subject):
                yield from self._of(kind).values()

    def version(self, stream: str) -> int:
        """How many events the stream has had."""
        if stream in self.awake:
            return self.awake[stream].version
        kind, _, key = stream.partition("/")
        if kind == "journal":
            return self.journal
        found = self.host if kind == "host" else self._of(kind).get(key) if kind in KINDS else None
        return found.version if found is not None else 0

    # --- containers ----------------------------------------------------------------------------------

    def wake(self, container_id: str) -> Container:
        """The container, which is going to change; a new one where there is none."""
        c = self.containers.get(container_id) or Container(container_id)
        c.wake()
        self.put(c)
        return c

    def put(self, c: Container) -> None:
        """Under its id, in place of any other."""
        self.containers[c.id] = self.awake[c.stream] = c

    def forget(self, c: Container) -> None:
        """It is gone."""
        del self.containers[c.id]
        self.awake.pop(c.stream, None)

    # --- as JSON values, for a monitor ---------------------------------------------------------------

    def dump(self) -> dict[str, Any]:
        """The whole state as JSON values."""
        return {"containers": [c.dump() for c in self.containers.values()], **self._dump_others()}

    @classmethod
    def load(cls, state: dict[str, Any]) -> Self:
        """The state that `dump` described; missing parts are empty."""
        world = cls()
        world._admit(map(Container.load, state.get("containers", ())))
        world._load_others(state)
        return world

    def _dump_others(self) -> dict[str, Any]:
        parts: dict[str, Any] = {
            f"{kind}s": [one.dump() for one in self._of(kind).values()]
            for kind in KINDS
            if kind != "container"
        }
        return parts | {"host": self.host.dump(), "journal": self.journal}

    def _load_others(self, state: dict[str, Any]) -> None:
        for kind, (cls, key) in KINDS.items():
            if kind != "container":
                for one in map(cls.load, state.get(f"{kind}s", ())):
                    self._of(kind)[getattr(one, key)] = one
        if "host" in state:
            self.host = Host.load(state["host"])
        self.journal = state.get("journal", 0)

    def _admit(self, containers: Iterable[Container]) -> None:
        for container in containers:
            self.containers[container.id] = container
            if container.status not in GONE:
                self.names[container.name] = container.id

    # --- as bytes, for a snapshot --------------------------------------------------------------------

    def pack(self) -> bytes:
        """The whole state: four bytes with the length of what follows, JSON (all but the containers; what lists
        show of these, in columns), then the rest of each container.
        """
        containers = self.containers.values()
        rests = [c.rest() for c in containers]
        brief = {name: [getattr(c, name) for c in containers] for name in (PROCESS, *BRIEF)}
        head = plainjson.dumps(
            {**self._dump_others(), "containers": {**brief, "rest": list(map(len, rests))}}
        )
        return b"".join([len(head).to_bytes(HEAD, "big"), head, *rests])

    @classmethod
    def unpack(cls, packed: bytes | memoryview) -> Self:
        """The state that `pack` described, its containers asleep: most commands ask for one of a thousand."""
        from machine.asleep import Asleep  # a monitor starts from no snapshot

        world, view = cls(), memoryview(packed)
        begin = HEAD + int.from_bytes(view[:HEAD], "big")
        state = plainjson.loads(bytes(view[HEAD:begin]))
        brief, rests = state["containers"], []
        for size in brief["rest"]:
            rests.append(view[begin : begin + size])
            begin += size
        world._admit(map(Asleep, rests, *(brief[name] for name in (PROCESS, *BRIEF))))
        world._load_others(state)
        return world
