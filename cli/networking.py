"""Networks for commands: that they are whole before a container is handed to its monitor; made, left and mended."""

from __future__ import annotations

import os

from cli import early, lookout
from cli.answers import NoAnswer
from cli.report import line_of, say
from cli.session import Session
from machine import decide, leases, networks, plan_network, ports
from machine.errors import EffectFailure, MachineError
from machine.leases import DEFAULT
from machine.network_errors import PortBusy
from machine.plan import plan
from machine.resources import LIVE, NETWORKING
from machine.subjects import Container, Network, Standing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from cli.lookout import Rows
    from cli.network_options import NetworkOptions
    from effects.hostnet import Port

WAIT = 30.0  # seconds for another command that is at work on the same network


# --- what a container is created with ------------------------------------------------------------------


def settings(session: Session, asked: NetworkOptions) -> dict[str, Any]:
    """The network part of `machine.settings`. Makes the default network at its first use.

    Raises NoSuchNetwork, NoSuchContainer, and what making a network does.
    """
    said = asked.settings()
    model, colon, name = asked.model.partition(":")
    world = session.engine().world
    if colon:
        target = decide.find(world, name)
        # One that shares a network has that of another: its addresses, names and end are that one's.
        return said | {"network": f"{model}:{target.joins or target.id}"}
    if DEFAULT in asked.networks:
        make_default(session)
    world = session.engine().world
    nets = list({net.id: net for net in (networks.find(world, one) for one in asked.networks)}.values())
    _look_early(session, nets)
    nothing: dict[str, Any] = dict.fromkeys(asked.address, "") | {"aliases": []}
    connections = [{"network": net.id, "name": net.name, **nothing} for net in nets]
    connections[0] |= {**asked.address, "aliases": asked.aliases}
    return said | {"network": DEFAULT, "connections": connections}


# --- making and removing ---------------------------------------------------------------------------------


def make_default(session: Session) -> None:
    """The network of whoever names none, unless it is there."""
    if networks.named(session.engine().world, DEFAULT) is None:
        _make(session, networks.default, new_id(session), session.engine().places.root_id)


def new_id(session: Session) -> str:
    """A random id, whose beginning, by which devices of containers are named, no other network has."""
    begun = {net.id[: leases.NET_DIGITS] for net in session.engine().world.networks.values()}
    while True:
        found = os.urandom(32).hex()
        if found[: leases.NET_DIGITS] not in begun:
            return found


def make(session: Session, wanted: networks.Wanted) -> None:
    """A network as asked for, whole; or nothing of it, and the reason."""
    _make(session, networks.create, wanted)


def _make(session: Session, verb: Any, *args: Any) -> None:
    from effects import hostnet
    from effects.linux import LinuxHost

    engine, host = session.engine(), LinuxHost()
    # Those of other roots, and of other engines, are as foreign as a network card's.
    routes = hostnet.routes(host, plan_network.mark(engine.places, ""))
    there: dict[str, Any] = {"links": hostnet.links(), "routes": routes, "elsewhere": hostnet.elsewhere(host)}
    for event in engine.decide(verb, *args, **there):
        try:
            ready(session, [engine.world.networks[event.s.partition("/")[2]]])
        except MachineError:
            remove(session, event.s.partition("/")[2], even_default=True)
            raise


def remove(session: Session, reference: str, *, even_default: bool = False) -> None:
    """Raises NoSuchNetwork, NetworkInUse."""
    engine = session.engine()
    for event in engine.decide(networks.remove, reference, even_default=even_default):
        _settle(session, event.s)
    _settle(session, engine.world.host.stream)


# --- whole -----------------------------------------------------------------------------------------------


def ready(session: Session, wanted: list[Network]) -> None:
    """See that the host and these networks are as the journal tells, and mend them where they are not.

    Where something was lost that containers stand on, those that live are looked after too; where it was the host's,
    so are all other networks, which lost their part of it. EffectFailure.
    """
    engine = session.engine()
    if _is_seen_whole(session, wanted):
        return
    is_hosts = _mend(session, engine.world.host)
    mended = [_mend(session, net) for net in wanted]
    if is_hosts:
        for net in [net for net in engine.world.networks.values() if networks.exists(net)]:
            try:
                _mend(session, net)
            except MachineError as error:  # no reason to keep a container of another from starting
                say(line_of(error))
    if is_hosts or any(mended):
        for c in list(engine.world.containers.values()):
            if c.endpoints and c.status in LIVE:
                from cli.settler import Refused  # what is whole, which is nearly always, needs no settler

                try:
                    session.settler().mend(c.stream, why="recovery", leftovers=True)
                except (NoAnswer, Refused) as error:  # its monitor hangs, or is too old: no reason either
                    say(line_of(error))


def _mend(session: Session, subject: Standing) -> bool:
    """Whether something of it had been lost. EffectFailure, where it cannot be made."""
    if _is_whole(session, subject):
        return False
    was_lost = _settle(session, subject.stream)
    now = session.engine().world.subject(subject.stream)
    if isinstance(now, Standing) and now.error is not None:
        what = f"network {now.name}" if isinstance(now, Network) else "the host's part of networks"
        raise EffectFailure(f"cannot make {what}", now.error["step"], now.error["message"])
    return was_lost


