"""`mydocker events`."""

from __future__ import annotations

import select
import sys
import threading
import time

from cli.accounts import actor
from cli.declare import argument, command, flag, value
from cli.escape import json_line, safe
from cli.names import Names
from cli.past import to_sift
from cli.render import local_time
from cli.report import INTERRUPTED, echo
from cli.session import Session, pass_session
from cli.sifting import FILTERS, Sieve, lines_behind, place_before
from cli.travel import time_of
from eventstore.codec import parse
from eventstore.errors import JournalMissing
from machine import acts
from machine.story import sentence

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from eventstore.follow import Follower

    Lines = Iterator[tuple[Any, bytes]]

FIELDS = (
    *("N", "Time", "TimeNano", "Type", "Action", "Tag", "Stream", "ID", "Name", "Image", "What", "Why"),
    *("Who", "Uid", "Login", "Pid", "Cmd", "Op", "Actor", "Event"),
)


@command()
@value("since", "--since", parse=time_of, metavar="TIME", help="Only what came since: 10m, or a time.")
@value("until", "--until", parse=time_of, metavar="TIME", help="Only what came until then.")
@value("filters", "--filter", multiple=True, metavar="K=V", help=f"Only these: {', '.join(FILTERS)}.")
@flag("follow", "-f", "--follow", help="Go on as it happens: from now on, or from --since.")
@value("form", "--format", metavar="FORM", help="json, or a template such as {{.Name}} {{.Action}}.")
@argument("more", many=True, required=False, metavar="[K=V]...")
@pass_session
def events(
    session: Session,
    since: int | None,
    until: int | None,
    form: str | None,
    *,
    follow: bool,
    **chosen: tuple[str, ...],
) -> None:
    """Print what happened, any time back: one line an event, oldest first.

    K=V arguments are filters too. Times are docker's: 10m, 2006-01-02T15:04:05, unix seconds.
    """
    write = _writer(form or "")
    try:
        filters = [*chosen["filters"], *chosen["more"]]
        place, stream = _following(session, since, until) if follow else _past(session.root, filters, since)
        names = Names(session.root, place)
        sieve = Sieve(filters, names, since=since, until=until)
        for event, line in stream:
            if sieve.passes(event):
                write(event, line, names)
            elif follow and sieve.is_late(event):
                break
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


def _past(root: str, filters: list[str], since: int | None) -> tuple[int, Lines]:
    try:
        return to_sift(root, filters, since)
    except JournalMissing:
        return 0, iter(())


def _following(session: Session, since: int | None, until: int | None) -> tuple[int, Lines]:
    """(number of the event before the first that is read, the events and their lines) without end.

    Without `since` from now on. JournalMissing.
    """
    from eventstore.reader import cursor_before

    root = session.root
    at = session.end() if since is None else cursor_before(f"{root}/journal", place_before(root, since) + 1)
    return at.n, _followed(root, at, until)


def _followed(root: str, at: Any, until: int | None) -> Lines:
    from eventstore.bulk import bulk_decoder
    from eventstore.follow import Follower
    from machine.events import SCHEMA

    with Follower(f"{root}/journal", SCHEMA, at, decode=bulk_decoder(SCHEMA)) as follower:
        threading.Thread(target=_watch, args=(follower, until), daemon=True).start()
        yield from follower.lines()
        if until is not None:  # what came between the last look and then
            yield from lines_behind(root, follower.cursor.n)


def _watch(follower: Follower, until: int | None) -> None:
    """End the following at `until`, and when nobody reads our output any more."""
    poll = select.poll()
    poll.register(1, 0)  # POLLERR and POLLHUP come unasked
    while until is None or time.time_ns() < until:
        left = None if until is None else max(0, until - time.time_ns()) // 1_000_000 + 1
        if any(happened & (select.POLLERR | select.POLLHUP) for _, happened in poll.poll(left)):
            break
    follower.stop()


# --- how an event is shown -----------------------------------------------------------------------------


def _writer(form: str) -> Callable[[Any, bytes, Names], None]:
    if form in ("", "table", "json"):
        shown = as_json if form == "json" else in_words
    else:
        from cli.template import Template

        template = Template(form, FIELDS)

        def shown(event: Any, _line: bytes, names: Names) -> str:
            return template.fill(row(event, names))

    def write(event: Any, line: bytes, names: Names) -> None:
        echo(shown(event, line, names))

    return write


def in_words(event: Any, _line: bytes, names: Names) -> str:
    """`2026-02-03 14:15:16  web: asked to stop: SIGTERM, SIGKILL after 10 s [root: stop web]`."""
    line = f"{local_time(event.ts)}  {names.of(event.s)}: {sentence(event, names.of)}"
    if acts.is_decision(event):
        by_user = event.why == "user" and not acts.by_itself(event)
        line += f" [{actor(event.by)}: {event.by.get('cmd', '')}]" if by_user else f" [{event.why}]"
    return safe(line)


def as_json(event: Any, line: bytes, names: Names) -> str:
    """The line of the journal, and at its end `called`: the container's name of then."""
    values = parse(line)
    bearer = names.bearer(event.s)
    return json_line(values if bearer is None else values | {"called": bearer.name})


def row(event: Any, names: Names) -> dict[str, Any]:
    """What templates may ask for; docker's fields are among them."""
    kind, _, key = event.s.partition("/")
    bearer = names.bearer(event.s)
    image = bearer.image if bearer is not None else ""
    attributes = {"image": image, "name": names.of(event.s), **(bearer.labels if bearer else {})}
    return {
        "N": event.n,
        "Time": local_time(event.ts),
        "TimeNano": event.ts,
        "Type": kind,
        "Action": acts.action(event.tag),
        "Tag": event.tag,
        "Stream": event.s,
        "ID": key,
        "Name": names.of(event.s),
        "Image": image,
        "What": sentence(event, names.of),
        "Why": event.why,
        "Who": actor(event.by),
        "Uid": event.by.get("uid"),
        "Login": event.by.get("login"),
        "Pid": event.by.get("pid"),
        "Cmd": event.by.get("cmd", ""),
        "Op": event.op,
        "Actor": {"ID": key, "Attributes": attributes},
        "Event": event.payload(),
    }
