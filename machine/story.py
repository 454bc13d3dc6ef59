"""Each event as one sentence for people. Pure; what it quotes may hold anything: show it escaped.

The sentence's subject is the stream's (`c1: made its cgroup`), so it is not named in it.
"""

from __future__ import annotations

from machine.settings import SHORT
from machine.signals import signal_name
from machine.words import count_of, duration, errno_words, failed_times

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

SOME_PLACE = "place on a network"
# kind -> what it is called once it is named
THINGS = {
    "directory": "its directory",
    "cgroup": "its cgroup",
    "init": "its first process",
    "root_link": "its root link",
    "release": "its program",
    "frozen": "the freeze",
    "layer": "its files",
    "staging": "its staging directory",
    "signal": "a signal",
    "endpoint": f"its {SOME_PLACE}",
    "rules": "its firewall rules",
    "resolver": "its own name server",
    "bridge": "its bridge",
    "dns": "its name server",
    "firewall": "the firewall's table",
    "forwarding": "forwarding",
}
# Where "make X" and "made X" are no way to say it: kind -> (infinitive, past).
MADE = {
    "release": ("run its program", "ran its program"),
    "frozen": ("freeze its processes", "froze its processes"),
    "forwarding": ("turn forwarding on", "turned forwarding on, where it was off"),
}
# And where "undo X" and "undone: X" are none.
UNMADE = {
    "release": ("end its program", "ended its program"),
    "frozen": ("let its processes go on", "let its processes go on"),
    "forwarding": ("turn forwarding off", "turned forwarding off, where it had been off"),
}
EXITS = {
    "exit": "ended by itself",
    "oom": "was killed for want of memory",
    "lost: monitor": "ended while nobody watched it",
    "lost: moved": "was left behind when its root was moved",
    "lost: reboot": "went down with the machine",
}


def sentence(event: Any, called: Callable[[str], str] | None = None) -> str:
    """What happened, in plain words, past tense. Total over every event of `machine.events.SCHEMA`.

    `called`: how people call what has a stream. With it, a place on a network is told with the network's name.
    """
    told = WORDS[event.tag](event)
    if called is not None and getattr(event, "kind", "") == "endpoint":
        told = told.replace(SOME_PLACE, f"place on {called(f'network/{event.key}')}", 1)
    return told


# --- containers --------------------------------------------------------------------------------------


def _created(e: Any) -> str:
    return f"created from {e.image or 'no image'}: {' '.join(e.command)}"


def _start(e: Any) -> str:
    if e.netns:
        return f"asked to start in the network of {str(e.netns.get('id', ''))[:SHORT]}"
    at = ", ".join(f"{_addresses(one)} on {one.get('name', '')}" for one in e.endpoints)
    leads = ", ".join(map(_port, e.ports))
    return "asked to start" + (f" at {at}" if at else "") + (f"; published: {leads}" if leads else "")


def _addresses(endpoint: dict[str, Any]) -> str:
    return " and ".join(str(text).partition("/")[0] for text in endpoint.get("addresses", ()))


def _port(row: dict[str, Any]) -> str:
    address = str(row.get("address", ""))
    shown = f"[{address}]" if ":" in address else address
    return f"{shown}:{row.get('host_port')} -> {row.get('port')}/{row.get('protocol')}"


def _connected(e: Any) -> str:
    name, at = e.connection.get("name", ""), _addresses(e.endpoint)
    return f"connected to network {name}" + (f" at {at}" if at else "")


def _stop(e: Any) -> str:
    first = f"asked to stop: {signal_name(e.signal)}"
    if e.timeout < 0:
        return f"{first}, and no SIGKILL ever"
    return f"{first}, SIGKILL after {duration(e.timeout)}"


def _exited(e: Any) -> str:
    if e.reason == "oom" and e.code is None:
        return (
            f"{EXITS['lost: monitor']}, after the kernel had killed in it for want of memory, {_code(e.code)}"
        )
    if e.reason == "signal":
        return f"ended by {signal_name(e.signal)}, {_code(e.code)}"
    return f"{EXITS.get(e.reason, f'ended ({e.reason})')}, {_code(e.code)}"


def _restart(e: Any) -> str:
    return f"to be started again by its {e.cause}, {f'in {duration(e.delay)}' if e.delay else 'at once'}"


def _health(e: Any) -> str:
    if not e.failures:
        return f"{e.health} by its health check"
    return f"{e.health}: its health check failed {failed_times(e)}"


def _remove(e: Any) -> str:
    return "asked to be removed, alive or not" if e.force else "asked to be removed"


def _updated(e: Any) -> str:
    return "changed: " + "; ".join(f"{key} {_value(value)}" for key, value in e.settings.items())


def _exec_started(e: Any) -> str:
    user, where = f" as {e.user}" if e.user else "", " at a terminal" if e.tty else ""
    return f"exec {e.exec[:SHORT]} began{user}{where}: {' '.join(e.command)}"


def _exec_exited(e: Any) -> str:
    return f"exec {e.exec[:SHORT]} ended, {_code(e.code)}"


# --- effects -----------------------------------------------------------------------------------------


def _intent(e: Any) -> str:
    return f"about to {_attempt('do', e.kind, e.spec)}"


def _intent_to_undo(e: Any) -> str:
    return f"about to {_attempt('undo', e.kind, {})}"


def _intent_to_change(e: Any) -> str:
    return f"about to {_attempt('change', e.kind, e.spec)}"