def _look_early(session: Session, wanted: list[Network]) -> None:
    """Have our monitor look whether `ready` will have anything to do, while we go on."""
    monitor = early.waiting("cli.monitor")
    if monitor is not None:
        session.lookout = lookout.Lookout(monitor, _rows(session, wanted))


def _is_seen_whole(session: Session, wanted: list[Network]) -> bool:
    question, session.lookout = session.lookout, None
    if question is None or not question.sees(_rows(session, wanted)):
        return False
    return all(_is_settled(session, subject) for subject in (session.engine().world.host, *wanted))


def _rows(session: Session, wanted: list[Network]) -> Rows:
    return lookout.rows_of((session.engine().world.host, *wanted))


def _is_settled(session: Session, subject: Standing) -> bool:
    """As far as the journal tells."""
    is_done = all(row.done for row in subject.held)
    return is_done and subject.error is None and plan(subject, session.engine().places) is None


def _is_whole(session: Session, subject: Standing) -> bool:
    effects = session.engine().effects
    return _is_settled(session, subject) and lookout.is_whole(effects, lookout.rows_of([subject]))


def _settle(session: Session, stream: str) -> bool:
    """Mend one that no monitor looks after; True where something was there before, and had been lost."""
    lock = session.locks.wait(session.settler().lock_of(stream), WAIT)
    try:
        engine = session.engine()
        subject = engine.refresh().subject(stream)
        had = {(row.kind, row.key) for row in subject.held if row.done} if subject is not None else set()
        engine.observe(stream, why="recovery")
        after = engine.world.subject(stream)
        kept = {(row.kind, row.key) for row in after.held} if after is not None else set()
        engine.settle(stream)
        return bool(had - kept)
    finally:
        os.close(lock)


# --- a start ---------------------------------------------------------------------------------------------


def before_start(session: Session, container: Container) -> dict[str, Any]:
    """What `machine.decide.start` needs to know beside the world; its networks are whole then."""
    world = session.engine().world
    if container.setting("network") != DEFAULT:
        return {}
    found = (world.networks.get(one["network"]) for one in container.setting("connections"))
    ready(session, [net for net in found if net is not None and networks.exists(net)])
    return ports_in_the_way(container)


def ports_in_the_way(container: Container) -> dict[str, Any]:
    """`busy`, where one may be in the way: to read of all sockets takes the kernel 10 ms."""
    asked = container.setting("ports")
    if not container.setting("publish_all") and all(_is_free(one) for one in asked):
        return {}
    from effects import hostnet, resolv
    from effects.linux import LinuxHost

    wants_names = any(one["host_port"] == resolv.PORT for one in asked)
    return {"busy": hostnet.in_the_way(LinuxHost()) if wants_names else hostnet.busy()}


def _is_free(asked: dict[str, Any]) -> bool:
    """Whether it is one certain port, and no process of the host has that."""
    if not asked["host_port"] or "host_last" in asked:
        return False
    from effects import portholds

    addresses = [asked["address"]] if asked["address"] else ports.ANY.values()
    return all(portholds.is_free((asked["protocol"], address, asked["host_port"])) for address in addresses)


def with_owner(error: PortBusy, busy: dict[Port, int]) -> PortBusy:
    """The same, naming the process."""
    from effects import hostnet

    for (protocol, address, port), inode in busy.items():
        if (protocol, port) == (error.protocol, error.port) and (owner := hostnet.process_with(inode)):
            any_of_them = {"0.0.0.0", "::"} & {address, error.address}  # noqa: S104 - compared, not bound
            if address == error.address or any_of_them:
                who = f"process {owner[0]} ({owner[1]})"
                return PortBusy(error.protocol, error.address, error.port, who)
    return error


# --- containers that come and go -------------------------------------------------------------------------


def connect(session: Session, name: str, reference: str, asked: dict[str, Any]) -> None:
    """One more network, at once where the container lives; nothing where that cannot be made. EffectFailure."""
    container = session.touch(reference)
    engine = session.engine()
    net = networks.find(engine.world, name)
    more: dict[str, Any] = {}
    if container.status in LIVE:
        ready(session, [net])
        more = ports_in_the_way(container)
    try:
        engine.decide(networks.connect, net.id, container.id, asked, **more)
    except PortBusy as error:
        raise with_owner(error, more.get("busy", {})) from None
    _carry_out(session, container.id, f"connecting to {net.name}:")
    c = engine.world.containers.get(container.id)
    if c is not None and c.status in LIVE and c.error is not None and _is_unmade(c, net.id):
        failure = EffectFailure(f"cannot connect {c.name} to {net.name}", c.error["step"], c.error["message"])
        disconnect(session, net.id, c.id)
        raise failure


def _is_unmade(c: Container, network_id: str) -> bool:
    return any(row.kind in NETWORKING and row.key in (network_id, c.id) and not row.done for row in c.held)


def disconnect(session: Session, name: str, reference: str) -> None:
    """Raises NotConnected."""
    container = session.touch(reference)
    session.engine().decide(networks.disconnect, name, container.id)
    _carry_out(session, container.id, f"disconnecting from {name}:")


def _carry_out(session: Session, container_id: str, what: str) -> None:
    engine = session.engine()

    def is_settled(c: Container | None) -> bool:
        return c is None or c.status not in LIVE or plan(c, engine.places) is None

    session.settler().carry_out(container_id, is_settled, WAIT, what)
