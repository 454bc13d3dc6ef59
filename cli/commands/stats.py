"""`mydocker stats`."""

from __future__ import annotations

import sys
import time

from cli.declare import argument, command, flag, value
from cli.looking import is_live
from cli.render import Column, binary_size, human_size, listing
from cli.report import INTERRUPTED, echo, put
from cli.session import Session, pass_session
from effects import usage
from effects.usage import Usage
from machine.projections import visible
from machine.settings import SHORT
from machine.subjects import Container
from machine.world import World

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

EVERY = 1.0  # seconds between two samples of a stream
ONCE = 0.25  # seconds between the two samples that one answer needs
UNKNOWN = "--"
# A terminal is rewritten in place: cleared as a whole it would flicker.
HOME, END_OF_LINE, END_OF_SCREEN = "\x1b[H", "\x1b[K", "\x1b[J"
COLUMNS = [
    Column("ID", "CONTAINER ID"),
    Column("Name", "NAME"),
    Column("CPUPerc", "CPU %"),
    Column("MemUsage", "MEM USAGE / LIMIT"),
    Column("MemPerc", "MEM %"),
    Column("NetIO", "NET I/O"),
    Column("BlockIO", "BLOCK I/O"),
    Column("PIDs", "PIDS"),
]
FIELDS = ("Container",)


@command()
@flag("_all", "-a", "--all", help="Those that do not run as well.")
@flag("no_stream", "--no-stream", help="Once, instead of each second.")
@flag("no_trunc", "--no-trunc", help="Whole ids.")
@value("form", "--format", metavar="FORM", help="json, table, or a template such as {{.Name}}: {{.CPUPerc}}.")
@argument("names", many=True, required=False)
@pass_session
def stats(session: Session, names: tuple[str, ...], form: str | None, **flags: bool) -> None:
    """Show what containers use.

    All that run, or those named. Ends when none of them runs any more.
    """
    watch = Watch(session, names, every=flags["_all"], whole=flags["no_trunc"])
    try:
        rows = watch.look()
        if watch.live and not flags["no_stream"]:
            _stream(watch, form or "")
            return
        if watch.live:
            time.sleep(ONCE)
            rows = watch.look()
        for line in listing(rows, COLUMNS, form or "", fields=FIELDS):
            echo(line)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


def _stream(watch: Watch, form: str) -> None:
    terminal = sys.stdout.isatty()
    pause = ONCE
    while True:
        time.sleep(pause)
        pause = EVERY
        rows = watch.look()
        if not watch.live:
            break
        lines = list(listing(rows, COLUMNS, form, fields=FIELDS))
        if terminal:
            screen = "".join(f"{line}{END_OF_LINE}\n" for line in lines)
            put(f"{HOME}{screen}{END_OF_SCREEN}")
        else:
            put("".join(f"{line}\n" for line in lines))


class Watch:
    """The containers asked for, and their last samples. `live`: how many of them run."""

    def __init__(self, session: Session, names: tuple[str, ...], *, every: bool, whole: bool) -> None:
        self._session = session
        self._every, self._whole = every, whole
        # An unknown name is refused at once.
        self._ids = {session.find(name).id: name for name in names}
        self._last: dict[str, Usage] = {}
        self.live = 0

    def look(self) -> list[dict[str, Any]]:
        """A row for each; of those that run, new ones included, with what they used since the last look."""
        rows, last, self.live = [], self._last, 0
        self._last = {}
        for container in self._chosen(self._session.refresh()):
            now = _sample(container)
            if now is not None:
                self.live += 1
                self._last[container.id] = now
            if now is not None or self._every or self._ids:
                rows.append(self._row(container, last.get(container.id), now))
        return rows

    def _chosen(self, world: World) -> list[Container]:
        if not self._ids:
            return visible(world)
        return [
            world.containers[container_id] for container_id in self._ids if container_id in world.containers
        ]

    def _row(self, container: Container, before: Usage | None, now: Usage | None) -> dict[str, Any]:
        short = container.id if self._whole else container.id[:SHORT]
        row = {
            "Container": self._ids.get(container.id, short),
            "ID": short,
            "Name": container.name,
            "CPUPerc": UNKNOWN,
            "MemUsage": f"{UNKNOWN} / {UNKNOWN}",
            "MemPerc": UNKNOWN,
            "NetIO": UNKNOWN,
            "BlockIO": UNKNOWN,
            "PIDs": UNKNOWN,
        }
        return row | _cells(before, now) if now is not None else row


def _sample(container: Container) -> Usage | None:
    """None where it does not run."""
    cgroup, process = container.cgroup, container.process_identity
    if not is_live(container) or cgroup is None or process is None:
        return None
    on_its_own_network = container.setting("network") != "host"
    found = usage.sample(cgroup, process["pid"] if on_its_own_network else 0)
    # Alive now, it was alive when its pid was used.
    return found if is_live(container) else None


def _cells(before: Usage | None, now: Usage) -> dict[str, str]:
    """What is known, as docker writes it."""
    cells = {"NetIO": f"{human_size(now.received)} / {human_size(now.sent)}"}
    if now.cpu is not None and before is not None and before.cpu is not None and now.at > before.at:
        cells["CPUPerc"] = percent(now.cpu - before.cpu, now.at - before.at)
    if now.memory is not None and now.memory_limit is not None:
        cells["MemUsage"] = f"{binary_size(now.memory)} / {binary_size(now.memory_limit)}"
        cells["MemPerc"] = percent(now.memory, now.memory_limit)
    if now.read is not None and now.written is not None:
        cells["BlockIO"] = f"{human_size(now.read)} / {human_size(now.written)}"
    if now.pids is not None:
        cells["PIDs"] = str(now.pids)
    return cells


def percent(part: int, whole: int) -> str:
    """100.00% of processor time is one processor."""
    return f"{100 * part / whole:.2f}%" if whole else UNKNOWN
