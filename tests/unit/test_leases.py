"""What a container gets of its networks: addresses, ports, names, and another container's network."""

from __future__ import annotations

import pytest

from machine import decide, decide_host, networks
from machine import events as ev
from machine.addresses import parse
from machine.asleep import Asleep
from machine.errors import MachineError
from machine.network_errors import (
    AddressTaken,
    AddressUnfit,
    Connected,
    NetnsGone,
    NetnsInUse,
    NetworkGone,
    NetworkInUse,
    NoNetworkOfItsOwn,
    NotConnected,
    PoolExhausted,
    PortTaken,
    Unpublishable,
)
from machine.world import World
from tests.event_order import violations
from tests.histories import BOOT, MACHINE, container_id, created, failing, fold, here
from tests.networked import (
    ASKED,
    N1,
    N2,
    a_network,
    add,
    addresses,
    asked_port,
    connection,
    history,
    net,
    start,
)

# --- addresses ---------------------------------------------------------------------------------------


def test_each_gets_the_next_free_address_a_mac_of_it_and_a_link_of_its_id() -> None:
    found = history()
    one, two = start(found, add(found, "one", "a")), start(found, add(found, "two", "b"))

    assert addresses(one) + addresses(two) == ["192.168.10.2/24", "192.168.10.3/24"]
    assert two.endpoints[0] == {
        "network": N1,
        "name": "net",
        "bridge": "net",
        "device": "eth0",
        "host_device": "mdbbbbbbbb-1111",
        "addresses": ["192.168.10.3/24"],
        "gateways": ["192.168.10.1"],
        "mac": "02:42:c0:a8:0a:03",
        "names": ["two", "b" * 12],
        "internal": False,
    }


def test_an_address_is_free_once_nothing_in_the_kernel_stands_for_it_and_its_last_owner_gets_it_back() -> (
    None
):
    found = history()
    one, two = start(found, add(found, "one", "a")), add(found, "two", "b")
    found.decide(decide.note_exit, one.id, code=0)
    assert decide.start(found.world, "two")[0][1].payload()["endpoints"][0]["addresses"] == [
        "192.168.10.3/24"
    ]
    found.settle(one.stream)
    assert (one.endpoints, addresses(start(found, two))) == ([], ["192.168.10.2/24"])
    assert addresses(start(found, one)) == ["192.168.10.3/24"]
    for c in (one, two):
        found.decide(decide.note_exit, c.id, code=0)
        found.settle(c.stream)
    assert [addresses(start(found, c)) for c in (one, two)] == [["192.168.10.3/24"], ["192.168.10.2/24"]]
    assert fold(found.events).dump() == found.world.dump()


def test_a_container_that_waits_for_its_restart_keeps_what_it_has() -> None:
    found = history()
    one = add(found, "one", "a", restart={"policy": "always", "max": 0}, ports=[asked_port(80)])
    start(found, one)
    found.decide(decide.note_exit, one.id, code=1)
    found.settle(one.stream)
    assert (one.status, addresses(one)) == ("restarting", ["192.168.10.2/24"])
    assert addresses(start(found, add(found, "two", "b"))) == ["192.168.10.3/24"]
    found.decide(decide.restart_now, one.id, 1 << 62)
    found.settle(one.stream)

    assert (one.status, addresses(one), one.ports[0]["host_port"]) == ("running", ["192.168.10.2/24"], 80)
    assert violations(found.events) == []


def test_what_always_starts_again_after_a_boot_gets_what_nobody_else_has() -> None:
    found = history()
    always = {"policy": "always", "max": 0}
    stopped = [
        start(found, add(found, name, digit, restart=always)) for name, digit in (("one", "a"), ("two", "b"))
    ]
    for c in stopped:
        found.decide(decide.stop, c.name)
        found.decide(decide.note_exit, c.id, code=0)
        found.settle(c.stream)
    last = start(found, add(found, "three", "c", restart=always))
    found.decide(decide_host.note_boot, here("boot-2", MACHINE))

    assert {c.status for c in (*stopped, last)} == {"restarting"}
    assert [addresses(c) for c in (last, *stopped)] == [
        ["192.168.10.2/24"],
        ["192.168.10.3/24"],
        ["192.168.10.4/24"],
    ]


