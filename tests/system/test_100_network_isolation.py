"""What must not get through: from the LAN, between networks, out of internal ones, and among neighbours on one bridge."""

from __future__ import annotations

import struct
from ipaddress import IPv6Address

import pytest

from tests.frames import IP, Wire, heard, mac
from tests.lab import reached
from tests.networks import Guest, Net, network_left

pytestmark = [pytest.mark.root, pytest.mark.timeout(300)]

FORGED = "02:66:66:66:66:66"


# --- from outside ---------------------------------------------------------------------------------------


def test_100_network_an_unpublished_port_is_not_reached_by_a_neighbour_with_a_route(net: Net) -> None:
    net.network("n1", "192.168.50.0/24", "--ipv6", "--subnet", "fd00:50::/64")
    web = net.serving("web", "-net", "n1", "-p", "8080:80", doors=("tcp/80", "tcp/81", "udp/81"))
    net.lab.neighbour.links(
        f"route add 192.168.50.0/24 via {net.lab.HOST}\nroute add fd00:50::/64 via {net.lab.HOST6}\n"
    )

    assert net.lab.neighbour.ask(net.lab.HOST, 8080)
    # 80 is published, but not this way.
    doors = ((80, "tcp"), (81, "tcp"), (81, "udp"), (0, "icmp"))
    assert reached(*[(net.lab.neighbour, to, *door) for to in (web.ip, web.ip6) for door in doors]) == []


def test_100_network_a_port_of_127_0_0_1_is_not_reached_by_martians(net: Net) -> None:
    net.network("n1", "192.168.50.0/24")
    net.serving("web", "-net", "n1", "-p", "127.0.0.1:8080:80")
    net.lab.serve(net.lab.host, "tcp/8081", address="127.0.0.1")
    evil = net.guest("evil", "-net", "n1")
    for place, gateway, device in ((net.lab.neighbour, net.lab.HOST, "eth0"), (evil, "192.168.50.1", "eth0")):
        place.set_sysctl(f"net.ipv4.conf.{device}.route_localnet", "1")
        place.links(
            "route del table local local 127.0.0.0/8 dev lo\nroute del table local local 127.0.0.1 dev lo\n"
            f"route add 127.0.0.0/8 via {gateway} dev {device}\n"
        )

    places = (net.lab.neighbour, evil)
    assert reached(*[(place, "127.0.0.1", port) for place in places for port in (8080, 8081)]) == []
    assert net.lab.host.ask("127.0.0.1", 8080)


def test_100_network_the_host_is_no_router_for_others_because_of_us(net: Net) -> None:
    net.lab.serve(net.lab.internet, "tcp/80")
    net.network("n1", "192.168.50.0/24", "--ipv6", "--subnet", "fd00:50::/64")
    guest = net.guest("t100a", "-net", "n1")
    net.lab.neighbour.links(
        f"route replace {net.lab.INTERNET} via {net.lab.HOST}\nroute replace {net.lab.INTERNET6} via {net.lab.HOST6}\n"
    )
    net.lab.router.links(f"route replace {net.lab.NEIGHBOUR} dev lan\n")

    assert guest.ask(net.lab.INTERNET, 80)
    neighbour = net.lab.neighbour
    assert reached((neighbour, net.lab.INTERNET, 80), (neighbour, net.lab.INTERNET6, 80)) == []


def test_100_network_forwarding_is_left_as_it_was_found(net: Net) -> None:
    net.network("n1", "192.168.50.0/24", "--ipv6", "--subnet", "fd00:50::/64")
    assert net.lab.host.sysctl("net.ipv4.ip_forward") == "1"
    assert net.lab.host.sysctl("net.ipv6.conf.all.forwarding") == "1"
    net.ok("network", "rm", "n1")
    assert network_left(net.before, net.now()) == []

    net.lab.host.set_sysctl("net.ipv4.ip_forward", "1")
    net.network("n1", "192.168.50.0/24")
    net.lab.serve(net.lab.internet, "tcp/80")
    net.lab.neighbour.links(f"route replace {net.lab.INTERNET} via {net.lab.HOST}\n")
    assert net.lab.neighbour.ask(net.lab.INTERNET, 80)  # it was a router before us, and still is
    net.ok("network", "rm", "n1")
    assert net.lab.host.sysctl("net.ipv4.ip_forward") == "1"
    net.lab.host.set_sysctl("net.ipv4.ip_forward", "0")


def test_100_network_works_where_others_drop_what_is_forwarded(net: Net) -> None:
    theirs = "add table ip filter\nadd chain ip filter FORWARD { type filter hook forward priority 0; policy drop; }\n"
    theirs += theirs.replace("ip filter", "ip6 filter")
    net.lab.host.run("nft", "-f", "-", stdin=theirs)
    before = net.rules()
    net.lab.serve(net.lab.internet, "tcp/80")
    net.network("n1", "192.168.50.0/24", "--ipv6", "--subnet", "fd00:50::/64")
    web = net.serving("web", "-net", "n1", "-p", "8080:80")

    assert web.ask(net.lab.INTERNET, 80) == f"internet {net.lab.HOST}"
    assert web.ask(net.lab.INTERNET6, 80) == f"internet {net.lab.HOST6}"
    assert net.lab.neighbour.ask(net.lab.HOST, 8080).startswith("web ")
    assert net.lab.neighbour.ask(net.lab.HOST6, 8080).startswith("web ")
    net.clear()
    assert net.rules() == before
    net.lab.host.run("nft", "flush", "ruleset")


# --- between networks -----------------------------------------------------------------------------------


