"""One command's session: the root it works on, the world as the journal tells it, and the way to settle things.

Readers use `world`; they take no lock and change nothing but caches. Writers use `engine()`, which first notes a new
boot and mends what a dead holder left on the container they touch.
"""

from __future__ import annotations

import os
from zlib import crc32

from cli import arrival, bootstrap, context
from cli.declare import wrap
from effects import failpoints, identity
from effects.locks import Locks
from eventstore.errors import Corrupt, JournalMissing
from eventstore.event import Actor, Event
from eventstore.journal import Journal
from eventstore.obstacle import make_directory
from eventstore.segments import segment_numbers
from eventstore.snapshots import Snapshots
from machine import decide, home
from machine.engine import Engine
from machine.errors import DamagedJournal
from machine.events import SCHEMA
from machine.evolve_effects import UNREAD
from machine.home import Here
from machine.plan import Places
from machine.subjects import Container, shape
from machine.world import World

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from cli.lookout import Lookout
    from cli.settler import Settler
    from eventstore.cursor import Cursor

# Events; to fold one takes 20 us, to save the world 1 ms and 15 us for each container in it.
SNAPSHOT_EVERY = 128
# So many that a reader leaves one too: after an upgrade each would fold them all, until somebody writes.
READERS_TOO = 8192
FOLD = "2"  # to be changed when folding the same events gives another world in the same slots


def snapshot_code() -> str:
    """Which snapshots this engine can use: those of the same events, by the same fold into the same slots."""
    return f"{FOLD}-{SCHEMA.number}-{crc32(shape().encode()):08x}"


