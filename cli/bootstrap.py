"""Join the parts: the only module that knows the journal, the machine and the effects together. LEAN.

What a command may do without (the effects, 15 modules) is imported where it is first wanted.
"""

from __future__ import annotations

import os

from effects import failpoints, identity
from eventstore.event import Actor
from eventstore.journal import Journal
from machine.engine import Engine
from machine.events import SCHEMA
from machine.home import USUAL_RUN_DIR, Here
from machine.plan import Places
from machine.world import World

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from typing import Any

    from effects.handler import Effects
    from effects.linux import LinuxHost
    from eventstore.cursor import Cursor
    from eventstore.event import Event
    from machine.subjects import Host

VERBS = ("probe", "do", "undo", "change", "exit_status", "oom_kills")
UNSET_LOGIN = 4294967295  # /proc/self/loginuid of a process that nobody logged in for


def open_journal(
    root: str,
    *,
    cursor: Cursor | None = None,
    decode: Callable[[bytes], list[Event]] | None = None,
    only: Collection[str] = (),
    read_only: bool = False,
    actor: Actor | None = None,
    before_recovery: Callable[[], object] | None = None,
) -> Journal:
    """The root's journal; made where it is missing and writing is meant. `only` and what follows: see Journal.open.

    Raises JournalError, and what `before_recovery` does.
    """
    where = f"{root}/journal"
    if read_only:
        return Journal.open(where, SCHEMA, cursor=cursor, decode=decode, read_only=True)
    return Journal.open_or_create(
        where,
        SCHEMA,
        cursor=cursor,
        decode=decode,
        only=only,
        actor=actor,
        before_recovery=before_recovery,
    )


def places(root: str, journal: Journal, world: World, run: str = "") -> Places:
    """Where things of this root lie; in `run`, as long as the journal names no run directory."""
    return Places(root, run or USUAL_RUN_DIR, journal.root_id).noted(world.host)


def engine(
    journal: Journal, world: World, where: Places, actor: Actor, effects: Effects | OnDemand
) -> Engine:
    """The engine; `effects` is what `kernel` made, or `OnDemand`."""
    return Engine(failpoints.appending(journal), world, effects, where, actor)


def give(engine: Engine, journal: Journal, world: World) -> None:
    """Let the engine go on with these: its own world had got ahead of its journal."""
    engine.journal.close()
    engine.journal, engine.world = failpoints.appending(journal), world


def kernel(host: LinuxHost) -> Effects:
    """The handlers on the real kernel."""
    from effects.handler import Effects
    from effects.host import CHANGES
    from effects.registry import HANDLERS

    return failpoints.naming(Effects(HANDLERS, failpoints.changing(host, CHANGES)))


class OnDemand:
    """Effects that are loaded when the first of them is wanted: most commands only decide, and leave the rest
    to a monitor. `secrets`: contents of process files, for the directory's handler.
    """

    def __init__(self, secrets: dict[str, bytes]) -> None:
        self._secrets = secrets

    def __getattr__(self, name: str) -> Any:
        from effects.linux import LinuxHost

        host = LinuxHost()
        host.secrets = self._secrets
        self.__dict__.update({verb: getattr(kernel(host), verb) for verb in VERBS})
        return self.__dict__[name]


def actor(command: str, *, op: str = "") -> Actor:
    """Who runs this process, and as what; `command` must carry no secret."""
    by: dict[str, int | str] = {"uid": os.getuid(), "login": _login(), "pid": os.getpid(), "cmd": command}
    return Actor(by, op or os.urandom(8).hex())


def _login() -> int:
    """The uid that logged in (proc(5), loginuid), through su and sudo; -1 where nobody did."""
    try:
        with open("/proc/self/loginuid", "rb") as file:
            login = int(file.read())
    except FileNotFoundError:  # a kernel without CONFIG_AUDIT
        return -1
    return -1 if login == UNSET_LOGIN else login


def here(root: str, host: Host, run: str) -> Here:
    """Where the root is. `host`: as it was noted last; `run`: the run directory that is asked for."""
    known_as = host.path
    found = os.stat(f"{root}/journal")
    reached = known_as == root
    if known_as and not reached:
        try:
            reached = os.path.samestat(os.stat(f"{known_as}/journal"), found)
        except OSError:
            reached = False
    spaces = [os.stat(f"/proc/self/ns/{kind}").st_ino for kind in ("pid", "net")]
    return Here(
        identity.boot_id(),
        machine_id(),
        root=found.st_ino,
        path=root,
        spaces=spaces,
        reached=reached,
        fresh=os.urandom(4).hex(),
        run=run if run in ("", host.run) else os.path.realpath(run),
    )


def machine_id() -> str:
    """The host's own id (machine-id(5)); empty where it has none."""
    try:
        with open("/etc/machine-id", "rb") as file:  # as text it takes a codec, which is 0.4 ms to load
            return file.read().strip().decode("ascii")
    except FileNotFoundError:
        return ""