@pytest.mark.parametrize(
    ("asked", "error"),
    [
        ({"ip": "192.168.11.2"}, AddressUnfit),
        ({"ip": "192.168.10.0"}, AddressUnfit),
        ({"ip": "192.168.10.255"}, AddressUnfit),
        ({"ip": "192.168.10.1"}, AddressTaken),
        ({"ip": "192.168.10.2"}, AddressTaken),
        ({"ip": "fd00::2"}, AddressUnfit),
        ({"ip6": "fd00::2"}, AddressUnfit),  # the network has IPv4 alone
    ],
)
def test_an_address_that_cannot_be_had_is_refused(asked: dict[str, str], error: type[MachineError]) -> None:
    found = history()
    start(found, add(found))
    add(found, "c2", "b", connections=[connection(**asked)])

    with pytest.raises(error):
        decide.start(found.world, "c2")


def test_an_address_and_a_mac_that_were_asked_for_are_had() -> None:
    found = history()
    c = start(found, add(found, connections=[connection(ip="192.168.10.77", mac="02:00:00:00:00:07")]))

    assert (addresses(c), c.endpoints[0]["mac"]) == (["192.168.10.77/24"], "02:00:00:00:00:07")


def test_an_address_of_ipv6_is_at_the_same_place_as_that_of_ipv4_where_it_is_free() -> None:
    """So it is always of the same MAC, which neighbours remember: that is made of the address of IPv4."""
    found = history(a_network(v6=True))
    site = found.world.networks[N1].subnets[1]["subnet"].removesuffix("::/64")
    chosen = start(found, add(found, "chosen", "a", connections=[connection(ip="192.168.10.3")]))
    first, second = start(found, add(found, "first", "b")), start(found, add(found, "second", "c"))
    thief = add(found, "thief", "d", connections=[connection(ip="192.168.10.9", ip6=f"{site}::5")])
    start(found, thief)
    crossed = start(found, add(found, "crossed", "e", connections=[connection(ip="192.168.10.5")]))
    # asked for, if by one that does not live
    add(found, "asks", "f", connections=[connection(ip6=f"{site}::7")])
    other = start(found, add(found, "other", "0", connections=[connection(ip="192.168.10.7")]))

    assert [addresses(c) for c in (chosen, first, second, crossed, other)] == [
        [f"192.168.10.{v4}/24", f"{site}::{v6}/64"] for v4, v6 in ((3, 3), (2, 2), (4, 4), (5, 6), (7, 8))
    ]


def test_a_mac_that_another_container_of_the_network_has_is_refused() -> None:
    found = history()
    start(found, add(found, "one", "a"))
    add(found, "two", "b", connections=[connection(mac="02:42:c0:a8:0a:02")])

    with pytest.raises(AddressTaken, match="02:42:c0:a8:0a:02 of network net is taken by container one"):
        decide.start(found.world, "two")


def test_an_address_whose_mac_another_container_asked_for_is_given_to_nobody() -> None:
    found = history()
    start(found, add(found, "one", "a", connections=[connection(ip="192.168.10.9", mac="02:42:c0:a8:0a:02")]))

    assert addresses(start(found, add(found, "two", "b"))) == ["192.168.10.3/24"]


def test_an_address_that_somebody_asked_for_is_given_to_others_last() -> None:
    found = history(a_network(pool="10.0.0.0/29"))
    stopped = add(found, "stopped", "a", connections=[connection(ip="10.0.0.2")])
    others = [start(found, add(found, f"c{digit}", digit)) for digit in "bcde"]

    assert [addresses(c) for c in others] == [[f"10.0.0.{n}/29"] for n in (3, 4, 5, 6)]
    assert addresses(start(found, stopped)) == ["10.0.0.2/29"]
    found.decide(decide.note_exit, stopped.id, code=0)
    found.settle(stopped.stream)
    assert addresses(start(found, add(found, "last", "f"))) == ["10.0.0.2/29"]