def _done(e: Any) -> str:
    if e.verb == "undo":
        return UNMADE[e.kind][1] if e.kind in UNMADE else f"undone: {_bare(e.kind)}"
    if e.verb == "change":
        return f"changed {_thing(e.kind)}"
    if e.kind == "signal":
        return f"sent it the signal asked for in event {e.key}"
    if e.kind == "init":
        return f"made its first process: pid {e.facts.get('pid', 'unknown')}, {_mounts(e.facts)}"
    return MADE[e.kind][1] if e.kind in MADE else f"made {_thing(e.kind)}"


def _failed(e: Any) -> str:
    return f"could not {_attempt(e.verb, e.kind, {})}: {e.step}: {errno_words(e)}{e.message}"


def _lost(e: Any) -> str:
    return f"found gone: {_bare(e.kind)}"


def _attempt(verb: str, kind: str, spec: dict[str, Any]) -> str:
    """The infinitive: "make its cgroup", "undo root link"."""
    if verb == "undo":
        return UNMADE[kind][0] if kind in UNMADE else f"undo {_bare(kind)}"
    if verb == "change":
        return f"change {_thing(kind)}"
    if kind == "signal":
        return f"send it {signal_name(spec['signal'])}" if "signal" in spec else "send it a signal"
    return MADE[kind][0] if kind in MADE else f"make {_thing(kind)}"


def _thing(kind: str) -> str:
    return THINGS.get(kind, f"its {kind.replace('_', ' ')}")


def _bare(kind: str) -> str:
    """Without whose it is: "root link"."""
    return _thing(kind).removeprefix("its ").removeprefix("the ")


def _mounts(facts: dict[str, Any]) -> str:
    return f"{len(facts.get('mounts', ()))} mounts"


# --- images, layers, jobs, the host, the journal -------------------------------------------------------


def _layer(e: Any) -> str:
    return f"published: {e.entries} entries, {e.size} bytes"


def _image(e: Any) -> str:
    layers = f"with {count_of(len(e.layers), 'layer')}" if e.layers else "to be extracted by its first run"
    return f"published {layers}, from {e.source.get('path', 'an unknown place')}"


def _network(e: Any) -> str:
    ranges = ", ".join(str(one.get("subnet", "")) for one in e.subnets)
    return f"created{' without a way out' if e.internal else ''}: {e.driver} {e.device}, {ranges}"


def _job_started(e: Any) -> str:
    return f"{e.kind} began: {e.subject} to {e.target}"


def _job_finished(e: Any) -> str:
    return f"done: {e.result}" if e.result else "done"


def _archived(e: Any) -> str:
    return f"archived {e.segment}: {e.size} bytes, packed {e.packed}"


def _swept(e: Any) -> str:
    more = f" and {e.count - len(e.paths)} more" if e.count > len(e.paths) else ""
    return f"about to remove what nothing in the journal tells of: {', '.join(e.paths)}{more}"


def _repaired(e: Any) -> str:
    if not e.length:
        return "journal mended: only its last line feed was missing"
    events = f", {count_of(e.lines, 'event')} among them," if e.lines else ""
    return f"journal mended: {e.length} bytes{events} cut off its end, kept in {e.kept}"


# --- words -------------------------------------------------------------------------------------------


def _code(code: int | None) -> str:
    return "its code unknown" if code is None else f"code {code}"


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return " ".join(f"{key}={_value(inner)}" for key, inner in value.items()) or "none"
    if isinstance(value, list):
        return ",".join(map(_value, value)) or "none"
    return str(value)


WORDS: dict[str, Callable[[Any], str]] = {
    "container.created": _created,
    "container.start_requested": _start,
    "container.monitored": lambda e: (
        f"watched by process {e.pid} from now on"
        if getattr(e, "why", "") != "upgrade"
        else f"its monitor, process {e.pid}, goes on as another version of mydocker"
    ),
    "container.stop_requested": _stop,
    "container.kill_requested": lambda e: f"asked to be sent {signal_name(e.signal)}",
    "container.pause_requested": lambda _: "asked to pause",
    "container.unpause_requested": lambda _: "asked to go on",
    "container.exited": _exited,
    "container.restart_requested": _restart,
    "container.remove_requested": _remove,
    "container.renamed": lambda e: f"renamed to {e.name}",
    "container.updated": _updated,
    "container.connected": _connected,
    "container.disconnected": lambda e: f"disconnected from network {e.name or e.network[:SHORT]}",
    "container.health_changed": _health,
    "exec.started": _exec_started,
    "exec.exited": _exec_exited,
    "effect.do": _intent,
    "effect.undo": _intent_to_undo,
    "effect.change": _intent_to_change,
    "effect.done": _done,
    "effect.failed": _failed,
    "effect.lost": _lost,
    "layer.published": _layer,
    "layer.remove_requested": lambda _: "to be removed: nothing stands on it any more",
    "image.published": _image,
    "image.removed": lambda _: "removed",
    "network.created": _network,
    "network.remove_requested": lambda _: "asked to be removed",
    "job.started": _job_started,
    "job.publishing": lambda e: f"about to publish {e.path}",
    "job.finished": _job_finished,
    "job.abandoned": lambda e: f"given up: {e.reason}",
    "host.swept": _swept,
    "host.booted": lambda e: f"the machine booted: boot {e.boot}",
    "host.run_dir_changed": lambda e: f"the run directory is {e.run} from now on",
    "journal.segment": lambda _: "a new segment of the journal began",
    "journal.repaired": _repaired,
    "journal.archived": _archived,
}
