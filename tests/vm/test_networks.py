"""Networks on the oldest kernel that we promise to run on, with its own netfilter and bridges: what others do not show."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.vm.engine import Engine

pytestmark = [pytest.mark.root, pytest.mark.timeout(7200)]
# On the kernel of whoever runs the tests, tests/system claims the same, and more.
ONLY_WITH_ALL = pytest.mark.skipif(not os.environ.get("MYDOCKER_TEST_ALL"), reason="a minute; with --all")
SERVE = "httpd -f -h /etc"
FETCH = "wget -q -O -"
NOT_FOR_LONG = f"timeout 3 {FETCH}"  # of its own accord, this wget gives up by a segmentation fault
# Somebody outside: a neighbour on another network card, whose way to the containers is the host, and back is none.
OUTSIDE = """
ip netns add outside && ip link add card type veth peer name eth0 netns outside &&
ip addr add 198.51.100.1/24 dev card && ip link set card up &&
ip -n outside addr add 198.51.100.2/24 dev eth0 && ip -n outside link set eth0 up && ip -n outside link set lo up &&
mkdir /run/www && echo outside > /run/www/hostname &&
{ ip netns exec outside busybox httpd -h /run/www; }
"""


@pytest.fixture(scope="module")
def site(engine: Engine) -> Iterator[Engine]:
    """`site` serves on network `shop`, of both families, and is published on port 8080."""
    engine.ok("network create --subnet 10.7.0.0/24 --ipv6 shop")
    engine.ok(f"run -d --name site --network shop --ip 10.7.0.9 -p 8080:80 busybox {SERVE}")
    engine.machine.ok(f"until busybox {FETCH} http://10.7.0.9/hostname; do sleep 0.1; done")
    yield engine
    engine.ok("rm -f site")
    engine.ok("network rm shop")


def name_of(engine: Engine, name: str) -> str:
    """What it calls itself, and answers with."""
    return str(engine.containers()[name]["Id"])[:12]


def test_a_container_finds_another_by_name_on_both_families(site: Engine) -> None:
    ask = f"nslookup site; {FETCH} http://site/hostname; {FETCH} http://[$0]/hostname"
    [network] = site.containers()["site"]["NetworkSettings"]["Networks"].values()
    out = site.ok(f"run --rm --network shop busybox sh -c '{ask}' {network['GlobalIPv6Address']}")
    assert "10.7.0.9" in out
    assert network["GlobalIPv6Address"] in out
    assert out.count(name_of(site, "site")) == 2


def test_a_published_port_answers_here_and_outside_and_the_way_out_is_masqueraded(site: Engine) -> None:
    site.machine.ok(OUTSIDE)
    who = name_of(site, "site")
    for address in ("127.0.0.1", "198.51.100.1", "10.7.0.1"):
        assert site.machine.ok(f"busybox {FETCH} http://{address}:8080/hostname").strip() == who
    outside = "ip netns exec outside busybox"
    assert site.machine.ok(f"{outside} {FETCH} http://198.51.100.1:8080/hostname").strip() == who
    # It has no route to 10.7.0.0/24: its answer only comes where the host put its own address in.
    assert site.ok(f"exec site {FETCH} http://198.51.100.2/hostname") == "outside\n"
    # And with one, what is not published stays closed.
    site.machine.ok("ip -n outside route add 10.7.0.0/24 via 198.51.100.1")
    assert site.machine(f"{outside} {NOT_FOR_LONG} http://10.7.0.9/hostname").code != 0
    site.machine.ok("ip netns del outside")


@ONLY_WITH_ALL
def test_networks_do_not_reach_each_other_and_one_that_is_connected_later_does(site: Engine) -> None:
    site.ok("network create --subnet 10.8.0.0/24 yard")
    site.ok("run -d --name far --network yard busybox top")
    page = "http://10.7.0.9/hostname"
    assert site(f"exec far {NOT_FOR_LONG} {page}").code != 0
    site.ok("network connect shop far")
    assert site.ok(f"exec far {FETCH} {page}").strip() == name_of(site, "site")
    site.ok("network disconnect shop far")
    assert site(f"exec far {NOT_FOR_LONG} {page}").code != 0
    site.ok("rm -f far")
    site.ok("network rm yard")


def test_a_container_cannot_send_as_another(site: Engine) -> None:
    """The rules on the bridge: what they compare lies elsewhere in each kind of packet."""
    forge = "ip addr add 10.7.0.77/24 dev eth0; ping -c 1 -W 1 -I 10.7.0.77 10.7.0.9; ping -c 1 -W 5 10.7.0.9"
    talk = "nc -w 2 -s 10.7.0.77 10.7.0.9 80 </dev/null || echo unanswered; nc -w 5 10.7.0.9 80 </dev/null && echo answered"
    out = site.ok(f"run --rm --network shop --cap-add NET_ADMIN busybox sh -c '{forge}; {talk}'")
    assert out.count("100% packet loss") == 1
    assert out.count(" 0% packet loss") == 1
    assert out.splitlines()[-2:] == ["unanswered", "answered"]


@ONLY_WITH_ALL
def test_a_flushed_firewall_and_a_deleted_bridge_are_mended(site: Engine) -> None:
    site.machine.ok("nft flush ruleset; ip link del shop")
    site.ok("replay")
    fetched = site.machine.ok(f"busybox {FETCH} http://127.0.0.1:8080/hostname")
    assert fetched.strip() == name_of(site, "site")


@ONLY_WITH_ALL
def test_a_network_leaves_nothing_in_the_kernel(engine: Engine) -> None:
    look = "ip -o link | sed 's/^[0-9]*: //; s/[@:].*//'; nft list ruleset; pgrep -a dnsmasq"
    before = engine.machine(look).out
    engine.ok("network create --ipv6 brief")
    engine.ok("run --rm --network brief -p 8081:80 -p 8081:80/udp busybox true")
    assert engine.machine(look).out != before
    engine.ok("network rm brief")
    assert engine.machine(look).out == before