def test_who_asks_for_an_address_or_port_reads_nobody_elses_settings() -> None:
    """Of a thousand containers: each costs 0.1 ms."""
    found = history()
    start(found, add(found, "one", "a", connections=[connection(ip="192.168.10.2")]))
    add(found, "stopped", "b", connections=[connection(ip="192.168.10.3")])
    late = add(found, "late", "c", ports=[asked_port(8080)])
    world = World.unpack(found.world.pack())
    ((_stream, event),) = decide.start(world, "late")

    assert isinstance(event, ev.ContainerStartRequested)
    assert event.endpoints[0]["addresses"] == ["192.168.10.4/24"]
    assert [type(c) is Asleep for c in world.containers.values()] == [
        c.name != late.name for c in world.containers.values()
    ]


@pytest.mark.parametrize(("pool", "room"), [("10.0.0.0/30", 1), ("10.0.0.0/29", 5)])
def test_a_pool_that_is_used_up_is_said_so(pool: str, room: int) -> None:
    found = history(a_network(pool=pool))
    for n in range(room):
        start(found, add(found, f"c{n}", f"{n + 3:x}"))
    add(found, "late", "f")

    with pytest.raises(PoolExhausted, match="no free address left in "):
        decide.start(found.world, "late")
    assert len({text for c in found.world.containers.values() for text in addresses(c)}) == room


def test_five_hundred_containers_have_five_hundred_addresses() -> None:
    found = history(a_network(pool="172.17.0.0/16"))
    for n in range(500):
        event = created(f"c{n}", network="bridge", connections=[connection()])
        found.decide(decide.create, ev.ContainerCreated(**{**event.payload(), "id": f"{n:064x}"}))
        found.note(f"container/{n:064x}", ev.EffectDo(kind="directory", key=f"{n:064x}", spec={}))
        found.note(f"container/{n:064x}", ev.EffectDone(verb="do", kind="directory", key=f"{n:064x}"))
        found.decide(decide.start, f"c{n}")
    given_out = [text for c in found.world.containers.values() for text in addresses(c)]

    assert len(set(given_out)) == 500
    assert {"172.17.0.255/16", "172.17.1.0/16"} <= set(given_out)


def test_a_restart_by_policy_that_finds_no_network_is_put_off_with_its_leases_and_a_users_start_fails() -> (
    None
):
    found = history()
    c = start(found, add(found, restart={"policy": "always", "max": 0}, ports=[asked_port(80)]))
    leases = (c.endpoints, c.ports)
    found.decide(decide.note_exit, c.id, code=0, up=1)
    found.settle(c.stream)
    waits = [c.backoff]
    for _ in range(2):
        found.decide(decide.restart_now, c.id, 1 << 62)
        steps = found.settle(c.stream, failing(("do", "endpoint")))
        assert steps == ["do cgroup", "do init", "do endpoint", "undo endpoint", "undo init", "undo cgroup"]
        assert c.error is not None
        assert (c.status, (c.endpoints, c.ports), c.error["kind"]) == ("restarting", leases, "endpoint")
        waits.append(c.backoff)
    assert waits == [waits[0], 2 * waits[0], 4 * waits[0]]
    assert (c.restarts, c.restart_due > 0) == (1, True)
    found.decide(decide.restart_now, c.id, 1 << 62)
    found.settle(c.stream)
    assert (c.status, c.error) == ("running", None)
    found.decide(decide.stop, "c1")
    found.decide(decide.note_exit, c.id, code=0)
    found.settle(c.stream)
    found.decide(decide.start, "c1")
    found.settle(c.stream, failing(("do", "endpoint")))

    assert c.status == "failed"
    assert violations(found.events) == []


# --- names -------------------------------------------------------------------------------------------


def test_it_is_known_by_its_name_its_aliases_its_id_and_its_host_name_and_by_a_new_name_at_once() -> None:
    found = history()
    c = start(found, add(found, hostname="box", connections=[connection(aliases=["db", "c1"])]))
    assert c.endpoints[0]["names"] == ["c1", "db", "a" * 12, "box"]
    found.decide(decide.rename, "c1", "c9")

    assert (
        c.endpoints[0]["names"] == ["c9", "db", "c9", "a" * 12, "box"] or c.endpoints[0]["names"][0] == "c9"
    )
    assert "change endpoint" in found.settle(c.stream)
    assert violations(found.events) == []


