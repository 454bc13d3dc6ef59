"""Pull the plug of a machine that runs containers under load; boot it again from the same disk; see the promise kept.

Every boot checks what the cut before it left, and ends in the next one.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.vm.conftest import SEED
from tests.vm.engine import Engine
from tests.vm.load import Known, KnownNetwork, Load
from tests.vm.machine import Machine
from tests.vm.promise import (
    Document,
    check,
    check_acknowledged,
    check_known,
    check_known_network,
    networks_of,
    ports_of,
)

pytestmark = [pytest.mark.root, pytest.mark.timeout(7200)]
CYCLES = int(os.environ.get("MYDOCKER_CUTS") or (100 if os.environ.get("MYDOCKER_TEST_ALL") else 10))
USERS = 2
MOST = 6  # commands acknowledged before the next cut
# What a user may type first after the power is back.
FIRST = ("replay", "run --rm busybox true", "images")


def test_pulled_plugs_lose_nothing_and_leave_nothing(boot: Callable[..., Machine], tmp_path: Path) -> None:
    print(f"MYDOCKER_SEED={SEED}")
    known: dict[str, Known] = {}
    networks: dict[str, KnownNetwork] = {}
    acknowledged: list[tuple[str, str]] = []
    images: list[str] = []
    for cycle in range(CYCLES + 1):
        chance = random.Random(f"{SEED} {cycle}")
        machine = boot()
        engine = Engine(machine)
        if cycle:
            events = _see_the_promise(engine, chance, tmp_path / f"journal{cycle}", known, acknowledged)
            _see_the_networks(networks, events)
            _see_the_images(engine, images)
        else:
            engine.ok("run --rm busybox true")
        if cycle == CYCLES:
            engine.ok("audit verify --state")
            if known:
                engine.ok("rm -f " + " ".join(known))
            engine.ok("network prune -f")
            (tmp_path / "end").mkdir()
            check(engine, tmp_path / "end")
            return
        load = Load(engine, f"c{cycle}", USERS, known=known, networks=networks)
        load.start()
        load.wait(chance.randint(0, MOST))
        time.sleep(chance.uniform(0, 1.5))  # the moment of the cut: whatever the load is at
        machine.cut()
        load.join()
        acknowledged += [(verb, name) for _, verb, name in load.told]
        images += load.images
        print(
            f"cut {cycle}: boot {machine.booted:.1f} s, then {len(load.told)} commands, cut at: {load.busy}; {len(acknowledged)} acknowledged"
        )


def _see_the_promise(
    engine: Engine,
    chance: random.Random,
    keep: Path,
    known: dict[str, Known],
    acknowledged: list[tuple[str, str]],
) -> list[Document]:
    first = chance.choice(FIRST)
    engine.ok(first)
    if first == "images":
        engine.ok("replay")  # a reader mends nothing
    keep.mkdir()
    containers, events = check(engine, keep, whole=not first.startswith("run"))
    check_acknowledged(acknowledged, events)
    for container in known.values():
        check_known(container, containers, events)
    # From here on what was in between is known too.
    before = {id(container): container for container in known.values()}
    known.clear()
    for name, document in containers.items():
        state = document["State"]
        known[name] = Known(
            name,
            policy=document["HostConfig"]["RestartPolicy"]["policy"],
            auto_remove=document["HostConfig"]["AutoRemove"],
            status=state["Status"].replace("stopped", "exited"),
            code=state["ExitCode"],
            stopped=state["StoppedByUser"],
            networks=set(document["NetworkSettings"]["Networks"]),
            port=sum(ports_of(document)) if state["Running"] else None,
        )
    print(f"  {len(before)} containers known, {len(containers)} there")
    return events


def _see_the_networks(networks: dict[str, KnownNetwork], events: list[Document]) -> None:
    for network in networks.values():
        check_known_network(network, events)
    there = {event["name"] for event in networks_of(events)} - {"bridge"}
    networks.clear()
    networks.update({name: KnownNetwork(name, "there") for name in there})
    print(f"  {len(there)} networks")


def _see_the_images(engine: Engine, images: list[str]) -> None:
    if not images:
        return  # a command takes a second here
    listed = engine.ok("images --format '{{.Name}}'").split()
    assert set(images) <= set(listed), f"lost: {set(images) - set(listed)}"
