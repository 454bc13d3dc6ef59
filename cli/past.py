"""What has been, as the journal tells it: of removed containers too, and of whoever bore a name before."""

from __future__ import annotations

from cli.session import Session
from eventstore.errors import JournalMissing
from machine.errors import AmbiguousPrefix, MachineError, NoSuchContainer
from machine.events import NAMING, SCHEMA
from machine.world import World

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator
    from typing import Any

    Lines = Iterator[tuple[Any, bytes]]

BY_INDEX = 20  # streams; for each, the segment that is still written to is searched as a whole
HEX = frozenset("0123456789abcdef")  # digits of ids
ENGINE_STREAMS = ("host", "journal")  # the streams that are nobody's in particular


class NoSuchStream(MachineError):
    """Nothing was ever recorded of it."""

    def __init__(self, stream: str) -> None:
        self.stream = stream
        super().__init__(f"the journal tells nothing of {stream}")


def events(root: str) -> Iterator[Any]:
    """Every event of the root's journal, oldest first; none where there is no journal."""
    from eventstore.bulk import bulk_decoder
    from eventstore.reader import read_events

    try:
        yield from read_events(f"{root}/journal", SCHEMA, decode=bulk_decoder(SCHEMA))
    except JournalMissing:
        return


def streams_of(session: Session, reference: str, *, every: bool) -> list[str]:
    """The streams that a name, an id or a unique prefix means; with `every`, all that ever bore the name.

    A name means who bears it now, else who bore it last. What holds a slash is a stream itself, such as image/busybox.
    Raises NoSuchContainer, AmbiguousPrefix.
    """
    if "/" in reference:
        return [reference]
    if not every and (present := session.world.names.get(reference)) is not None:
        return [f"container/{present}"]
    bearers, ids = _bearers(session.root, reference)
    if bearers:
        found = bearers if every else bearers[-1:]
    elif reference in ENGINE_STREAMS:
        return [reference]
    else:
        found = [_by_prefix(session, ids, reference)]
    return list(dict.fromkeys(f"container/{container_id}" for container_id in found))


def told(root: str, streams: Collection[str]) -> Iterator[tuple[Any, bool]]:
    """(event, whether it was impossible and changed nothing) of these streams, oldest first."""
    world, wanted = World(), frozenset(streams)
    # A boot takes with it what they held.
    for event, _line in _of(root, wanted | {"host"}):
        world.apply(event)
        if event.s in wanted:
            subject = world.subject(event.s)
            yield event, subject is not None and event.n in subject.anomalies[-1:]


def lines(root: str, streams: Collection[str]) -> Iterator[bytes]:
    """The lines of these streams with their newlines, byte for byte as they are on disk."""
    for _event, line in _of(root, frozenset(streams)):
        yield line


def _of(root: str, streams: frozenset[str]) -> Lines:
    """The events of these streams and their lines: of a few by the journal's index, of many by reading all."""
    from cli.sifting import lines_behind
    from eventstore.reader import stream_lines

    try:
        if len(streams) > BY_INDEX:
            yield from (pair for pair in lines_behind(root, 0) if pair[0].s in streams)
        else:
            yield from _by_index(stream_lines, root, *streams)
    except JournalMissing:
        return


def jobs(root: str) -> list[dict[str, Any]]:
    """Every job: id, kind, about, target, started (ns), by, state (working, done or abandoned) and result."""
    found: dict[str, dict[str, Any]] = {}
    for event in events(root):
        kind, _, job_id = event.s.partition("/")
        if kind != "job":
            continue
        if event.tag == "job.started":
            found[job_id] = {
                "id": job_id,
                "kind": event.kind,
                "about": event.subject,
                "target": event.target,
                "started": event.ts,
                "by": event.by,
                "state": "working",
                "result": "",
            }
        elif job_id in found:
            _go_on(found[job_id], event)
    return list(found.values())


def _go_on(job: dict[str, Any], event: Any) -> None:
    from machine.story import sentence

    if event.tag == "job.finished":
        job["state"], job["result"] = "done", event.result
    elif event.tag == "job.abandoned":
        job["state"], job["result"] = "abandoned", event.reason
    elif event.tag == "effect.failed":
        job["result"] = "; ".join(filter(None, [job["result"], sentence(event)]))


def _bearers(root: str, reference: str) -> tuple[list[str], list[str]]:
    """(ids of the containers that bore the name, the last to get it last; ids that begin with it)."""
    bearers, ids = [], []
    for event in _mentions(root, reference):
        if event.tag in NAMING and event.name == reference:
            bearers.append(event.s.partition("/")[2])
        if event.tag == "container.created" and event.id.startswith(reference):
            ids.append(event.id)
    return bearers, ids


def _mentions(root: str, reference: str) -> Iterator[Any]:
    """By the journal's index: what names it, as a container's name, a job's subject, or the beginning of an id."""
    from eventstore.index import WORD
    from eventstore.reader import beginning_events, word_events

    try:
        yield from _by_index(word_events, root, reference)
        if 0 < len(reference) < WORD and set(reference) <= HEX:
            yield from (e for e in _by_index(beginning_events, root, reference) if e.tag in NAMING)
    except JournalMissing:
        return


def _by_index(find: Callable[..., Iterable[Any]], root: str, *asked: str) -> list[Any]:
    """All of it at once. Who is the first to ask, after an upgrade, waits until the index is made, and sees how far it is."""
    from cli.progress import Progress

    with Progress("indexing the journal", 0, "segments") as progress:
        return list(find(f"{root}/journal", SCHEMA, *asked, told=progress.of))


def to_sift(root: str, filters: list[str], since: int | None) -> tuple[int, Lines]:
    """(number of the event before the first that is read, the events that may pass and their lines, to the end as of now).

    Of containers that are asked for by name or id, only what is about them. JournalMissing.
    """
    from cli.sifting import containers_of, lines_behind, place_before

    asked = containers_of(filters)
    place = place_before(root, since)
    return (0, _about(root, asked)) if asked else (place, lines_behind(root, place))


def _about(root: str, references: list[str]) -> Lines:
    """Of all containers, past and present, that these names or beginnings of ids may mean."""
    streams = set()
    for reference in references:
        for event in _mentions(root, reference):
            name = event.subject if event.tag == "job.started" else event.name
            if reference == name or event.s.startswith(f"container/{reference}"):
                streams.add(event.s)
    return _of(root, frozenset(streams)) if streams else iter(())


def _otherwise(world: World, name: str) -> list[str]:
    """The hint for whoever meant something else by the name, as docker's `history IMAGE` does."""
    if name in world.images:
        return [f"there is an image: mydocker history image/{name}"]
    network = next((net for net in world.networks.values() if net.name == name), None)
    return [f"there is a network: mydocker history {network.stream}"] if network is not None else []


def _by_prefix(session: Session, ids: list[str], prefix: str) -> str:
    """One container that is there goes before any number that are gone, as in every other command."""
    gone = [container_id for container_id in ids if prefix and container_id.startswith(prefix)]
    there = [
        i for i in gone if i in session.world.containers and session.world.containers[i].status != "removed"
    ]
    found = there or gone
    if not found:
        raise NoSuchContainer(prefix, *_otherwise(session.world, prefix))
    if len(found) > 1:
        raise AmbiguousPrefix(prefix, found)
    return found[0]
