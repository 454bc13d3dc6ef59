"""Networks: who may have which, and what they and the host hold for them."""

from __future__ import annotations

from typing import Any

import pytest

from machine import decide_host, networks
from machine import events as ev
from machine.addresses import subnet
from machine.errors import AmbiguousPrefix, InvalidValue
from machine.network_errors import (
    DeviceExists,
    NetworkExists,
    NoPool,
    NoSuchNetwork,
    SubnetTaken,
)
from machine.networks import Wanted
from machine.plan import plan, wanted
from tests.event_order import violations
from tests.histories import MACHINE, PLACES, History, failing, here, well
from tests.networked import (
    N1,
    N2,
    TURNED_ON,
    a_network,
    add,
    history,
    net,
    start,
)

# --- networks ----------------------------------------------------------------------------------------


def test_a_network_has_what_was_asked_for_and_its_gateway_is_its_first_address() -> None:
    found = net(history(a_network(internal=True, labels={"a": "b"})))

    assert found.subnets == [{"subnet": "192.168.10.0/24", "gateway": "192.168.10.1"}]
    assert (found.name, found.device, found.internal, found.labels) == ("net", "net", True, {"a": "b"})


def test_a_network_without_a_subnet_gets_the_first_of_the_default_pools_that_nobody_has() -> None:
    found = history(Wanted(N1, "one"))
    found.decide(networks.create, Wanted(N2, "two"), routes=["172.18.4.0/24", "nonsense"])

    assert [one["subnet"] for one in net(found).subnets] == ["172.17.0.0/16"]
    assert [one["subnet"] for one in net(found, N2).subnets] == ["172.19.0.0/16"]


def test_a_default_pool_covers_nothing_that_the_host_reaches_elsewhere_unless_all_do() -> None:
    world, behind = history().world, ["172.16.0.0/15", "172.18.0.53/32", "fd00::1/32", "nonsense"]

    def subnets(asked: Wanted, elsewhere: list[str]) -> list[str]:
        ((_, event),) = networks.create(world, asked, elsewhere=elsewhere)
        return [one["subnet"] for one in event.payload()["subnets"]]

    assert subnets(Wanted(N2, "two"), behind) == ["172.19.0.0/16"]
    assert subnets(Wanted(N2, "two"), ["172.16.0.0/12", "192.168.0.0/16"]) == ["172.17.0.0/16"]
    assert subnets(a_network("two", N2, "172.18.0.0/24"), behind) == ["172.18.0.0/24"]


def test_a_network_of_both_families_gets_an_own_unique_local_prefix() -> None:
    found = net(history(a_network(v6=True)))

    assert [one["gateway"] for one in found.subnets] == ["192.168.10.1", "fd11:1111:1111::1"]


def test_no_two_networks_overlap_and_none_overlaps_a_route_of_the_host() -> None:
    world = history().world
    with pytest.raises(SubnetTaken, match="overlaps network net"):
        networks.create(world, a_network("other", N2, "192.168.0.0/16"))
    with pytest.raises(SubnetTaken, match=r"overlaps a route of this host \(10.0.0.0/8\)"):
        networks.create(world, a_network("other", N2, "10.1.0.0/24"), routes=["10.0.0.0/8"])
    with pytest.raises(SubnetTaken, match="another of them"):
        networks.create(
            world, Wanted(N2, "x", [(subnet("10.0.0.0/24"), None), (subnet("10.0.0.0/16"), None)])
        )
    with pytest.raises(NoPool):
        networks.create(world, Wanted(N2, "other"), routes=["172.16.0.0/12", "192.168.0.0/16"])


def test_a_name_or_a_link_that_is_there_is_refused() -> None:
    world = history().world
    with pytest.raises(NetworkExists):
        networks.create(world, a_network("net", N2, "10.0.0.0/24"))
    with pytest.raises(DeviceExists, match=r"docker0: .* not ours"):
        networks.create(world, a_network("docker0", N2, "10.0.0.0/24"), links={"lo", "docker0"})


@pytest.mark.parametrize(
    "name", ["none", "host", "container", "bridge", "default", "", "a" * 16, "-a", "a b", "a/b"]
)
def test_a_name_that_cannot_be_a_bridges_is_refused(name: str) -> None:
    with pytest.raises(InvalidValue):
        networks.network_name(name)
    assert networks.network_name("testbridge01") == "testbridge01"