# --- connect and disconnect --------------------------------------------------------------------------


def test_a_live_container_joins_and_leaves_a_network() -> None:
    found = history(a_network(), a_network("two", N2, "10.0.0.0/24"))
    c = start(found, add(found, ports=[asked_port(80)]))
    found.decide(networks.connect, "two", "c1", ASKED)
    assert found.settle(c.stream) == ["do endpoint", "do resolver", "change init", "change rules"]
    assert [(one["device"], one["addresses"]) for one in c.endpoints] == [
        ("eth0", ["192.168.10.2/24"]),
        ("eth1", ["10.0.0.2/24"]),
    ]
    found.decide(networks.disconnect, "net", "c1")
    assert [one["addresses"] for one in c.endpoints if "leaving" in one] == [["192.168.10.2/24"]]
    assert found.settle(c.stream) == [
        "undo resolver",
        "undo endpoint",
        "change endpoint",
        "change init",
        "change rules",
    ]
    assert (len(c.endpoints), c.ports[0]["to"]) == (1, "10.0.0.2")
    assert next(row for row in c.held if row.kind == "endpoint").spec["default"] is True
    found.decide(networks.disconnect, "two", "c1")
    assert found.settle(c.stream) == ["undo rules", "undo endpoint", "change init"]
    assert (c.endpoints, c.ports, c.setting("connections")) == ([], [], [])
    assert violations(found.events) == []


def test_what_is_not_live_is_connected_at_its_next_start() -> None:
    found = history()
    c = add(found, connections=[])
    found.decide(networks.connect, "net", "c1", ASKED)

    assert (c.endpoints, addresses(start(found, c))) == ([], ["192.168.10.2/24"])


def test_connect_and_disconnect_refuse_what_is_so_already_and_what_cannot_be() -> None:
    found = history()
    add(found)
    add(found, "alone", "b", network="none", connections=[])
    with pytest.raises(Connected):
        networks.connect(found.world, "net", "c1", ASKED)
    beside = add(found, "beside", "c", network=f"container:{container_id('a')}", connections=[])
    with pytest.raises(NoNetworkOfItsOwn, match=r"with --network none$"):
        networks.connect(found.world, "net", "alone", ASKED)
    with pytest.raises(NoNetworkOfItsOwn, match=r"with --network container:c1$"):
        networks.connect(found.world, "net", beside.name, ASKED)
    with pytest.raises(NotConnected):
        networks.disconnect(found.world, "net", "alone")


def test_a_network_in_use_is_refused_until_its_last_address_is_given_back() -> None:
    found = history()
    c = start(found, add(found))
    with pytest.raises(NetworkInUse, match="in use by c1"):
        networks.remove(found.world, "net")
    found.decide(decide.note_exit, c.id, code=0)
    with pytest.raises(NetworkInUse):
        networks.remove(found.world, "net")
    found.settle(c.stream)
    found.decide(networks.remove, "net")
    found.settle(f"network/{N1}")

    with pytest.raises(NetworkGone, match="its network net was removed"):
        decide.start(found.world, "c1")
    found.decide(networks.disconnect, "net", "c1")
    assert addresses(start(found, c)) == []


# --- ports -------------------------------------------------------------------------------------------


def test_a_port_is_one_containers_until_it_has_given_it_back() -> None:
    found = history()
    one, two = add(found, "one", "a", ports=[asked_port(80)]), add(found, "two", "b", ports=[asked_port(80)])
    start(found, one)
    with pytest.raises(PortTaken, match="by container one"):
        decide.start(found.world, "two")
    found.decide(decide.remove, "one", force=True)
    with pytest.raises(PortTaken):
        decide.start(found.world, "two")
    found.settle(one.stream)

    assert start(found, two).ports[0]["host_port"] == 80


