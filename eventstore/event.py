"""The base of all events: fields by annotation, and the envelope that the journal stamps on.

Plain classes, so that a process which only appends pays for no schema library at start-up
(`import msgspec` costs 20-30 ms). The same annotations make the msgspec decoders of `eventstore.schema`.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, ClassVar, dataclass_transform
else:

    def dataclass_transform(**_options):
        return lambda cls: cls


@dataclass_transform(kw_only_default=True)
class Event:
    """One thing that happened. `Event` subclasses name their tag and annotate their fields:

        class Renamed(Event, tag="container.renamed"):
            name: str

    Fields hold JSON only: int, str, bool, None, lists and dicts of these with str keys; no floats
    (the encoders would differ), no lone surrogates (msgspec refuses them). Values are not checked here
    but when they are read. A tag that was ever written is never changed.

    The envelope is absent until the journal appends the event:
    n    number in the journal, gapless from 1
    ts   wall clock, ns since the epoch; for people, never for order
    up   CLOCK_BOOTTIME, ns; durations and back-off use it
    s    stream, such as `container/<id>`
    v    number within the stream, from 1
    op   id of the command that caused it; all events of one command share it
    by   who: uid, login (uid), pid, cmd
    why  cause: user, monitor, replay, reboot, ...
    """

    tag: ClassVar[str]
    fields: ClassVar[tuple[str, ...]]
    defaults: ClassVar[dict[str, Any]]
    _names: ClassVar[frozenset[str]]  # the fields once more

    n: int
    ts: int
    up: int
    s: str
    v: int
    op: str
    by: dict[str, int | str]
    why: str

    def __init_subclass__(cls, *, tag: str) -> None:
        cls.tag = tag
        cls.fields = tuple(cls.__dict__.get("__annotations__", ()))  # noqa: RUF063 - `import inspect` costs 8 ms
        cls._names = frozenset(cls.fields)
        cls.defaults = {name: cls.__dict__[name] for name in cls.fields if name in cls.__dict__}

    def __init__(self, **values: Any) -> None:
        have = self.__dict__
        have.update(self.defaults)
        have.update(values)
        if have.keys() != self._names:
            missing, unknown = sorted(self._names - have.keys()), sorted(values.keys() - self._names)
            raise TypeError(f"{type(self).__name__}: missing {missing}, unknown {unknown}")

    def payload(self) -> dict[str, Any]:
        """The event's own fields, without the envelope, in the order of their annotation."""
        return {name: getattr(self, name) for name in self.fields}

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.__dict__ == other.__dict__

    __hash__ = None  # type: ignore[assignment]  # compared by value, stamped later: no key of a dict

    def __repr__(self) -> str:
        inside = ", ".join(f"{key}={value!r}" for key, value in self.payload().items())
        return f"{type(self).__name__}({inside})"


class Actor:
    """Who acts, and as which command: `by` and `op` of every event appended."""

    __slots__ = ("by", "op")

    def __init__(self, by: dict[str, int | str], op: str) -> None:
        self.by, self.op = by, op


ENVELOPE = ("n", "ts", "up", "s", "v", "op", "by", "why")
