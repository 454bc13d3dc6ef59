"""`mydocker top`."""

from __future__ import annotations

import time

from cli.accounts import account
from cli.declare import argument, command
from cli.escape import safe
from cli.looking import directory_of, running
from cli.render import table
from cli.report import echo
from cli.session import Session, pass_session
from effects import processes
from effects.processes import Process

SECOND = 1_000_000_000
MOST = 99  # percent that ps's column C shows
HEADINGS = ("UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD")


@command(interspersed=False)
@argument("name")
@argument("options", many=True, required=False, metavar="[PS OPTION]...")
@pass_session
def top(session: Session, name: str, options: tuple[str, ...]) -> None:
    """List the processes of a container.

    Pids are the host's. With options, they are the host's ps's: top NAME -o pid,rss,args
    """
    directory = directory_of(running(session, name, "top"))
    if options:
        lines = [safe(line) for line in processes.ps(processes.pids(directory), options)]
    else:
        now = time.time_ns()
        lines = table(HEADINGS, (row(process, now) for process in processes.processes(directory)))
    for line in lines:
        echo(line)


def row(process: Process, now: int) -> list[str]:
    """As `ps -f` has it; `now` in ns since the epoch."""
    share = min(MOST, 100 * process.cpu // process.age) if process.age else 0
    started = start_time(now - process.age, now)
    return [
        account(process.uid),
        str(process.pid),
        str(process.ppid),
        str(share),
        started,
        process.tty or "?",
        clock(process.cpu),
        process.command,
    ]


def start_time(moment: int, now: int) -> str:
    """15:04 on the same day, Jan02 in the same year, else 2006: local time."""
    then, today = time.localtime(moment // SECOND), time.localtime(now // SECOND)
    if then.tm_year != today.tm_year:
        return str(then.tm_year)
    return time.strftime("%H:%M" if then.tm_yday == today.tm_yday else "%b%d", then)


def clock(used: int) -> str:
    """Processor time as [D-]HH:MM:SS."""
    minutes, seconds = divmod(used // SECOND, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    return f"{f'{days}-' if days else ''}{hours:02}:{minutes:02}:{seconds:02}"
