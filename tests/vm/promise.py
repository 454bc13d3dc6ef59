"""What must hold when the machine is up again: nothing acknowledged is lost, nothing half done is left."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.vm.engine import ROOT, Engine
from tests.vm.load import VOUCHES, Known, KnownNetwork
from tests.vm.machine import CHECKOUT
from tests.waiting import until

Document = dict[str, Any]
# Seconds for restart policies to have their way: the first delay is 0.1, but each start takes seconds here, and many on a
# machine that is busy.
AT_ONCE = 180.0
LOST = "acknowledged, and not in the journal"
PASSING = {"creating", "starting", "stopping", "removing", "restarting"}
# What the kernel has of the engine, one claim a line: sections split by "--".
KERNEL = f"""
cd {ROOT}
ls containers; echo --; ls staging; echo --; ls mnt; echo --
grep -F {ROOT} /proc/self/mountinfo; echo --
for d in /sys/fs/cgroup/mydocker-*/*/; do [ -d $d ] && basename $d; done; echo --
cat /proc/sys/kernel/random/boot_id
"""


def check(engine: Engine, keep: Path, *, whole: bool = True) -> tuple[dict[str, Document], list[Document]]:
    """The claims that hold after any cut. `keep`: an empty directory for the journal's bytes.

    `whole`: after a `replay`, which also makes again what no container stands on, and removes what no event tells of.
    Returns the containers (as `inspect` has them) and the events.
    """
    containers = _at_rest(engine)
    segments = engine.journal()
    for name, text in segments.items():
        (keep / name).write_text(text)
    events = [json.loads(line) for text in segments.values() for line in text.splitlines()]
    subprocess.run(
        [sys.executable, CHECKOUT / "tools" / "verify-journal", keep], check=True, stdout=subprocess.DEVNULL
    )
    assert [event["n"] for event in events] == list(range(1, len(events) + 1)), "the history has a gap"
    _check_kernel(engine, containers, events, whole=whole)
    _check_networks(engine, containers, events, whole=whole)
    for name, document in containers.items():
        assert document["Journal"]["Anomalies"] == [], f"{name}: impossible events"
        assert document["Leftovers"] == [], f"{name}: leftovers"
    return containers, events


def check_known(known: Known, containers: dict[str, Document], events: list[Document]) -> None:
    """One container is as its user was told before the cut; in between where a command's end was not seen."""
    if known.asked:
        return
    status, code = known.after_boot()
    found = containers.get(known.name)
    if status == "gone":
        assert found is None, f"{known}: still there, {found and found['State']}"
        return
    assert found is not None, f"{known}: lost"
    state = found["State"]
    assert state["Status"].replace("stopped", "exited") == status, f"{known}: {state}"
    if status == "exited":
        assert state["ExitCode"] == code or (code < 0 and state["ExitCode"] in {137, 143}), (
            f"{known}: {state}"
        )
        assert (state["ExitReason"] == "lost: reboot") == (code == 255), f"{known}: {state}"
    if status == "running":
        settings = found["NetworkSettings"]
        assert set(settings["Networks"]) == known.networks, f"{known}: {settings}"
        port = [known.port] if known.port else []
        assert known.port is None or ports_of(found) == port, f"{known}: {settings}"
    if known.status == "running" and status == "running":
        lost = [e for e in events if e["t"] == "container.exited" and e["s"].endswith(found["Id"])]
        assert lost[-1]["reason"] == "lost: reboot", f"{known}: nobody noted that it went down"


def check_known_network(known: KnownNetwork, events: list[Document]) -> None:
    """One network is there or gone as its user was told; `check` has seen that the kernel has what the events tell."""
    names = {document["name"] for document in networks_of(events)}
    there = known.asked or (known.name in names) == (known.status == "there")
    assert there, f"{known}: there are {names}"


def check_acknowledged(commands: list[tuple[str, str]], events: list[Document]) -> None:
    """Each (command, container's name) has its event in the journal."""
    told: dict[str, list[str]] = {}
    for event in events:
        told.setdefault(event["t"], []).append(event["by"].get("cmd", ""))
    for verb, name in commands:
        line = re.compile(rf"{verb} .*\b{name}\b")
        found = any(line.match(command) for command in told.get(VOUCHES[verb], []))
        assert found, f"{LOST}: {verb} {name}"


def _at_rest(engine: Engine) -> dict[str, Document]:
    """Restart policies were carried out, by monitors that nobody waits for."""
    end = time.monotonic() + AT_ONCE
    while True:
        containers = engine.containers()
        states = {name: document["State"]["Status"] for name, document in containers.items()}
        if PASSING.isdisjoint(states.values()):
            return containers
        assert time.monotonic() < end, f"hangs: {states}"


def _check_kernel(
    engine: Engine, containers: dict[str, Document], events: list[Document], *, whole: bool
) -> None:
    live = {document["Id"] for document in containers.values() if document["State"]["Running"]}
    known = live | ({"monitors"} if live else set()) | ({"servers"} if networks_of(events) else set())

    def sections() -> list[list[str]]:
        return [part.split() for part in engine.machine.ok(KERNEL).split("--\n")]

    # A monitor answers before it leaves its cgroup and ends.
    until(lambda: set(sections()[4]) <= known, "cgroups", seconds=AT_ONCE)
    directories, staging, links, mounts, _, [boot] = sections()
    assert set(directories) <= {document["Id"] for document in containers.values()}, "files of no container"
    assert staging == [], "half-made files"
    ways = {document["Name"] for document in containers.values() if document["Id"] in live}
    # A way may have reached the disk before the event of it: it leads nowhere, and a `replay` removes it.
    assert set(links) == ways if whole else set(links) >= ways, f"links: {links}"
    assert mounts == [], "mounts"
    boots = [event["boot"] for event in events if event["t"] == "host.booted"]
    assert boots[-1] == boot, "the boot was not noted"
    assert len(boots) == len(set(boots)), "a boot was noted twice"


def networks_of(events: list[Document]) -> list[Document]:
    """The events that made those that are there."""
    gone = {event["s"] for event in events if event["t"] == "network.remove_requested"}
    return [event for event in events if event["t"] == "network.created" and event["s"] not in gone]


def _check_networks(
    engine: Engine, containers: dict[str, Document], events: list[Document], *, whole: bool
) -> None:
    networks = networks_of(events)
    if networks:
        known = json.loads(engine.ok("network inspect " + " ".join(event["id"] for event in networks)))
        bad = [one for one in known if one["Journal"]["Anomalies"] or one["Leftovers"] or one["Error"]]
        assert bad == [], f"networks: {bad}"
    live = [document for document in containers.values() if document["State"]["Running"]]
    used = {name for document in live for name in document["NetworkSettings"]["Networks"]}
    starts = [event for event in events if event["t"] == "container.start_requested"]
    given = {port["host_port"] for event in starts for port in event["ports"]}
    claim = {
        "root_id": events[0]["journal"][:8],
        "owners": [event["id"] for event in networks] + [document["Id"] for document in live],
        "bridges": [event["device"] for event in networks if whole or event["name"] in used],
        "doors": [_door(document) for document in live if document["Path"] == "httpd"],
        "free": sorted(given - {port for document in live for port in ports_of(document)}),
    }
    look = f"cd {CHECKOUT} && python3 -m tests.vm.guest_network {shlex.quote(json.dumps(claim))}"
    assert json.loads(engine.machine.ok(look)) == [], f"of networks: {claim}"
    for document in live:
        stream = [event for event in events if event["s"] == f"container/{document['Id']}"]
        before, now = _places(stream)
        assert before in ({}, now), f"{document['Name']} was at {before}, is at {now}"


def _door(document: Document) -> Document:
    addresses = [one["IPAddress"] for one in document["NetworkSettings"]["Networks"].values()]
    return {"id": document["Id"], "addresses": addresses, "ports": ports_of(document)}


def ports_of(document: Document) -> list[int]:
    """Published ports of a container that is live."""
    ways = document["NetworkSettings"]["Ports"].values()
    return [int(way["HostPort"]) for found in ways for way in found or ()]


def _places(stream: list[Document]) -> tuple[Document, Document]:
    """A container's addresses when the machine went off, {} where it had been stopped; and those it got then."""
    before: Document = {}
    now: Document = {}
    for event in stream:
        if event["t"] == "container.start_requested":
            now = {one["network"]: one["addresses"] for one in event["endpoints"]}
        elif event["t"] == "container.connected" and event["endpoint"]:
            now[event["endpoint"]["network"]] = event["endpoint"]["addresses"]
        elif event["t"] == "container.disconnected":
            now.pop(event["network"], None)
        elif event["t"] == "container.exited":
            before = dict(now) if event["reason"] == "lost: reboot" else {}
    return before, now
