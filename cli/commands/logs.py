"""`mydocker logs`."""

from __future__ import annotations

import time

from cli.declare import argument, command, flag, value
from cli.session import Session, pass_session
from effects.logprint import print_logs
from effects.logread import LogReader
from machine import moments
from machine.errors import InvalidValue
from machine.resources import WATCHED


def _tail(text: str, what: str) -> int | None:
    if text == "all":
        return None
    if text.isascii() and text.isdigit():
        return int(text)
    raise InvalidValue(what, text, "expected a number of lines, or all")


def _moment(text: str, what: str) -> int:
    return moments.timestamp(text, time.time_ns(), what)


@command()
@flag("follow", "-f", "--follow", help="Go on as it says more, until it ends.")
@value("tail", "-n", "--tail", parse=_tail, metavar="N", help="Only the last N lines (all).")
@value("since", "--since", parse=_moment, metavar="TIME", help="Only what came since: 10m, or a time.")
@value("until", "--until", parse=_moment, metavar="TIME", help="Only what came until then.")
@flag("timestamps", "-t", "--timestamps", help="Each line with its time.")
@argument("name")
@pass_session
def logs(
    session: Session,
    name: str,
    tail: int | None,
    since: int | None,
    until: int | None,
    *,
    follow: bool,
    timestamps: bool,
) -> None:
    """Print what a container wrote, its stdout to stdout and its stderr to stderr."""
    container = session.find(name)

    def exited() -> bool:
        now = session.refresh().containers.get(container.id)
        return now is None or now.status not in WATCHED

    with LogReader(f"{session.directory(container)}/log") as reader:
        print_logs(
            reader,
            tail=tail,
            since=since,
            until=until,
            timestamps=timestamps,
            exited=exited if follow else None,
        )