def test_100_network_networks_do_not_reach_each_other(net: Net) -> None:
    net.network("n1", "192.168.50.0/24", "--ipv6", "--subnet", "fd00:50::/64")
    net.network("n2", "192.168.51.0/24", "--ipv6", "--subnet", "fd00:51::/64")
    web, other = net.serving("web", "-net", "n1"), net.guest("other", "-net", "n2")

    doors = ((80, "tcp"), (0, "icmp"))
    assert reached(*[(other, to, *door) for to in (web.ip, web.ip6) for door in doors]) == []


def test_100_network_an_internal_one_has_no_way_in_or_out(net: Net) -> None:
    net.lab.serve(net.lab.internet, "tcp/80")
    net.network("n1", "192.168.50.0/24", "--internal", "--ipv6", "--subnet", "fd00:50::/64")
    web, other = net.serving("web", "-net", "n1"), net.guest("other", "-net", "n1")
    net.lab.neighbour.links(f"route add 192.168.50.0/24 via {net.lab.HOST}\n")

    assert other.ask(web.ip, 80)
    assert "default" not in web.sh("ip route; ip -6 route")
    web.links("route replace default via 192.168.50.1\nroute replace default via fd00:50::1\n")
    out = [(web, to, 80) for to in (net.lab.INTERNET, net.lab.INTERNET6, net.lab.NEIGHBOUR)]
    assert reached(*out, (net.lab.neighbour, web.ip, 80)) == []


def test_100_network_a_containers_rights_do_not_reach_its_network(net: Net) -> None:
    net.network("n1", "192.168.50.0/24")
    done = net(
        "run",
        "--rm",
        "-net",
        "n1",
        "busybox",
        "sh",
        "-c",
        "ip addr add 192.168.50.99/24 dev eth0; ip link set eth0 down",
    )

    assert done.returncode != 0
    assert "not permitted" in done.stderr


# --- on one bridge: each sends as itself only. The attacker here has every right inside its namespace. ----


def pair(net: Net) -> tuple[Guest, Guest, Wire]:
    """A victim and an attacker on one network of both families."""
    net.network("n1", "192.168.50.0/24", "--ipv6", "--subnet", "fd00:50::/64")
    victim, evil = net.guest("victim", "-net", "n1"), net.guest("evil", "-net", "n1")
    return victim, evil, Wire(evil)


def test_100_network_nobody_claims_anothers_address_by_arp(net: Net) -> None:
    victim, evil, wire = pair(net)
    assert victim.pings("192.168.50.1")
    gateway = victim.run("ip", "neigh", "show", "192.168.50.1").split()[4]
    for operation in (1, 2):
        wire.arp(operation, "192.168.50.1", wire.mac)
        wire.arp(operation, "192.168.50.1", FORGED, source=FORGED)
        wire.arp(operation, "192.168.50.1", FORGED)
    assert victim.pings("192.168.50.1")  # whatever was sent before is through by then

    assert victim.run("ip", "neigh", "show", "192.168.50.1").split()[4] == gateway
    assert evil.pings(victim.ip)  # its own claims are believed
    host = net.lab.host.run("ip", "neigh", "show", "dev", "n1")
    assert FORGED not in host


def test_100_network_nobody_sends_as_another(net: Net) -> None:
    victim, evil, wire = pair(net)
    to = mac(Wire(victim).mac)

    assert heard(victim, 5000, lambda: wire.udp(evil.ip, victim.ip, 5000, to=to))
    assert not heard(victim, 5000, lambda: wire.udp("192.168.50.77", victim.ip, 5000, to=to))
    assert not heard(victim, 5000, lambda: wire.udp("192.168.50.1", victim.ip, 5000, to=to))
    wire.send(IP, b"", source=FORGED)
    assert evil.pings(victim.ip)
    assert FORGED not in net.lab.host.run("bridge", "fdb", "show", "br", "n1")


def test_100_network_nobody_is_a_router_or_dhcp_server_for_the_others(net: Net) -> None:
    victim, evil, wire = pair(net)
    victim.set_sysctl("net.ipv6.conf.eth0.accept_ra", "2")  # a victim that would believe it
    routes = victim.run("ip", "-6", "route")
    own = next(
        row.split()[3].partition("/")[0]
        for row in evil.run("ip", "-6", "-o", "addr").splitlines()
        if "fe80" in row
    )
    prefix = struct.pack("!BBBBIII", 3, 4, 64, 0xC0, 1800, 1800, 0) + IPv6Address("fd66::").packed
    wire.icmp6(
        own,
        "ff02::1",
        struct.pack("!BBHBBHII", 134, 0, 0, 64, 0, 1800, 0, 0) + prefix,
        to=mac("33:33:00:00:00:01"),
    )
    assert evil.pings(victim.ip)

    assert victim.run("ip", "-6", "route") == routes
    assert "fd66::" not in victim.run("ip", "-6", "addr")
    assert "fd66::" not in net.lab.host.run("ip", "-6", "addr")
    to = mac(Wire(victim).mac)
    assert not heard(victim, 68, lambda: wire.udp(evil.ip, victim.ip, 68, to=to, from_port=67))


def test_100_network_nobody_claims_anothers_address_by_neighbour_advertisements(net: Net) -> None:
    victim, evil, wire = pair(net)
    assert victim.pings("fd00:50::1")
    before = victim.run("ip", "-6", "neigh", "show", "fd00:50::1").split()[4]
    target = IPv6Address("fd00:50::1").packed
    claim = struct.pack("!BBHI", 136, 0, 0, 0xA0000000) + target + b"\x02\x01" + mac(wire.mac)
    for source in ("fd00:50::1", evil.ip6):
        wire.icmp6(source, "ff02::1", claim, to=mac("33:33:00:00:00:01"))
    assert victim.pings("fd00:50::1")

    assert victim.run("ip", "-6", "neigh", "show", "fd00:50::1").split()[4] == before
    assert evil.pings(victim.ip6)
