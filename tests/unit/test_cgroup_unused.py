"""A cgroup that several share goes with the last of them, though he has only just been killed."""

from __future__ import annotations

import pytest

from effects import cgroup_tree
from tests.fake_cgroups import CgroupNode
from tests.fake_kernel import FakeKernel
from tests.fakes import FakeHost

PARENT, NAME = "mydocker-01234567", "servers"


def leaves(host: FakeHost, name: str = NAME) -> list[CgroupNode]:
    found = [host.kernel.tree.find(f"{one['path']}/{PARENT}/{name}") for one in host.hierarchies()]
    return [node for node in found if isinstance(node, CgroupNode)]


@pytest.fixture(params=["v1", "hybrid", "v2"])
def host(request: pytest.FixtureRequest) -> FakeHost:
    made = FakeHost(FakeKernel(request.param))
    cgroup_tree.make(made, made.hierarchies(), PARENT, NAME, {})
    assert len(leaves(made)) == len(made.hierarchies())
    return made


def test_one_that_an_ended_process_has_not_quite_left_goes_all_the_same(host: FakeHost) -> None:
    for node in leaves(host):
        node.lingering = True
    cgroup_tree.remove_unused(host, host.hierarchies(), PARENT, NAME)

    assert leaves(host) == []
    assert not any(host.exists(f"{one['path']}/{PARENT}") for one in host.hierarchies())


@pytest.mark.parametrize("name", ["monitors", "servers"])
def test_with_the_last_container_goes_what_an_ended_process_has_not_quite_left(
    host: FakeHost, name: str
) -> None:
    """Its monitor was killed, or a name server, and then it was removed."""
    kinds = host.hierarchies()
    for leaf in (name, "container"):
        cgroup_tree.make(host, kinds, PARENT, leaf, {})
    for node in leaves(host, name):
        node.lingering = True
    cgroup_tree.remove(host, [f"{one['path']}/{PARENT}/container" for one in kinds])

    assert not any(host.exists(f"{one['path']}/{PARENT}") for one in kinds)


def test_what_a_killed_monitor_was_in_goes_from_all_hierarchies_though_a_name_server_lives(
    host: FakeHost,
) -> None:
    kinds = host.hierarchies()
    process = host.kernel.add_process({})
    process.state, process.cgroups = "running", leaves(host)
    for leaf in (cgroup_tree.MONITORS, "container"):
        cgroup_tree.make(host, kinds, PARENT, leaf, {})
    cgroup_tree.remove(host, [f"{one['path']}/{PARENT}/container" for one in kinds])

    assert leaves(host, cgroup_tree.MONITORS) == []
    assert len(leaves(host)) == len(kinds)


def test_with_the_last_who_leaves_goes_what_an_ended_process_has_not_quite_left(host: FakeHost) -> None:
    facts = cgroup_tree.facts_of(host, host.hierarchies(), f"{PARENT}/{NAME}")
    for node in leaves(host):
        node.lingering = True
    cgroup_tree.leave(host, facts)

    assert not any(host.exists(f"{one['path']}/{PARENT}") for one in host.hierarchies())


def test_one_that_another_lives_in_stays(host: FakeHost) -> None:
    process = host.kernel.add_process({})
    process.state, process.cgroups = "running", leaves(host)
    cgroup_tree.remove_unused(host, host.hierarchies(), PARENT, NAME)

    assert len(leaves(host)) == len(host.hierarchies())
