"""Addresses: never the network's, the broadcast or the gateway's; the lowest free; one's own again; or a clear no."""

from __future__ import annotations

import pytest

from tests.networks import Net

pytestmark = [pytest.mark.root, pytest.mark.timeout(300)]


def test_100_network_a_whole_29_and_one_more(net: Net) -> None:
    net.network("n1", "10.1.1.0/29")
    taken = [net.guest(f"t100-{n}", "-net", "n1").ip for n in range(5)]
    line = net.fails("run", "-d", "--name", "t100-more", "-net", "n1", "busybox", "top")

    assert taken == [f"10.1.1.{n}" for n in (2, 3, 4, 5, 6)]
    assert "n1" in line
    assert "address" in line
    net.ok("rm", "-f", "t100-2")
    assert net.guest("t100-again", "-net", "n1").ip == "10.1.1.4"


def test_100_network_a_30_has_one(net: Net) -> None:
    net.network("n1", "10.1.1.4/30")
    assert net.guest("t100a", "-net", "n1").ip == "10.1.1.6"
    assert "n1" in net.fails("run", "--rm", "-net", "n1", "busybox", "true")


def test_100_network_a_16_goes_on_past_255(net: Net) -> None:
    net.network("n1", "10.2.0.0/16")
    net.guest("t100a", "-net", "n1", "--ip", "10.2.0.255")
    net.guest("t100b", "-net", "n1", "--ip", "10.2.1.0")

    assert net.guest("t100c", "-net", "n1").ip == "10.2.0.2"


def test_100_network_ten_of_them_are_all_remembered(net: Net) -> None:
    for n in range(10):
        net.network(f"n{n}", f"10.3.{n}.0/24")
    addresses = [net.guest(f"t100-{n}", "-net", f"n{n}").ip for n in range(10)]

    assert addresses == [f"10.3.{n}.2" for n in range(10)]
    assert len(net.ok("network", "ls").splitlines()) == 11


def test_100_network_without_a_subnet_takes_nothing_that_the_host_reaches_by_a_gateway(net: Net) -> None:
    net.lab.host.run("ip", "route", "add", "172.16.0.0/15", "via", "10.77.0.1")
    net.lab.resolv.write_text("nameserver 172.18.0.53\n")
    net.ok("network", "create", "n1")

    assert "172.19.0.1/16" in net.ok("network", "ls")
    assert net.ok("run", "--rm", "-net", "bridge", "busybox", "hostname", "-i") == "172.20.0.2\n"


def test_100_network_a_gateway_elsewhere_is_never_handed_out(net: Net) -> None:
    net.network("n1", "10.1.1.0/29", "--gateway", "10.1.1.3")
    taken = [net.guest(f"t100-{n}", "-net", "n1") for n in range(3)]

    assert [guest.ip for guest in taken] == ["10.1.1.1", "10.1.1.2", "10.1.1.4"]
    assert "default via 10.1.1.3" in taken[0].sh("ip route")


def test_100_network_a_restart_gets_its_own_address_where_it_is_free(net: Net) -> None:
    net.network("n1", "10.1.1.0/24")
    first, second = net.guest("t100a", "-net", "n1"), net.guest("t100b", "-net", "n1")
    net.ok("stop", "-t", "0", "t100a", "t100b")
    net.ok("start", "t100b")
    net.ok("start", "t100a")
    assert [
        net.inspect(name)["NetworkSettings"]["Networks"]["n1"]["IPAddress"] for name in ("t100a", "t100b")
    ] == [
        first.ip,
        second.ip,
    ]
    net.ok("stop", "-t", "0", "t100a")
    net.guest("t100thief", "-net", "n1", "--ip", first.ip)
    net.ok("start", "t100a")

    assert net.inspect("t100a")["NetworkSettings"]["Networks"]["n1"]["IPAddress"] == "10.1.1.4"


