"""Published ports: reached from everywhere they should be, TCP and UDP, IPv4 and IPv6; anybody's only once."""

from __future__ import annotations

import pytest

from tests.lab import Lab, Place, reached
from tests.networks import Guest, Net

pytestmark = [pytest.mark.root, pytest.mark.timeout(300)]

BOTH = ("--ipv6", "--subnet", "fd00:40::/64")
DOORS = ("tcp/80", "udp/80")


def published(net: Net, *ports: str) -> Place:
    """The container `web` on the network `n1`, answering on port 80."""
    net.network("n1", "192.168.40.0/24", *BOTH)
    options = [word for port in ports for word in ("-p", port)]
    return net.serving("web", "-net", "n1", *options, doors=DOORS)


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_100_network_a_port_is_reached_from_all_five_places(net: Net, protocol: str) -> None:
    published(net, f"8080:80/{protocol}")
    net.network("n2", "192.168.41.0/24", "--ipv6", "--subnet", "fd00:41::/64")
    same, other = net.guest("same", "-net", "n1"), net.guest("other", "-net", "n2")
    lab = net.lab

    for place, address, seen in (
        (lab.neighbour, lab.HOST, lab.NEIGHBOUR),
        (lab.neighbour, lab.HOST6, lab.NEIGHBOUR6),
        (lab.internet, lab.HOST, lab.INTERNET),
        (lab.host, lab.HOST, None),
        (lab.host, lab.HOST6, None),
        (lab.host, "127.0.0.1", None),
        (same, lab.HOST, None),
        (same, lab.HOST6, None),
        (same, "192.168.40.1", None),
        (other, lab.HOST, None),
        (other, lab.HOST6, None),
    ):
        found = place.ask(address, 8080, protocol).split()
        assert found[0] == "web", (place.name, address)
        assert seen is None or found[1] == seen, (place.name, address, found)


def test_100_network_a_container_reaches_its_own_published_port(net: Net) -> None:
    web = published(net, "8080:80", "8080:80/udp")

    for address in (net.lab.HOST, net.lab.HOST6, "192.168.40.1"):
        assert web.ask(address, 8080).startswith("web "), address
        assert web.ask(address, 8080, "udp").startswith("web "), address


def test_100_network_a_port_of_127_0_0_1_stays_there(net: Net) -> None:
    published(net, "127.0.0.1:8080:80")

    assert net.lab.host.ask("127.0.0.1", 8080).startswith("web ")
    assert reached((net.lab.host, net.lab.HOST, 8080), (net.lab.neighbour, net.lab.HOST, 8080)) == []


def test_100_network_a_port_of_one_address_is_not_anothers(net: Net) -> None:
    net.lab.host.links("addr add 10.77.0.11/24 dev eth0\n")
    published(net, "10.77.0.11:8080:80")

    assert net.lab.neighbour.ask("10.77.0.11", 8080).startswith("web ")
    assert not net.lab.neighbour.reaches(net.lab.HOST, 8080)
    net.network("n3", "192.168.43.0/24")
    net.serving("other", "-net", "n3", "-p", f"{net.lab.HOST}:8080:80")
    assert net.lab.neighbour.ask(net.lab.HOST, 8080).startswith("other ")
    net.clear()
    net.lab.host.links("addr del 10.77.0.11/24 dev eth0\n")


def test_100_network_a_range_of_ports(net: Net) -> None:
    net.network("n1", "192.168.40.0/24")
    net.serving("web", "-net", "n1", "-p", "8000-8002:80-82", doors=("tcp/80", "tcp/81", "tcp/82"))

    for port in (8000, 8001, 8002):
        assert net.lab.neighbour.ask(net.lab.HOST, port).startswith("web ")
    assert sorted(net.ok("port", "web").splitlines()) == [
        f"{80 + n}/tcp -> 0.0.0.0:{8000 + n}" for n in range(3)
    ]


def test_100_network_a_port_of_the_engines_choice_is_told_and_kept(net: Net) -> None:
    net.network("n1", "192.168.40.0/24")
    net.serving("web", "-net", "n1", "-p", "80")
    (shown,) = net.ok("port", "web", "80").splitlines()
    address, _, port = shown.rpartition(":")

    assert address == "0.0.0.0"
    assert net.lab.neighbour.ask(net.lab.HOST, int(port)).startswith("web ")
    assert net.guest("web2", "-net", "n1", "-p", "80").pid
    assert net.ok("port", "web2", "80/tcp") != net.ok("port", "web", "80/tcp")


def test_100_network_all_exposed_ports_are_published_with_a_capital_p(net: Net) -> None:
    net.network("n1", "192.168.40.0/24")
    net.serving("web", "-net", "n1", "--expose", "80", "--expose", "53/udp", "-P")
    shown = dict(line.split(" -> ") for line in net.ok("port", "web").splitlines())

    assert set(shown) == {"80/tcp", "53/udp"}
    assert net.lab.neighbour.ask(net.lab.HOST, int(shown["80/tcp"].rpartition(":")[2])).startswith("web ")