class Session:
    """`root`: an absolute path; so is `run`, the run directory that is asked for, unless "". `command`: how it was called, without secrets."""

    def __init__(self, root: str, run: str, command: str) -> None:
        self.root = root
        self.run = run
        failpoints.arm("command", os.environ.get(failpoints.VARIABLE))
        self.locks = Locks(root)
        self.secrets: dict[str, bytes] = {}
        self._command = command
        self._actor: Actor | None = None
        self._engine: Engine | None = None
        self._world: World | None = None
        self._journal: Journal | None = None
        self.folded = 0  # events read from the journal itself
        self.adopts = False  # the root, wherever it comes from
        self.from_zero = False  # do without the snapshot, which is a cache
        self.places: Places | None = None
        self._imagined: list[Event] = []
        self.lookout: Lookout | None = None  # what our monitor was asked to look at (`cli.networking`)

    # --- reading -------------------------------------------------------------------------------------

    @property
    def world(self) -> World:
        """The world as of now; empty where there is no journal yet."""
        if self._engine is not None:
            return self._engine.world
        if self._world is None:
            try:
                self._journal, self._world = self._read(read_only=True)
            except JournalMissing:
                self._world = World()
            self._imagine_boot(self._world)
        return self._world

    def refresh(self) -> World:
        """The world as the journal now tells it, for a reader that waits."""
        world = self.world
        if self._journal is not None:
            self._journal.refresh(world)
        return world

    def world_at(self, at: str | None) -> World:
        """The world of a moment (`cli.travel`); None: of now."""
        if at is None:
            return self.world
        from cli.travel import NOW, world_at

        if at == NOW and self.imagined_boot():
            return self.world

        return world_at(self.root, at, snapshot_code())

    def end(self) -> Cursor:
        """Behind the last event that `world` has seen. JournalMissing."""
        _ = self.world
        if self._journal is None:
            raise JournalMissing(f"{self.root}/journal")
        return self._journal.cursor

    def find(self, reference: str) -> Container:
        """The container by name, id or unique prefix. Raises NoSuchContainer, AmbiguousPrefix."""
        return decide.find(self.world, reference)

    def directory(self, container: Container) -> str:
        """The container's directory."""
        return f"{self.root}/containers/{container.id}"

    def _read(self, *, read_only: bool) -> tuple[Journal, World]:
        snapshots = Snapshots(f"{self.root}/journal")
        found = None if self.from_zero else snapshots.load(snapshot_code())
        cursor, world = None, World()
        if found is not None:
            cursor, world = found[0], World.unpack(found[1])
        refuse = None if self.adopts else self.refuse_foreign
        journal = bootstrap.open_journal(
            self.root,
            cursor=cursor,
            decode=_in_bulk,
            read_only=read_only,
            actor=None if read_only else self.actor,
            before_recovery=refuse,
        )
        anew = self.from_zero or (found is None and len(segment_numbers(journal.directory)) > 1)
        self.folded = self._replay(journal, world) if anew else journal.refresh(world)
        self.places = bootstrap.places(self.root, journal, world, self.run)
        return journal, world

    def _replay(self, journal: Journal, world: World) -> int:
        """Fold from zero, with a progress bar."""
        from cli.progress import Watched
        from cli.travel import last_event

        last = last_event(self.root)
        total = last.n if last is not None else 0
        with Watched("replaying the journal", total, "events", lambda: journal.cursor.n):
            return journal.refresh(world)

    def last_event(self) -> int:
        """The number of the newest event that `world` knows; 0 before the first."""
        return self._journal.cursor.n if self._journal is not None else 0

    def events_after(self, n: int) -> list[Event]:
        """What the journal has had since event `n`."""
        from eventstore.reader import read_events

        return list(read_events(f"{self.root}/journal", SCHEMA, after=n))

    def told(self, events: list[Event], names: dict[str, str]) -> list[str]:
        """Events in words, the containers by the names that `names` has for their streams."""
        from machine.story import sentence

        names = names | {c.stream: c.name for c in self.world.containers.values()}
        names |= {event.s: event.payload()["name"] for event in events if event.tag == "container.created"}
        names |= {net.stream: f"network {net.name}" for net in self.world.networks.values()}
        made = (event for event in events if event.tag == "network.created")
        names |= {event.s: f"network {event.payload()['name']}" for event in made}

        def called(stream: str) -> str:
            return names.get(stream, stream)

        return [f"{called(event.s)}: {sentence(event, called)}" for event in events]

    def _imagine_boot(self, world: World) -> None:
        """A reader after a reboot sees what the first writer will note, without noting it."""
        if world.host.boot and world.host.boot != identity.boot_id():
            from machine import decide_host  # once a boot

            now = Here(
                identity.boot_id(), world.host.machine, root=world.host.root, path=world.host.path, spaces=[]
            )
            for stream, event in decide_host.note_boot(world, now):
                event.s, event.n, event.v = stream, 0, world.version(stream) + 1
                event.ts = event.up = 0
                event.op, event.by, event.why = "", {}, "reboot"
                world.apply(event)
                self._imagined.append(event)

    def imagined_boot(self) -> list[Event]:
        """What the first writer after a reboot will note, while none has; `ts` and `n` are 0."""
        _ = self.world
        return self._imagined

    # --- writing -------------------------------------------------------------------------------------

    @property
    def actor(self) -> Actor:
        """Who runs this command, as the journal tells it."""
        if self._actor is None:
            self._actor = bootstrap.actor(self._command)
        return self._actor

    def engine(self) -> Engine:
        """The engine for writing. Raises JournalError, OSError for a root that cannot be one."""
        if self._engine is None:
            os.umask(0o077)
            journal, world = self._read(read_only=False)
            self._journal = journal
            here, strange = arrival.look_around(self.root, world, run=self.run, adopts=self.adopts)
            if strange or not home.at_home(world.host, here):
                from cli.rundir import prepare  # once a boot

                prepare(self.root, world, here, moved=bool(strange))
            self._make_root()
            assert self.places is not None, "reading sets it"
            effects = bootstrap.OnDemand(self.secrets)
            self._engine = bootstrap.engine(journal, world, self.places, self.actor, effects)
            self._note_boot(self._engine, here, strange)
        return self._engine

    def refuse_foreign(self) -> None:
        """ForeignRoot, before anything is changed, where the root is not at home here (`cli.arrival`)."""
        arrival.refuse_foreign(self.root, snapshot_code(), _in_bulk)

    def _make_root(self) -> None:
        for name in ("layers", "staging", "containers", "mnt"):
            make_directory(f"{self.root}/{name}")

    def _note_boot(self, engine: Engine, here: Here, strange: str) -> None:
        host = engine.world.host
        if not strange and home.at_home(host, here):
            return
        from machine import decide_host  # once a boot

        begun, why = host.boot, "moved" if strange else "user" if host.boot == here.boot else "reboot"
        engine.decide(decide_host.note_boot, here, moved=bool(strange), why=why)
        self.places = engine.places
        if begun and (strange or begun != here.boot):
            settler = self.settler()
            for subject in list(engine.world.subjects()):
                settler.mend(subject.stream, why=why)

    def settler(self) -> Settler:
        """Who settles things for this command."""
        from cli.settler import Settler

        return Settler(self.engine(), self.locks)

    def touch(self, reference: str) -> Container:
        """See Settler.touch."""
        return self.settler().touch(reference)

    def close(self) -> None:
        """Leave a snapshot behind where many events had to be folded, and let go of the journal."""
        if self._engine is not None and self.folded >= SNAPSHOT_EVERY:
            self._leave_snapshot(self._engine.journal, self._engine.world)
        elif self._world is not None and self.folded >= READERS_TOO and not self._imagined:
            assert self._journal is not None, "events came from it"
            self._leave_snapshot(self._journal, self._world)
        if self._journal is not None:
            self._journal.close()

    def _leave_snapshot(self, journal: Journal, world: World) -> None:
        if journal.is_behind:
            return
        try:  # noqa: SIM105 - contextlib costs 2 ms at start-up
            Snapshots(f"{self.root}/journal").save(snapshot_code(), journal.cursor, world.pack())
        except OSError:
            pass  # a cache: its failure costs only time


def _in_bulk(data: bytes) -> list[Event]:
    """Decode many lines to be folded; the journal asks for it where there are many, since msgspec takes 20 ms to import."""
    if not _decoders:
        from eventstore.bulk import bulk_decoder

        _decoders.append(bulk_decoder(SCHEMA, UNREAD))
    return _decoders[0](data)


_decoders: list[Callable[[bytes], list[Event]]] = []  # one at most: making it takes as long as 50,000 events


def pass_session(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give the command its `session`, and close it afterwards."""

    def with_session(*args: Any, **values: Any) -> Any:
        call = context.current()
        session = Session(call.places.root, call.places.run_dir, call.typed)
        try:
            return function(session, *args, **values)
        except Corrupt as error:
            raise DamagedJournal(str(error)) from error
        finally:
            session.close()

    return wrap(with_session, function)