def test_100_network_an_address_that_has_moved_to_another_mac_is_reached_by_the_host_at_once(
    net: Net,
) -> None:
    net.network("n1", "10.1.1.0/24", "--ipv6", "--subnet", "fd00:50::/64")
    net.guest("t100peer", "-net", "n1")  # without any the bridge goes down, and all is forgotten
    at = ("-net", "n1", "--ip", "10.1.1.77")
    for name, mac in (("t100a", "02:00:00:00:00:01"), ("t100b", "02:00:00:00:00:02")):
        guest = net.serving(name, *at, "--mac-address", mac, "-p", "8080:80")
        for place, address in ((net.lab.host, guest.ip), (net.lab.host, guest.ip6)):
            assert place.ask(address, 80).startswith(f"{name} "), address
        for address in (net.lab.HOST, net.lab.HOST6):
            assert net.lab.neighbour.ask(address, 8080).startswith(f"{name} "), address
        net.ok("rm", "-f", name)


def test_100_network_an_address_of_ones_own_choice(net: Net) -> None:
    net.network("n1", "10.1.1.0/24")
    guest = net.guest("t100a", "-net", "n1", "--ip", "10.1.1.77", "--mac-address", "02:42:00:00:00:77")

    assert "inet 10.1.1.77/24" in guest.sh("ip addr show eth0")
    assert "02:42:00:00:00:77" in guest.sh("ip link show eth0")
    assert "t100a" in net.fails("run", "-d", "-net", "n1", "--ip", "10.1.1.77", "busybox", "top")


def test_100_network_of_both_families(net: Net) -> None:
    net.network("n6", "10.1.1.0/24", "--ipv6", "--subnet", "fd00:6::/64")
    one, two = net.serving("t100a", "-net", "n6"), net.serving("t100b", "-net", "n6")
    net.lab.serve(net.lab.internet, "tcp/80")

    assert one.ip6 == "fd00:6::2"
    assert "default via fd00:6::1 dev eth0" in one.sh("ip -6 route")
    assert two.ask(one.ip6, 80) == f"t100a {two.ip6}"
    assert net.lab.host.ask(one.ip6, 80) == "t100a fd00:6::1"
    assert one.ask(net.lab.INTERNET6, 80) == f"internet {net.lab.HOST6}"


def test_100_network_ipv6_without_a_subnet_gets_one_of_its_own(net: Net) -> None:
    net.network("n6", "10.1.1.0/24", "--ipv6")
    guest = net.guest("t100a", "-net", "n6")

    assert guest.ip6.startswith("fd")
    assert net.lab.host.pings(guest.ip6)


def test_100_network_twenty_containers_at_once_have_addresses_of_their_own(net: Net) -> None:
    net.network("n1", "10.4.0.0/24")
    net.ok("run", "--rm", "-net", "none", "busybox", "true")  # the image is there
    starts = [
        net.popen(
            "run",
            "-d",
            "--name",
            f"t100-{n}",
            "-net",
            "n1",
            "-p",
            f"{9000 + n}:80",
            "busybox",
            "top",
            stdout=-3,
        )
        for n in range(20)
    ]
    assert [start.wait(120) for start in starts] == [0] * 20
    guests = [net.inspect(f"t100-{n}") for n in range(20)]
    addresses = [guest["NetworkSettings"]["Networks"]["n1"]["IPAddress"] for guest in guests]

    assert sorted(addresses, key=lambda text: int(text.rpartition(".")[2])) == [
        f"10.4.0.{n}" for n in range(2, 22)
    ]
    assert all(net.lab.host.pings(address) for address in addresses)
    assert len(net.links()) == 21
    stops = [net.popen("rm", "-f", f"t100-{n}", stdout=-3) for n in range(20)]
    assert [stop.wait(120) for stop in stops] == [0] * 20
    assert net.links() == ["n1"]
    numbers = [event["n"] for event in net.events()]
    assert numbers == list(range(1, len(numbers) + 1))