def test_the_default_network_is_made_once() -> None:
    found = history()
    more = {"links": (), "routes": ()}
    found.decide(networks.default, N2, "0badcafe", **more)

    assert (net(found, N2).name, net(found, N2).device) == ("bridge", "md-0badcafe")
    assert networks.default(found.world, "3" * 64, "0badcafe", **more) == []


def test_a_network_is_found_by_name_id_and_unique_prefix() -> None:
    world = history(a_network(), a_network("other", "12" + "0" * 62, "10.0.0.0/24")).world

    assert [networks.find(world, text).name for text in ("net", N1, "11", "12", "other")] == ["net"] * 3 + [
        "other"
    ] * 2
    with pytest.raises(AmbiguousPrefix):
        networks.find(world, "1")
    for text in ("", "nothing", "3"):
        with pytest.raises(NoSuchNetwork):
            networks.find(world, text)


# --- what is held ------------------------------------------------------------------------------------


def with_forwarding(step: Any) -> dict[str, Any]:
    return TURNED_ON if step.kind == "forwarding" and step.verb == "do" else well(step)


def test_a_network_is_made_in_order_and_the_host_with_it_and_both_are_unmade_in_reverse() -> None:
    found = History()
    found.decide(networks.create, a_network())

    assert found.settle("host", with_forwarding) == ["do forwarding", "do firewall"]
    assert found.world.host.held[1].spec["turned_on"] == TURNED_ON["turned_on"]
    assert found.settle(f"network/{N1}") == ["do bridge", "do rules", "do dns"]
    found.decide(networks.remove, "net")
    assert found.settle("host") == []  # it is still needed
    assert found.settle(f"network/{N1}") == ["undo dns", "undo rules", "undo bridge"]
    assert found.settle("host") == ["undo firewall", "undo forwarding"]
    assert (found.world.networks, found.world.host.held) == ({}, [])
    assert violations(found.events) == []


def test_the_firewall_is_made_once_more_when_another_family_is_forwarded() -> None:
    found = history()
    found.decide(
        networks.create, Wanted(N2, "six", [(subnet("10.0.0.0/24"), None), (subnet("fd00::/64"), None)])
    )

    assert found.settle("host", with_forwarding) == ["do forwarding", "do firewall"]
    assert {row.key for row in found.world.host.held} == {"ipv4", "ipv6", "host"}
    assert violations(found.events) == []


def test_an_internal_network_needs_a_firewall_and_no_forwarding() -> None:
    assert wanted(history(a_network(internal=True)).world.host) == [("firewall", "host")]


def test_what_could_not_be_made_for_a_network_stays_held_until_it_is_looked_at_again() -> None:
    found = History()
    found.decide(networks.create, a_network())

    assert found.settle(f"network/{N1}", failing(("do", "rules"))) == ["do bridge", "do rules"]
    assert net(found).error is not None
    assert plan(net(found), PLACES) is None
    found.note(f"network/{N1}", ev.EffectLost(kind="rules", key=N1))  # `Engine.observe` says so
    assert [row.kind for row in net(found).held] == ["bridge", "rules"]
    assert found.settle(f"network/{N1}") == ["do rules", "do dns"]
    assert violations(found.events) == []


def test_a_network_that_could_not_be_made_is_unmade_whole() -> None:
    found = History()
    found.decide(networks.create, a_network())
    found.settle(f"network/{N1}", failing(("do", "bridge")))
    found.decide(networks.remove, "net")

    assert found.settle(f"network/{N1}") == ["undo bridge"]
    assert found.world.networks == {}


def test_a_bridge_that_is_lost_takes_its_name_server_with_it() -> None:
    found = history()
    found.note(f"network/{N1}", ev.EffectLost(kind="bridge", key=N1))

    assert found.settle(f"network/{N1}") == ["undo dns", "do bridge", "do dns"]


def test_a_reboot_forgets_all_of_it_and_it_is_made_anew() -> None:
    found = history()
    c = start(found, add(found))
    found.decide(decide_host.note_boot, here("boot-2", MACHINE))

    assert (net(found).held, found.world.host.held, c.endpoints) == ([], [], [])
    assert found.settle("host") == ["do forwarding", "do firewall"]
    assert found.settle(f"network/{N1}") == ["do bridge", "do rules", "do dns"]
    assert violations(found.events) == []


def test_a_network_that_was_being_removed_is_gone_after_a_reboot() -> None:
    found = history()
    found.decide(networks.remove, "net")
    found.decide(decide_host.note_boot, here("boot-2", MACHINE))

    assert (found.world.networks, found.world.host.status) == ({}, "idle")
