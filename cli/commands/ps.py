"""`mydocker ps`."""

from __future__ import annotations

from cli.declare import command, flag, value
from cli.render import Column, cut, listing, local_time
from cli.report import echo
from cli.session import Session, pass_session
from effects import identity
from machine import parse
from machine.projections import exit_code, health, long_status, pid, shown_status, visible
from machine.settings import SHORT
from machine.subjects import Container

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

WIDE = 40  # characters of a command before it is cut
COLUMNS = [
    Column("ID", "ID"),
    Column("Names", "NAME"),
    Column("Pid", "PID"),
    Column("Status", "STATUS"),
    Column("Command", "COMMAND"),
    Column("CreatedAt", "CREATED"),
]
FIELDS = ("State", "Image", "Labels", "ExitCode", "Health", "Ports", "Networks")
FILTERS = ("id", "name", "status", "label", "ancestor", "exited", "health", "network")


@command()
@flag("_all", "-a", "--all", help="All containers, as always.")
@flag("quiet", "-q", "--quiet", help="Ids only.")
@flag("no_trunc", "--no-trunc", help="Whole ids and commands.")
@value("filters", "-f", "--filter", multiple=True, metavar="K=V", help=f"Only these: {', '.join(FILTERS)}.")
@value("form", "--format", metavar="FORM", help="json, table, or a template such as {{.Names}}.")
@value("at", "--at", metavar="TIME|N", help="Those of then: a time such as 10m (ago), or an event's number.")
@pass_session
def ps(session: Session, filters: tuple[str, ...], form: str | None, at: str | None, **flags: bool) -> None:
    """List containers."""
    wanted = parse.filters(filters, FILTERS, "--filter")
    containers = visible(session.world_at(at))
    if wanted:
        containers = [c for c in containers if matches(c, wanted)]
    if flags["quiet"]:
        lines = [c.id if flags["no_trunc"] else c.id[:SHORT] for c in containers]
    else:
        make = columns if form in (None, "", "table") else row
        rows = [make(c, whole=flags["no_trunc"], past=at is not None) for c in containers]
        lines = list(listing(rows, COLUMNS, form or "", fields=FIELDS))
    if lines:
        echo("\n".join(lines))


def row(c: Container, *, whole: bool = False, past: bool = False) -> dict[str, Any]:
    """One container's fields, for templates and JSON."""
    from machine import projections_network  # the table does without

    return {
        **columns(c, whole=whole, past=past),
        "State": shown_status(c),
        "Image": c.image,
        "Labels": c.setting("labels"),
        "ExitCode": exit_code(c),
        "Health": health(c),
        "Ports": projections_network.ports_line(c),
        "Networks": ",".join(projections_network.names(c)),
    }


def columns(c: Container, *, whole: bool = False, past: bool = False) -> dict[str, Any]:
    """The table's fields; liveness is the kernel's word, not the journal's memory, unless it is of the past."""
    status, live = long_status(c), pid(c)
    process = c.process_identity if live else None
    if not past and process is not None and not identity.alive(identity.of(process)):
        status, live = "exited (unseen)", 0
    line = " ".join(c.command)
    return {
        "ID": c.id if whole else c.id[:SHORT],
        "Names": c.name,
        "Pid": str(live) if live else "",
        "Status": status,
        "Command": line if whole else cut(line, WIDE),
        "CreatedAt": local_time(c.created),
    }


def matches(c: Container, wanted: dict[str, list[str]]) -> bool:
    """Whether each filter's key has one of its values, as docker does; every label must match."""
    tests: dict[str, Callable[[str], bool]] = {
        "id": c.id.startswith,
        "name": lambda text: text in c.name,
        "status": lambda text: text in (c.status, shown_status(c)),
        "ancestor": lambda text: text == c.image,
        "health": lambda text: text == health(c),
        "network": lambda text: _is_on(c, text),
        "exited": lambda text: c.exit is not None and text == str(exit_code(c)),
    }
    for key, texts in wanted.items():
        if key == "label":
            if not all(_has_label(c, text) for text in texts):
                return False
        elif not any(tests[key](text) for text in texts):
            return False
    return True


def _is_on(c: Container, text: str) -> bool:
    from machine import projections_network

    ids = [one["network"] for one in c.setting("connections")]
    return text in projections_network.names(c) or any(one.startswith(text) for one in ids)


def _has_label(c: Container, text: str) -> bool:
    key, equals, wanted = text.partition("=")
    labels = c.setting("labels")
    return key in labels and (not equals or labels[key] == wanted)
