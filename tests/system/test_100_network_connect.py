"""Networks of a container that runs: one more, one less, while it goes on."""

from __future__ import annotations

import pytest

from tests.networks import Guest, Net

pytestmark = [pytest.mark.root, pytest.mark.timeout(300)]


def two_networks(net: Net) -> tuple[Guest, Guest]:
    """`web` on n1, and `asker` on n2."""
    net.network("n1", "192.168.80.0/24")
    net.network("n2", "192.168.81.0/24")
    return net.serving("web", "-net", "n1", "-p", "8080:80"), net.guest("asker", "-net", "n2")


def test_100_network_connect_adds_a_device_with_address_and_names(net: Net) -> None:
    web, asker = two_networks(net)
    assert not asker.reaches("192.168.81.3", 80)
    net.ok("network", "connect", "--alias", "www", "n2", "web")

    again = Guest(net, "web")
    assert again.pid == web.pid
    assert again.networks["n2"]["IPAddress"] == "192.168.81.3"
    assert "inet 192.168.81.3/24" in again.sh("ip addr show eth1")
    assert asker.ask("192.168.81.3", 80).startswith("web ")
    assert "192.168.81.3" in asker.sh("nslookup www; nslookup web")
    assert net.lab.neighbour.ask(net.lab.HOST, 8080).startswith("web ")


def test_100_network_disconnect_takes_device_address_and_names(net: Net) -> None:
    web, asker = two_networks(net)
    net.ok("network", "connect", "n2", "web")
    net.ok("network", "disconnect", "n2", "web")

    assert Guest(net, "web").networks.keys() == {"n1"}
    assert web.sh("ls /sys/class/net | tr '\\n' ' '").split() == ["eth0", "lo"]
    assert "192.168.81.3" not in net("exec", "asker", "nslookup", "web").stdout
    assert net.guest("next", "-net", "n2").ip == "192.168.81.3"
    assert not asker.reaches(web.ip, 80)


def test_100_network_disconnect_from_where_its_ports_are_moves_or_ends_them(net: Net) -> None:
    two_networks(net)
    net.ok("network", "connect", "n2", "web")
    net.ok("network", "disconnect", "n1", "web")
    assert net.lab.neighbour.ask(net.lab.HOST, 8080).startswith("web ")
    net.ok("network", "disconnect", "n2", "web")

    assert not net.lab.neighbour.reaches(net.lab.HOST, 8080)
    assert Guest(net, "web").networks == {}


def test_100_network_connect_of_a_stopped_container_counts_from_its_start(net: Net) -> None:
    _, asker = two_networks(net)
    net.ok("create", "--name", "late", "-net", "n1", "busybox", "top")
    net.ok("network", "connect", "--ip", "192.168.81.50", "n2", "late")
    net.ok("start", "late")

    assert Guest(net, "late").networks["n2"]["IPAddress"] == "192.168.81.50"
    assert asker.pings("192.168.81.50")


def test_100_network_several_are_joined_at_once(net: Net) -> None:
    two_networks(net)
    given = (
        "--network",
        "n1",
        "-net",
        "n2",
        "--ip",
        "192.168.80.77",
        "--network-alias",
        "twice",
        "-p",
        "8081:80",
    )
    both = net.serving("both", *given)

    assert [(name, at["Aliases"]) for name, at in both.networks.items()] == [("n1", ["twice"]), ("n2", [])]
    assert both.ip == "192.168.80.77"
    assert net.lab.neighbour.ask(net.lab.HOST, 8081).startswith("both ")
    for name in ("web", "asker"):  # one on each
        assert " 0% packet loss" in both.sh(f"ping -c1 -W2 {name}"), name


def test_100_network_of_two_has_one_way_out(net: Net) -> None:
    two_networks(net)
    net.ok("network", "connect", "n2", "web")
    web = Guest(net, "web")

    assert web.sh("ls /sys/class/net | tr '\\n' ' '").split() == ["eth0", "eth1", "lo"]
    assert web.sh("ip route").count("default") == 1


def test_100_network_connections_last_over_restarts(net: Net) -> None:
    two_networks(net)
    net.ok("network", "connect", "n2", "web")
    net.ok("restart", "-t", "0", "web")

    assert Guest(net, "web").networks["n2"]["IPAddress"] == "192.168.81.3"
    assert [event["t"] for event in net.events()].count("container.connected") == 1
