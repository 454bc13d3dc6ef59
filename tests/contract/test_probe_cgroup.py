"""The cgroup of a health check's probes, below its container's: by it a probe is ended whole."""

from __future__ import annotations

import os
import select
import signal
import subprocess

import pytest

from cli import handover
from effects import cgroup_tree, probe
from effects.control import Connection
from tests.contract.bench import Bench, LinuxBench


@pytest.fixture
def container(bench: Bench) -> Bench:
    bench.limits = {"memory": 64 << 20, "pids": 20}
    bench.stage("cgroup")
    bench.do("cgroup")
    return bench


def leaf_of(bench: Bench) -> str:
    facts = bench.facts["cgroup"]
    mount = facts["cgroup2"] or next(iter(facts["at"].values()))
    return f"{mount}/{facts['leaf']}/{probe.LEAF}"


def test_a_probe_is_born_below_its_container_in_one_hierarchy_and_beside_it_in_the_others(
    container: Bench,
) -> None:
    facts = container.facts["cgroup"]
    here = probe.make_leaf(container.host, facts)
    where, leaf = cgroup_tree.places(facts), leaf_of(container)

    assert container.host.exists(leaf)
    ways = [here["cgroup2"], *here["joins"]]
    assert [way for way in ways if probe.LEAF in way] == [leaf if where["cgroup2"] else f"{leaf}/tasks"]
    assert len(here["joins"]) == len(where["joins"])
    probe.let_go(container.host, facts)
    assert not container.host.exists(leaf)


def test_one_that_is_over_wakes_nobody_until_it_is_closed(container: Bench) -> None:
    """Its monitor may have to wait with that until the journal takes events again."""
    ours, theirs = handover.pair()
    pid = os.posix_spawn("/bin/true", ["true"], {})  # in the joiner's place
    about = {"identity": {}, "id": "c1", "cgroup": container.facts["cgroup"]}
    made = probe.Probe(container.host, about, {}, Connection(ours), pid)
    assert ready(made, 10_000) == [made.fds()[0]]
    made.serve(made.fds()[0])

    assert (made.over, ready(made, 0)) == (True, [])
    made.close()
    theirs.close()


def ready(made: probe.Probe, milliseconds: int) -> list[int]:
    poller = select.poll()
    for fd in made.fds():
        poller.register(fd, select.POLLIN)
    return [fd for fd, _ in poller.poll(milliseconds)]


def test_making_it_twice_and_removing_it_twice_are_no_errors(container: Bench) -> None:
    facts = container.facts["cgroup"]

    assert probe.make_leaf(container.host, facts) == probe.make_leaf(container.host, facts)
    for _ in range(2):
        probe.let_go(container.host, facts)
        probe.sweep(container.host, facts)


def test_the_containers_own_undo_takes_it_along(container: Bench) -> None:
    probe.make_leaf(container.host, container.facts["cgroup"])
    leaf = leaf_of(container)
    container.undo("cgroup")

    assert not container.host.exists(leaf)


@pytest.mark.root
def test_what_is_in_it_is_killed_or_handed_to_the_container_and_nobody_else(container: Bench) -> None:
    if not isinstance(container, LinuxBench):
        return  # a fake process moves only itself
    facts, host = container.facts["cgroup"], container.host
    sleepers = [subprocess.Popen(["sleep", "1000"]) for _ in range(3)]
    theirs, kept, killed = sleepers
    leaf = leaf_of(container)
    above = leaf.rpartition("/")[0]
    try:
        host.write_control(f"{above}/cgroup.procs", str(theirs.pid))
        probe.make_leaf(host, facts)
        host.write_control(f"{leaf}/cgroup.procs", str(kept.pid))
        probe.let_go(host, facts)
        assert set(host.pids_in(above)) == {theirs.pid, kept.pid}
        probe.make_leaf(host, facts)
        host.write_control(f"{leaf}/cgroup.procs", str(killed.pid))
        probe.sweep(host, facts)
        assert killed.wait(10) == -signal.SIGKILL
        assert [theirs.poll(), kept.poll()] == [None, None]
    finally:
        for sleeper in sleepers:
            if sleeper.poll() is None:
                os.kill(sleeper.pid, signal.SIGKILL)
            sleeper.wait()
