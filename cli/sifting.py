"""Which events somebody wants to be told of: `--since`, `--until` and `--filter`, as in docker and further."""

from __future__ import annotations

from cli.accounts import account
from cli.names import Names
from eventstore.errors import JournalMissing
from machine import acts, moments, parse
from machine.errors import InvalidValue
from machine.events import SCHEMA

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any

FILTERS = ("actor", "cause", "container", "event", "image", "kind", "label", "network", "op", "type")
KINDS = ("decision", "effect")


def span(since: int | None, until: int | None) -> None:
    """Refuse a span of time that ends before it begins. InvalidValue."""
    if since is not None and until is not None and until < since:
        raise InvalidValue(
            "--until", moments.rfc3339(until), f"it is before --since, {moments.rfc3339(since)}"
        )


class Sieve:
    """Lets pass what fits: one of the values of each key; of `label`, all."""

    def __init__(self, texts: Iterable[str], names: Names, *, since: int | None, until: int | None) -> None:
        span(since, until)
        self._names = names
        self._since, self._until = since, until
        self._jobs: dict[str, tuple[str, str]] = {}  # stream -> what it works on, and its target
        wanted = parse.filters(texts, FILTERS, "--filter")
        self._tags = {tag for word in wanted.get("event", ()) for tag in acts.tags_of(word, "--filter")}
        _check("kind", wanted, KINDS)
        _check("type", wanted, acts.KINDS)
        self._wanted = {key: values for key, values in wanted.items() if key != "event"}
        self._tests: dict[str, Callable[[Any, str], bool]] = {
            "actor": _acted,
            "cause": lambda event, text: event.why == text.replace("-", " ") or event.why == text,
            "container": self._is_container,
            "image": self._is_image,
            "kind": lambda event, text: acts.is_decision(event) == (text == "decision"),
            "label": self._has_label,
            "network": self._is_of_network,
            "op": lambda event, text: event.op == text,
            "type": lambda event, text: event.s.partition("/")[0] == text,
        }

    def passes(self, event: Any) -> bool:
        """Whether it is wanted. To be asked of every event in order, since names change on the way."""
        called = self._names.of(event.s) if event.tag == "container.renamed" else ""
        self._names.see(event)
        if event.tag == "job.started":
            self._jobs[event.s] = (event.subject, event.target)
        if (self._since is not None and event.ts < self._since) or self.is_late(event):
            return False
        if self._tags and event.tag not in self._tags:
            return False
        if called and called in self._wanted.get("container", ()):
            return True  # under the name that it gave up just now
        for key, texts in self._wanted.items():
            fits = (self._tests[key](event, text) for text in texts)
            if not (all(fits) if key == "label" else any(fits)):
                return False
        return True

    def is_late(self, event: Any) -> bool:
        """Whether it came after `until`."""
        return self._until is not None and bool(event.ts > self._until)

    def _is_container(self, event: Any, text: str) -> bool:
        kind, _, key = event.s.partition("/")
        if kind != "container":
            return self._jobs.get(event.s, ("", ""))[0] == text != ""
        return bool(text) and (key.startswith(text) or self._names.of(event.s) == text)

    def _is_image(self, event: Any, text: str) -> bool:
        if event.s == f"image/{text}" or self._jobs.get(event.s, ("", ""))[1] == text != "":
            return True
        bearer = self._names.bearer(event.s)
        return bearer is not None and bearer.image == text

    def _is_of_network(self, event: Any, text: str) -> bool:
        """Whether it is that network's own, or of a container that comes there or leaves."""
        kind, _, key = event.s.partition("/")
        if kind == "network":
            return bool(text) and (key.startswith(text) or self._names.of(event.s) == f"network {text}")
        places: list[dict[str, Any]] = []
        if event.tag == "container.start_requested":
            places = event.endpoints
        elif event.tag == "container.connected":
            places = [event.connection]
        elif event.tag == "container.disconnected":
            places = [{"network": event.network, "name": event.name}]
        return bool(text) and any(
            one.get("name") == text or str(one.get("network")).startswith(text) for one in places
        )

    def _has_label(self, event: Any, text: str) -> bool:
        bearer = self._names.bearer(event.s)
        key, equals, value = text.partition("=")
        if bearer is None or key not in bearer.labels:
            return False
        return not equals or bearer.labels[key] == value


def _check(key: str, wanted: dict[str, list[str]], known: Iterable[str]) -> None:
    for text in wanted.get(key, ()):
        if text not in known:
            raise InvalidValue("--filter", f"{key}={text}", f"expected one of {', '.join(known)}")


def _acted(event: Any, text: str) -> bool:
    """Whether the text is the uid or login that acted, or words of the command."""
    ids = [number for key in ("uid", "login") if (number := event.by.get(key, -1)) >= 0]
    if text in (word for number in ids for word in (str(number), account(number))):
        return True
    said = str(event.by.get("cmd", "")).split()
    return bool(text.split()) and all(word in said for word in text.split())


def containers_of(filters: Iterable[str]) -> list[str]:
    """The names and beginnings of ids that are asked for; none: all containers, and everything else."""
    return parse.filters(filters, FILTERS, "--filter").get("container", [])


# --- where to begin ------------------------------------------------------------------------------------


def place_before(root: str, since: int | None) -> int:
    """A number so that all events of `since` (ns) and later are behind it: a segment's begin, less one.

    However the clock was set, since then or before. JournalMissing.
    """
    from cli.travel import clock
    from eventstore.segments import segment_numbers

    directory = f"{root}/journal"
    if not segment_numbers(directory):
        raise JournalMissing(directory)
    if since is None:
        return 0
    with clock(root) as times:
        return times.place_before(since)


def events_behind(root: str, n: int) -> Iterator[Any]:
    """The events with numbers above `n`, to the journal's end as it is now."""
    for event, _line in lines_behind(root, n):
        yield event


def lines_behind(root: str, n: int) -> Iterator[tuple[Any, bytes]]:
    """The same, each with its line of the journal."""
    from eventstore.bulk import bulk_decoder
    from eventstore.reader import read_lines

    return read_lines(f"{root}/journal", SCHEMA, after=n, decode=bulk_decoder(SCHEMA))