def test_100_network_a_port_that_a_process_of_the_host_has_is_refused_by_its_name(net: Net) -> None:
    net.network("n1", "192.168.40.0/24")
    net.lab.serve(net.lab.host, "tcp/8080", name="stranger")
    line = net.fails("run", "-d", "--name", "web", "-net", "n1", "-p", "8080:80", "busybox", "top")

    assert "8080" in line
    assert "python" in line
    assert net.lab.host.ask("127.0.0.1", 8080).startswith("stranger ")
    assert net.links() == ["n1"]


def test_100_network_a_name_server_in_a_container_is_the_hosts(net: Net) -> None:
    net.network("n1", "192.168.40.0/24", *BOTH)
    ports = ("-p", "53:53/udp", "-p", "53:53/tcp")
    names = net.serving("names", "-net", "n1", *ports, doors=("udp/53", "tcp/53"))
    net.network("n2", "192.168.41.0/24", *("--ipv6", "--subnet", "fd00:41::/64"))
    other = net.guest("other", "-net", "n2")

    for place, address in (
        *((net.lab.neighbour, address) for address in (net.lab.HOST, net.lab.HOST6)),
        *((net.lab.host, address) for address in ("127.0.0.1", net.lab.HOST, "192.168.40.1")),
        *((other, address) for address in (net.lab.HOST, net.lab.HOST6, "192.168.40.1")),
    ):
        for protocol in ("udp", "tcp"):
            assert place.ask(address, 53, protocol).startswith("names "), (place.name, address, protocol)
    # And the networks go on knowing their own, also once their servers are made anew.
    for again in (False, True):
        if again:
            net.kill(*map(int, net.lab.host.run("pgrep", "-f", f"^dnsmasq:.*{net.root_id}").split()))
            net.ok("replay")
        assert names.ip in names.sh("nslookup names 192.168.40.1")
        assert names.ip6 in names.sh("nslookup names fd00:40::1")
        assert other.ip in other.sh("nslookup other")
    net.ok("restart", "-t", "0", "names")


@pytest.mark.parametrize("address", ["127.0.0.53", Lab.HOST])
def test_100_network_the_port_of_names_that_the_host_uses_is_refused(net: Net, address: str) -> None:
    net.network("n1", "192.168.40.0/24")
    with net.lab.host.listening(53, "udp", address):
        line = net.fails("run", "-d", "--rm", "-net", "n1", "-p", "53:53/udp", "busybox", "top", code=125)
    assert "port 0.0.0.0:53/udp of the host is taken by process" in line
    assert "dnsmasq" not in line


def test_100_network_a_published_port_is_nobody_elses_meanwhile(net: Net) -> None:
    published(net, "8080:80")
    with pytest.raises(OSError, match="in use"):
        net.lab.host.listening(8080, address="0.0.0.0")
    net.ok("rm", "-f", "web")

    net.lab.host.listening(8080, address="0.0.0.0").close()


def test_100_network_ports_of_a_stopped_container_are_free(net: Net) -> None:
    published(net, "8080:80")
    net.ok("stop", "-t", "0", "web")
    net.serving("next", "-net", "n1", "-p", "8080:80")

    assert net.lab.neighbour.ask(net.lab.HOST, 8080).startswith("next ")
    assert "next" in net.fails("start", "web")
    net.ok("rm", "-f", "next")
    net.ok("start", "web")


def test_100_network_ps_shows_ports_and_networks(net: Net) -> None:
    published(net, "8080:80")
    shown = net.ok("ps", "--format", "{{.Names}} {{.Networks}} {{.Ports}}").strip()

    assert shown.startswith("web n1 ")
    assert "0.0.0.0:8080->80/tcp" in shown
    assert net.ok("ps", "--filter", "network=n1", "--format", "{{.Names}}") == "web\n"


def test_100_network_a_hundred_ports_of_one_container(net: Net) -> None:
    net.network("n1", "192.168.40.0/24")
    net.serving("web", "-net", "n1", "-p", "9000-9099:9000-9099", doors=("tcp/9000", "tcp/9099"))

    assert net.lab.neighbour.ask(net.lab.HOST, 9099).startswith("web ")
    rules = [line for line in net.rules().splitlines() if "dnat" in line and "9050" in line]
    assert rules == []  # elements of a map, not a rule each


def test_100_network_an_image_that_was_committed_knows_its_ports(net: Net) -> None:
    net.network("n1", "192.168.40.0/24")
    net.ok("create", "--name", "made", "-net", "n1", "--expose", "80", "--expose", "53/udp", "busybox", "top")
    net.ok("commit", "made", "site")
    net.ok("run", "-d", "--name", "plain", "-net", "n1", "site")
    assert net.ok("port", "plain") == ""
    assert net.inspect("plain")["NetworkSettings"]["Ports"] == {"80/tcp": None, "53/udp": None}
    net.ok("run", "-d", "--name", "web", "-net", "n1", "-P", "--expose", "80-81", "site")
    lines = [line.split(" -> ") for line in net.ok("port", "web").splitlines()]

    assert {inner for inner, _ in lines} == {"53/udp", "80/tcp", "81/tcp"}
    net.lab.serve(Guest(net, "web"), "tcp/80")
    outer = next(int(outer.rpartition(":")[2]) for inner, outer in lines if inner == "80/tcp")
    assert net.lab.neighbour.ask(net.lab.HOST, outer).startswith("web ")
