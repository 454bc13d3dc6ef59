"""What must hold after any disaster: the claims at the end of the list of scenarios, checked on the kernel itself."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from eventstore.verify import verify
from tests.machines import Machine
from tests.network_claims import servers, unowned
from tests.waiting import until

SETTLED = 30.0  # seconds for what is on its way
BUSY = ("creating", "starting", "stopping", "removing", "restarting")


class Found:
    """What the program says and the kernel has, read once. `live`: pid -> container."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        rows = machine.ok(
            "ps", "--no-trunc", "--format", "{{.ID}} {{.State}} {{.Names}} {{.Pid}}"
        ).splitlines()
        self.rows = [line.split() for line in rows]
        self.ids = {row[0] for row in self.rows}
        self.live = {int(row[3]): row[0] for row in self.rows if len(row) > 3}
        done = machine("inspect", *sorted(self.ids)) if self.ids else None
        self.refused = done.stderr if done is not None and done.returncode else ""
        self.inspected: list[dict[str, Any]] = [] if done is None or self.refused else json.loads(done.stdout)
        self.events = machine.events()

    def outcome(self) -> str:
        """What a user finds."""
        return ", ".join(sorted(f"{row[2]} {row[1]}" for row in self.rows)) or "nothing"


def _what_is_listed_is_there(found: Found) -> list[str]:
    """One that removes itself may have gone between the two questions: then it is not listed the next time."""
    return [found.refused] if found.refused else []


def _nothing_hangs(found: Found) -> list[str]:
    return [f"{row[2]} hangs in {row[1]}" for row in found.rows if row[1] in BUSY]


def _what_is_said_to_run_does(found: Found) -> list[str]:
    return [f"{pid} of {who} is gone" for pid, who in found.live.items() if not Path(f"/proc/{pid}").exists()]


def _nothing_runs_unsaid(found: Found) -> list[str]:
    known = set(found.live)
    known |= {int(row["State"]["MonitorPid"]) for row in found.inspected if row["Id"] in found.live.values()}
    known |= {pid for pid, _owner in servers(found.machine.run_dir)}  # whose they are is a claim of its own
    inside = {pid for pid in found.live for pid in _descendants(pid)}
    return [f"process {pid}" for pid in found.machine.processes() if pid not in known | inside]


def _descendants(pid: int) -> set[int]:
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return set()
    return {int(child) for child in children} | {
        one for child in children for one in _descendants(int(child))
    }


def _no_cgroup_is_left(found: Found) -> list[str]:
    own = f"mydocker-{found.machine.root_id}"
    there = {path.name for path in found.machine.cgroups() if path.parent.name == own}
    known = {*found.live.values(), *(["monitors"] if found.live else [])}
    known |= {"servers"} if found.machine.networks() else set()
    return [f"cgroup {name}" for name in there - known]


def _no_file_is_left(found: Found) -> list[str]:
    seen = found.machine.seen
    layers = set()
    for event in found.events:
        if event["t"] == "layer.published":
            layers.add(event["digest"])
        elif event["t"] == "effect.done" and event["kind"] == "layer":
            layers.discard(event["key"])
    left = [path for path in (seen / "containers").iterdir() if path.name not in found.ids]
    left += [path for path in (seen / "layers").iterdir() if path.name not in layers]
    left += list((seen / "staging").iterdir())
    left += [path for path in seen.iterdir() if path.name.endswith(".new")]
    links = list((seen / "mnt").iterdir())
    left += links if len(links) != len(found.live) else []
    return [str(path) for path in left]


def _no_mount_is_left(found: Found) -> list[str]:
    if found.machine.seen != found.machine.root:
        return []  # in a namespace of its own, where the root itself is a mount
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return [line for line in lines if str(found.machine.root) in line]


def _nothing_of_a_network_is_left(found: Found) -> list[str]:
    owners = {*found.live.values(), *found.machine.networks()}
    return unowned([], found.machine.root_id, found.machine.run_dir, owners)


def _the_history_explains_all(found: Found) -> list[str]:
    """No gap, no altered byte, nothing impossible, nothing without who and why."""
    numbers = [event["n"] for event in found.events]
    wrong = [] if numbers == list(range(1, len(numbers) + 1)) else ["the journal has a gap"]
    wrong += [
        f"event {event['n']} has nobody and no cause"
        for event in found.events
        if event["s"] != "journal" and not (event["why"] and {"uid", "pid", "cmd"} <= event["by"].keys())
    ]
    wrong += [str(finding) for finding in verify(str(found.machine.seen / "journal")).findings]
    for row in found.inspected:
        wrong += [f"{row['Name']}: impossible events {row['Journal']['Anomalies']}"] * bool(
            row["Journal"]["Anomalies"]
        )
        wrong += [f"{row['Name']}: left behind {row['Leftovers']}"] * bool(row["Leftovers"])
    return wrong


# Each tells what is wrong. A new kind of resource adds one that looks for what nobody owns.
CLAIMS: list[Callable[[Found], list[str]]] = [
    _what_is_listed_is_there,
    _nothing_hangs,
    _what_is_said_to_run_does,
    _nothing_runs_unsaid,
    _no_cgroup_is_left,
    _no_file_is_left,
    _no_mount_is_left,
    _nothing_of_a_network_is_left,
    _the_history_explains_all,
]


def hold(machine: Machine, where: str) -> Found:
    """Check all, until they hold; what was found. A container that a new monitor started may just be ending."""
    wrong: list[str] = []

    def whole() -> Found | None:
        found = Found(machine)
        wrong[:] = [text for claim in CLAIMS for text in claim(found)]
        return None if wrong else found

    found = until(
        whole, lambda: f"{where}: {'; '.join(wrong)}", beside=machine.seen / "journal", seconds=SETTLED
    )
    assert found is not None
    return found