def test_publish_all_publishes_each_exposed_port_once() -> None:
    exposed = [{"port": 80, "protocol": "tcp"}, {"port": 53, "protocol": "udp"}]
    found = history()
    c = start(found, add(found, publish_all=True, exposed=exposed, ports=[asked_port(8000, port=80)]))

    assert [(row["host_port"], row["port"], row["protocol"]) for row in c.ports] == [
        (8000, 80, "tcp"),
        (32768, 53, "udp"),
    ]


def test_what_leads_nowhere_is_refused() -> None:
    found = history(a_network(internal=True))
    add(found, ports=[asked_port(80)])
    with pytest.raises(Unpublishable, match="internal"):
        decide.start(found.world, "c1")
    other = history()
    add(other, ports=[asked_port(80, "::1")])
    with pytest.raises(Unpublishable, match="IPv6"):
        decide.start(other.world, "c1")


def test_the_rules_of_a_subject_name_its_own_alone() -> None:
    found = history()
    c = start(found, add(found, ports=[asked_port(80)]))
    mine = next(row for row in c.held if row.kind == "rules").spec
    of_net = next(row for row in net(found).held if row.kind == "rules").spec

    assert mine["hosts"] == [
        {"device": "mdaaaaaaaa-1111", "mac": "02:42:c0:a8:0a:02", "addresses": ["192.168.10.2"]}
    ]
    assert (mine["networks"], [row["to"] for row in mine["ports"]]) == ([], ["192.168.10.2"])
    assert of_net["networks"] == [{"device": "net", "subnets": ["192.168.10.0/24"], "internal": False}]
    assert mine["table"] == of_net["table"] == "mydocker-0badcafe"


# --- the network of another container ------------------------------------------------------------------


def test_another_containers_network_needs_it_to_run_and_keeps_it() -> None:
    found = history()
    target = add(found, "web", "a", hostname="box")
    user = add(found, "side", "b", network=f"container:{target.id}", connections=[])
    with pytest.raises(NetnsGone, match="it is created"):
        decide.start(found.world, "side")
    start(found, target)
    start(found, user)
    spec = next(row for row in user.held if row.kind == "init").spec

    assert user.netns == {"id": target.id, "hostname": "box", "pid": 4711, "start": 99, "boot": BOOT}
    assert (spec["network"], spec["netns"]) == ("container", user.netns)
    assert spec["files"]["/etc/hosts"] == f"/root/containers/{target.id}/etc/hosts"
    with pytest.raises(NetnsInUse, match="side is in its network"):
        decide.remove(found.world, "web", force=True)
    found.decide(decide.remove, "side", force=True)
    assert decide.remove(found.world, "web", force=True)


# --- what a container sees ---------------------------------------------------------------------------


def test_a_container_finds_itself_at_its_address_and_names_by_its_gateway() -> None:
    found = history()
    c = start(found, add(found, hostname="box", hosts=["db:10.9.9.9", "up:host-gateway"]))
    spec = next(row for row in c.held if row.kind == "init").spec

    assert spec["hosts"] == (
        "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n192.168.10.2\tbox\n"
        "10.9.9.9\tdb\n192.168.10.1\tup\n"
    )
    assert spec["resolv"] == {"nameservers": ["192.168.10.1"], "search": [], "options": []}


@pytest.mark.parametrize("network", ["none", "host"])
def test_without_a_network_of_ours_names_are_the_hosts_unless_others_are_asked_for(network: str) -> None:
    found = history()
    c = start(found, add(found, network=network, connections=[]))
    other = start(
        found, add(found, "o", "b", network=network, connections=[], dns=["9.9.9.9"], dns_search=["x"])
    )
    specs = [next(row for row in one.held if row.kind == "init").spec for one in (c, other)]

    assert [spec["resolv"] for spec in specs] == [
        None,
        {"nameservers": ["9.9.9.9"], "search": ["x"], "options": []},
    ]
    assert [spec["network"] for spec in specs] == [network, network]


def test_a_parsed_subnet_is_what_is_journalled() -> None:
    assert all(parse(one["subnet"]) for one in net(history(a_network(v6=True))).subnets)
