"""`mydocker history`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import Any

from cli import past
from cli.accounts import actor
from cli.declare import Misused, argument, command, flag, value
from cli.escape import json_line
from cli.names import MOST, Names
from cli.render import Column, cut, listing, local_time
from cli.report import echo
from cli.session import Session, pass_session
from machine.settings import SHORT
from machine.story import sentence

WIDE_WHAT, WIDE_CMD = 100, 60  # characters before they are cut
EVENT_COLUMNS = [
    Column("N", "N"),
    Column("Time", "TIME"),
    Column("What", "WHAT"),
    Column("Why", "WHY"),
    Column("Who", "WHO"),
]
EVENT_FIELDS = ("Tag", "Stream", "Container", "Op", "Uid", "Login", "Pid", "Cmd", "Anomaly")
JOB_COLUMNS = [
    Column("ID", "JOB"),
    Column("Kind", "KIND"),
    Column("About", "ABOUT"),
    Column("Target", "TARGET"),
    Column("Started", "STARTED"),
    Column("State", "STATE"),
    Column("Result", "RESULT"),
    Column("Who", "WHO"),
]


@command()
@flag("every", "-a", "--all", help="Of all containers that ever had the name.")
@flag("jobs", "--jobs", help="List the jobs instead: imports, commits, copies.")
@flag("no_trunc", "--no-trunc", help="Whole sentences, ids and commands.")
@value(
    "form",
    "--format",
    metavar="FORM",
    help="json (the journal's own lines), or a template such as {{.What}}.",
)
@argument("name", required=False)
@pass_session
def history(
    session: Session, name: str | None, form: str | None, *, every: bool, jobs: bool, no_trunc: bool
) -> None:
    """Print every event of a container: when, what, who and why.

    NAME is a name, an id or a unique prefix, of a removed container too; or a stream such as image/busybox.
    """
    if jobs == (name is not None):
        raise Misused("needs NAME or --jobs, and not both")
    if jobs:
        rows = (job_row(job, whole=no_trunc) for job in past.jobs(session.root))
        _print(listing(rows, JOB_COLUMNS, form or ""))
        return
    assert name is not None
    streams = past.streams_of(session, name, every=every)
    if form == "json":
        _print_as_on_disk(name, past.lines(session.root, streams))
        return
    found = list(past.told(session.root, streams))
    if not found:
        raise past.NoSuchStream(name)
    columns = EVENT_COLUMNS
    if every:
        columns = [*EVENT_COLUMNS[:2], Column("Container", "CONTAINER"), *EVENT_COLUMNS[2:]]
    called = Names(session.root, MOST).of
    rows = (event_row(event, called, anomaly=anomaly, whole=no_trunc) for event, anomaly in found)
    _print(listing(rows, columns, form or "", fields=EVENT_FIELDS))


def event_row(event: Any, called: Callable[[str], str], *, anomaly: bool, whole: bool) -> dict[str, Any]:
    """One event's fields. An anomaly is an event that the table forbade: it changed nothing."""
    what = f"{'anomaly: ' if anomaly else ''}{sentence(event, called)}"
    container_id = event.s.partition("/")[2]
    return {
        "N": event.n,
        "Time": local_time(event.ts),
        "What": what if whole else cut(what, WIDE_WHAT),
        "Why": event.why,
        "Who": who(event.by, whole=whole),
        "Tag": event.tag,
        "Stream": event.s,
        "Container": container_id if whole else container_id[:SHORT],
        "Op": event.op,
        "Uid": event.by.get("uid"),
        "Login": event.by.get("login"),
        "Pid": event.by.get("pid"),
        "Cmd": event.by.get("cmd", ""),
        "Anomaly": anomaly,
    }


def job_row(job: dict[str, Any], *, whole: bool) -> dict[str, Any]:
    """One job's fields."""
    return {
        "ID": job["id"] if whole else job["id"][:SHORT],
        "Kind": job["kind"],
        "About": job["about"],
        "Target": job["target"],
        "Started": local_time(job["started"]),
        "State": job["state"],
        "Result": job["result"] if whole else cut(job["result"], WIDE_CMD),
        "Who": who(job["by"], whole=whole),
    }


def who(by: dict[str, Any], *, whole: bool) -> str:
    """`root (login alice), pid 4711: run busybox`: as far as the event tells."""
    words = actor(by)
    if "pid" in by:
        words += f", pid {by['pid']}"
    cmd = str(by.get("cmd", ""))
    return f"{words}: {cmd if whole else cut(cmd, WIDE_CMD)}" if cmd else words


def _print(lines: Iterable[str]) -> None:
    for line in lines:
        echo(line)


def _print_as_on_disk(name: str, lines: Iterable[bytes]) -> None:
    """Into a pipe or a file byte for byte; at a terminal the same JSON without raw controls. NoSuchStream."""
    told = False
    for line in lines:
        told = True
        if sys.stdout.isatty():
            sys.stdout.write(_harmless(line))
        else:
            sys.stdout.buffer.write(line)
    if not told:
        raise past.NoSuchStream(name)


def _harmless(line: bytes) -> str:
    import json

    return json_line(json.loads(line)) + "\n"
