"""Who did what: the rows of `audit`, grouped as asked, as tables, JSON or CSV."""

from __future__ import annotations

import sys

from cli.accounts import actor
from cli.names import Names
from cli.past import to_sift
from cli.progress import counted
from cli.render import Column, cut, listing, local_time
from cli.report import echo
from cli.sifting import Sieve
from cli.travel import last_event
from eventstore.errors import JournalMissing
from machine import acts
from machine.errors import InvalidValue
from machine.settings import SHORT
from machine.story import sentence
from machine.words import count_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import Any

WIDE = 60  # characters of a sentence or a command before it is cut
COLUMNS = [
    Column("N", "N"),
    Column("Time", "TIME"),
    Column("Actor", "WHO"),
    Column("On", "ON"),
    Column("What", "WHAT"),
    Column("Cause", "CAUSE"),
    Column("Command", "COMMAND"),
]
FIELDS = ("TimeNano", "Uid", "Login", "Pid", "Tag", "Stream", "Container", "Image", "Op", "Group")
# --by KEY -> the row's group.
GROUPS: dict[str, Callable[[dict[str, Any]], str]] = {
    "actor": lambda row: str(row["Actor"]),
    "container": lambda row: (
        f"{row['On']} ({row['Container'][:SHORT]})" if row["Container"] else "no container"
    ),
    "image": lambda row: row["Image"] or "no image",
    "cause": lambda row: str(row["Cause"]),
    "time": lambda row: str(row["Time"]).partition(" ")[0],
    "command": lambda row: f"{row['Actor']}: {row['Command']} ({row['Op'][:SHORT]})",
}


def grouping(text: str, what: str) -> str:
    """A key of GROUPS. InvalidValue."""
    if text not in GROUPS:
        raise InvalidValue(what, text, f"expected one of {', '.join(GROUPS)}")
    return text


def rows(
    root: str, filters: Iterable[str], *, since: int | None, until: int | None, whole: bool, table: bool
) -> Iterator[dict[str, Any]]:
    """One row an event that passes, oldest first; none where there is no journal.

    `whole`: nothing is cut. `table`: it is printed when all is read, so that a progress bar is in nobody's way.
    """
    filters = list(filters)
    try:
        place, lines = to_sift(root, filters, since)
        last = last_event(root)
    except JournalMissing:
        return
    names = Names(root, place)
    sieve = Sieve(filters, names, since=since, until=until)
    events: Iterator[Any] = (event for event, _line in lines)
    if table:
        events = counted("reading the journal", events, last.n if last is not None else 0)
    for event in events:
        if sieve.passes(event):
            yield _row(event, names, whole=whole)


def _row(event: Any, names: Names, *, whole: bool) -> dict[str, Any]:
    kind, _, key = event.s.partition("/")
    bearer = names.bearer(event.s)
    what, command = sentence(event, names.of), str(event.by.get("cmd", ""))
    engine = "mydocker for " if acts.by_itself(event) else ""
    return {
        "N": event.n,
        "Time": local_time(event.ts),
        "TimeNano": event.ts,
        "Actor": f"{engine}{actor(event.by)}",
        "On": names.of(event.s),
        "What": what if whole else cut(what, WIDE),
        "Cause": event.why,
        "Command": command if whole else cut(command, WIDE),
        "Uid": event.by.get("uid"),
        "Login": event.by.get("login"),
        "Pid": event.by.get("pid"),
        "Tag": event.tag,
        "Stream": event.s,
        "Container": key if kind == "container" else "",
        "Image": bearer.image if bearer is not None else key if kind == "image" else "",
        "Op": event.op,
        "Group": "",
    }


# --- how they are shown --------------------------------------------------------------------------------


def printer(form: str, by: str | None) -> Callable[[Iterable[dict[str, Any]]], None]:
    """A function that prints rows. InvalidValue for a form that there is not."""
    if form not in ("table", "json", "csv") and "{{" not in form:
        raise InvalidValue("--format", form, "expected table, json, csv, or a template such as {{.Actor}}")

    def show(found: Iterable[dict[str, Any]]) -> None:
        if by is not None:
            _grouped(found, form, by)
        elif form == "csv":
            _csv(found)
        else:
            _lines(listing(found, COLUMNS, form, fields=FIELDS))

    return show


def _grouped(found: Iterable[dict[str, Any]], form: str, by: str) -> None:
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in found:
        row["Group"] = GROUPS[by](row)
        groups.setdefault(row["Group"], []).append(row)
    ordered = {name: groups[name] for name in (groups if by == "time" else sorted(groups))}
    if form != "table":
        flat = [row for group in ordered.values() for row in group]
        if form == "csv":
            _csv(flat)
        else:
            _lines(listing(flat, COLUMNS, form, fields=FIELDS))
        return
    for place, (name, group) in enumerate(ordered.items()):
        _lines([*([""] if place else []), *_heading(name, count_of(len(group), "event"), group)])
        _lines(listing(group, COLUMNS))


def _heading(name: str, count: str, group: Sequence[dict[str, Any]]) -> list[str]:
    from cli.escape import safe

    return [safe(f"{name}: {count}, {group[0]['Time']} to {group[-1]['Time']}")]


def _lines(lines: Iterable[str]) -> None:
    for line in lines:
        echo(line)


def _csv(found: Iterable[dict[str, Any]]) -> None:
    """RFC 4180, with a heading; what could steer a terminal or be taken for a formula is not sent as such."""
    import csv

    from cli.escape import safe

    fields = [*(column.field for column in COLUMNS), *FIELDS]
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(fields)
    for row in found:
        cells = (safe("" if row[field] is None else str(row[field])) for field in fields)
        writer.writerow([f"'{cell}" if cell[:1] in ("=", "+", "@") else cell for cell in cells])
