"""What gets through, and what does not: real packets between hosts, the engine's among them, and containers."""

from __future__ import annotations

import json
import secrets
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.lab import Lab, Place, reached
from tests.netkit import Kit, Network, kit, published

pytestmark = pytest.mark.root
SETTINGS = [f"net.bridge.bridge-nf-call-{name}tables" for name in ("ip", "ip6", "arp")]
SETTINGS += ["net.ipv4.conf.all.rp_filter"]


@pytest.fixture(params=["bridged", "filtered"])
def made(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Kit]:
    """`filtered`: with br_netfilter, which shows the inet tables what only passes through a bridge too; and strict
    reverse paths (RFC 3704).
    """
    with kit(tmp_path) as one:
        one.lab.host.run(
            "sysctl", "-qw", *(f"{name}={int(request.param == 'filtered')}" for name in SETTINGS)
        )
        yield one


@pytest.fixture
def net(made: Kit) -> Network:
    return made.network(101)


def both(port: int, to: int = 80) -> list[dict[str, object]]:
    """Published on all addresses, for TCP and UDP."""
    return [
        published(port, to, protocol, address) for protocol in ("tcp", "udp") for address in ("0.0.0.0", "::")
    ]


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_a_published_port_is_reached_from_everywhere(made: Kit, net: Network, protocol: str) -> None:
    web = made.guest("web", net, 2, *both(8080))
    peer, other = made.guest("peer", net, 3), made.guest("other", made.network(102), 2)

    assert made.lab.neighbour.ask(Lab.HOST, 8080, protocol) == f"web {Lab.NEIGHBOUR}"
    assert made.lab.neighbour.ask(Lab.HOST6, 8080, protocol) == f"web {Lab.NEIGHBOUR6}"
    assert made.lab.internet.ask(Lab.HOST, 8080, protocol) == f"web {Lab.INTERNET}"
    for address in (Lab.HOST, Lab.HOST6, "127.0.0.1", "127.0.0.77", "10.101.0.1", "fd65::1"):
        assert made.lab.host.ask(address, 8080, protocol).startswith("web "), address
    # From a container of the same network, of another one, and from the very one that publishes.
    for guest in (peer, other, web):
        for address in (Lab.HOST, Lab.HOST6):
            assert guest.machine.ask(address, 8080, protocol).startswith("web "), (
                guest.machine.name,
                address,
            )


@pytest.mark.parametrize("to", [Lab.HOST, Lab.HOST6])
def test_a_sender_that_never_pauses_follows_the_port(made: Kit, net: Network, to: str) -> None:
    family = socket.AF_INET6 if ":" in to else socket.AF_INET
    with made.lab.neighbour.door(family, socket.SOCK_DGRAM) as door:
        door.bind(("::" if ":" in to else "0.0.0.0", 4321))
        door.settimeout(2)

        def ask() -> str:
            door.sendto(b"?", (to, 8080))
            try:
                return door.recv(100).decode().split()[0]
            except TimeoutError:
                return "nobody"

        door.settimeout(0.1)
        assert ask() == "nobody"
        door.settimeout(5)
        first = made.guest("first", net, 2, *both(8080))
        assert ask() == "first"
        made.undo("rules", first.rules)
        made.undo("endpoint", first.endpoint)
        made.guest("second", net, 3, *both(8080))
        assert ask() == "second"


def test_containers_of_one_network_reach_each_other_as_themselves(made: Kit, net: Network) -> None:
    web, peer = made.guest("web", net, 2), made.guest("peer", net, 3)
    for protocol in ("tcp", "udp"):
        assert peer.machine.ask(web.ip, 80, protocol) == f"web {peer.ip}"
        assert peer.machine.ask(web.ip6, 80, protocol) == f"web {peer.ip6}"
    assert made.lab.host.ask(web.ip, 80) == "web 10.101.0.1"
    assert peer.machine.pings("10.101.0.1")


def test_frames_for_a_container_that_has_never_spoken_go_to_it_alone(made: Kit, net: Network) -> None:
    guest = made.guest("silent", net, 2)
    # Another one that joins, and leaves, changes nothing of it.
    made.guest("peer", net, 3)
    device, mac = guest.endpoint["host_device"], guest.endpoint["mac"]
    known = json.loads(made.lab.host.run("bridge", "-j", "fdb", "show", "dev", device))
    assert [row["state"] for row in known if row["mac"] == mac and "master" in row] == ["static"]
    (port,) = json.loads(made.lab.host.run("bridge", "-j", "-d", "link", "show", "dev", device))
    assert (port["learning"], port["hairpin"]) == (False, True)


def test_networks_are_isolated_from_each_other(made: Kit, net: Network) -> None:
    web, other = made.guest("web", net, 2), made.guest("other", made.network(102), 2)
    ways = [(other.machine, web.ip, 80), (web.machine, other.ip6, 80)]
    assert reached(*ways, *[(*way, "udp") for way in ways]) == []


def test_the_world_sees_the_hosts_address(made: Kit, net: Network) -> None:
    made.lab.serve(made.lab.internet, "tcp/80", "udp/80")
    web = made.guest("web", net, 2)
    for protocol in ("tcp", "udp"):
        assert web.machine.ask(Lab.INTERNET, 80, protocol) == f"internet {Lab.HOST}"
        assert web.machine.ask(Lab.INTERNET6, 80, protocol) == f"internet {Lab.HOST6}"


@pytest.mark.parametrize("address", [Lab.INTERNET, Lab.INTERNET6])
def test_a_narrow_way_out_is_known_from_the_first_packet(made: Kit, net: Network, address: str) -> None:
    web = made.guest("web", net, 2)
    made.lab.host.run("ip", "link", "set", "eth0", "mtu", "1300")
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with made.lab.internet.listening(99) as door, web.door(family, socket.SOCK_STREAM) as caller:
        caller.connect((address, 99))
        called, _ = door.accept()
        assert called.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG) <= 1300 - 40
        called.close()


@pytest.mark.parametrize(("address", "published_on"), [(Lab.HOST, "0.0.0.0"), (Lab.HOST6, "::")])
def test_and_by_who_calls_a_published_port_over_it(
    made: Kit, net: Network, address: str, published_on: str
) -> None:
    """Of the answer to the first packet, whose connection counts as established already."""
    web = made.guest("web", net, 2, published(8080, 99, address=published_on))
    made.lab.host.run("ip", "link", "set", "eth0", "mtu", "1300")
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with web.machine.listening(99) as door, made.lab.internet.door(family, socket.SOCK_STREAM) as caller:
        caller.connect((address, 8080))
        assert caller.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG) <= 1300 - 40
        door.accept()[0].close()


def test_an_unpublished_port_is_not_reached_by_a_neighbour_with_a_route(made: Kit, net: Network) -> None:
    web = made.guest("web", net, 2, published(8080, 81))
    neighbour = made.lab.neighbour
    neighbour.links(f"route add 10.101.0.0/24 via {Lab.HOST}\nroute add fd65::/64 via {Lab.HOST6}\n")

    # 81 is published, but under another address and port.
    doors = ((80, "tcp"), (80, "udp"), (81, "tcp"), (0, "icmp"))
    assert reached(*[(neighbour, to, *door) for to in (web.ip, web.ip6) for door in doors]) == []
    assert neighbour.ask(Lab.HOST, 8080) == f"web {Lab.NEIGHBOUR}"


def test_a_port_on_127_0_0_1_stays_there(made: Kit, net: Network) -> None:
    made.guest("web", net, 2, published(8080, address="127.0.0.1"))
    assert made.lab.host.ask("127.0.0.1", 8080).startswith("web ")
    neighbour, peer = made.lab.neighbour, made.guest("peer", net, 3).machine
    assert reached((made.lab.host, Lab.HOST, 8080), (neighbour, Lab.HOST, 8080)) == []
    # With a packet for 127.0.0.1 on the wire, as nobody else can send it.
    for place, gateway in ((neighbour, Lab.HOST), (peer, "10.101.0.1")):
        _route_loopback(place, gateway)
    assert reached((neighbour, "127.0.0.1", 8080), (peer, "127.0.0.1", 8080)) == []


def _route_loopback(place: Place, gateway: str) -> None:
    place.set_sysctl("net.ipv4.conf.all.route_localnet", "1")
    place.links("addr del 127.0.0.1/8 dev lo\n")
    place.links(f"route add 127.0.0.0/8 via {gateway} dev eth0\n")
    assert f"via {gateway} dev eth0" in place.run("ip", "route", "get", "127.0.0.1")


def test_a_container_does_not_reach_the_hosts_loopback(made: Kit, net: Network) -> None:
    made.lab.serve(made.lab.host, "tcp/9000", "udp/9000", address="127.0.0.1")
    peer = made.guest("peer", net, 3).machine
    _route_loopback(peer, "10.101.0.1")
    assert reached((peer, "127.0.0.1", 9000), (peer, "127.0.0.1", 9000, "udp")) == []


def test_nor_with_packets_that_are_not_tracked(made: Kit, net: Network) -> None:
    """Which no chain of the kind `nat` sees."""
    chain = "type filter hook prerouting priority -300; ip daddr 127.0.0.0/8 notrack"
    made.lab.host.run("nft", "-f", "-", stdin=f"table ip other {{ chain raw {{ {chain}; }}; }}")
    peer = made.guest("peer", net, 3).machine
    _route_loopback(peer, "10.101.0.1")
    with made.lab.host.listening(9000, "udp", "127.0.0.1") as door:
        for place in (peer, made.lab.host):
            with place.door(socket.AF_INET, socket.SOCK_DGRAM) as sender:
                sender.sendto(place.name.encode(), ("127.0.0.1", 9000))
        assert door.recv(100) == b"host"


def test_nor_what_another_engine_publishes_on_the_hosts_loopback(made: Kit, net: Network) -> None:
    """Whose translation would come before the routing, which knows 127.0.0.0/8 for a martian."""
    made.lab.serve(made.lab.neighbour, "tcp/80")
    rule = f"fib daddr type local tcp dport 9100 dnat to {Lab.NEIGHBOUR}:80"
    chain = f"type nat hook prerouting priority -100; {rule}"
    made.lab.host.run("nft", "-f", "-", stdin=f"table ip other {{ chain prerouting {{ {chain}; }}; }}")
    peer = made.guest("peer", net, 3).machine
    _route_loopback(peer, "10.101.0.1")
    assert reached((peer, "127.0.0.1", 9100), (peer, "10.101.0.1", 9100)) == ["peer 10.101.0.1 9100"]


def test_localhost_is_found_by_its_second_address(made: Kit, net: Network) -> None:
    """The kernel forwards no answers to ::1; it must say so at once."""
    made.guest("web", net, 2, *both(8080))
    with pytest.raises(ConnectionRefusedError):
        made.lab.host.ask("::1", 8080)
    assert made.lab.host.ask("127.0.0.1", 8080).startswith("web ")


def test_an_address_of_the_host_publishes_on_it_alone(made: Kit, net: Network) -> None:
    made.guest("web", net, 2, published(8080, address=Lab.HOST))
    assert made.lab.neighbour.ask(Lab.HOST, 8080) == f"web {Lab.NEIGHBOUR}"
    assert made.lab.host.ask(Lab.HOST, 8080).startswith("web ")
    assert not made.lab.host.reaches("127.0.0.1", 8080)


def test_nothing_enters_or_leaves_an_internal_network(made: Kit, net: Network) -> None:
    made.lab.serve(made.lab.internet, "tcp/80")
    made.lab.serve(made.lab.host, "tcp/9000")
    inner = made.network(103, internal=True)
    one, two = made.guest("one", inner, 2, published(8081)), made.guest("two", inner, 3)
    outside = made.guest("outside", net, 2, published(8080))
    one.machine.links("route add default via 10.103.0.1\nroute add default via fd67::1\n")

    assert two.machine.ask(one.ip, 80) == f"one {two.ip}"
    assert two.machine.ask(one.ip6, 80) == f"one {two.ip6}"
    out = ((Lab.INTERNET, 80), (Lab.HOST, 8080), (Lab.HOST, 9000), ("10.103.0.1", 9000), (outside.ip, 80))
    ways = [(one.machine, *to) for to in out]
    ways += [
        (outside.machine, one.ip, 80),
        (outside.machine, Lab.HOST, 8081),
        (made.lab.neighbour, Lab.HOST, 8081),
    ]
    assert reached(*ways) == []
    assert made.lab.host.ask(one.ip, 80) == "one 10.103.0.1"


def test_host_services_are_reached_as_without_an_engine(made: Kit, net: Network) -> None:
    made.lab.serve(made.lab.host, "tcp/9000")
    web = made.guest("web", net, 2)
    assert web.machine.ask("10.101.0.1", 9000) == f"host {web.ip}"
    assert web.machine.ask(Lab.HOST, 9000) == f"host {web.ip}"


def test_names_are_known_while_their_container_is_there(made: Kit, net: Network) -> None:
    web, peer = made.guest("web", net, 2), made.guest("peer", net, 3)

    def lookup(name: str) -> str:
        answer = peer.machine.run("busybox", "nslookup", name, "10.101.0.1", check=False)
        return answer.partition("Name:")[2]

    assert "10.101.0.2" in lookup("web")
    assert "fd65::2" in lookup("web")
    made.undo("endpoint", web.endpoint)
    assert lookup("web") == ""
    made.do("endpoint", web.endpoint)
    assert "10.101.0.2" in lookup("web")


def test_names_are_told_to_nobody_outside(made: Kit, net: Network) -> None:
    made.guest("web", net, 2)
    other = made.guest("other", made.network(102), 2)
    made.lab.neighbour.links(f"route add 10.101.0.0/24 via {Lab.HOST}\nroute add fd65::/64 via {Lab.HOST6}\n")

    def told(place: Place, server: str) -> bool:
        return "10.101.0.2" in place.run("timeout", "1", "busybox", "nslookup", "web", server, check=False)

    asked = [
        (place, server)
        for place in (made.lab.neighbour, other.machine)
        for server in ("10.101.0.1", "fd65::1")
    ]
    with ThreadPoolExecutor(len(asked)) as pool:
        assert list(pool.map(lambda way: told(*way), asked)) == [False] * 4
    assert "10.101.0.2" in made.lab.host.run("busybox", "nslookup", "web", "10.101.0.1")


def test_a_host_that_forwards_because_of_us_is_no_router_for_others(made: Kit, net: Network) -> None:
    made.guest("web", net, 2)
    lab = made.lab
    lab.serve(lab.internet, "tcp/80")
    assert lab.host.sysctl("net.ipv4.ip_forward") == "1"
    lab.neighbour.links(f"route replace default via {Lab.HOST}\n")
    assert not lab.neighbour.reaches(Lab.INTERNET, 80)
    # Nor in between, when the firewall has gone already.
    made.undo("firewall", made.firewall)
    assert not lab.neighbour.reaches(Lab.INTERNET, 80)
    made.close()
    assert lab.host.sysctl("net.ipv4.ip_forward") == "0"
    assert lab.host.sysctl("net.ipv6.conf.all.forwarding") == "0"


def test_what_a_bridge_of_others_passes_on_is_not_routed_and_passes(made: Kit, net: Network) -> None:
    assert made.turned_on
    first, second = (made.lab.machine(name, {}) for name in ("first", "second"))
    made.lab.host.links("link add others type bridge\nlink set others up\n")
    for number, machine in enumerate((first, second), start=1):
        made.lab.host.links(
            f"link add {machine.name} type veth peer name eth0 netns {machine.pid}\n"
            f"link set {machine.name} master others up\n"
        )
        machine.links(f"addr add 10.88.0.{number}/24 dev eth0\nlink set eth0 up\n")
    made.lab.serve(second, "tcp/80")
    assert first.ask("10.88.0.2", 80) == "second 10.88.0.1"


def test_a_family_is_turned_off_while_networks_of_the_other_one_stay(made: Kit, net: Network) -> None:
    made.undo("forwarding", {"family": "ipv6"})

    assert made.lab.host.sysctl("net.ipv6.conf.all.forwarding") == "0"
    assert made.lab.host.sysctl("net.ipv4.ip_forward") == "1"


def test_another_roots_networks_keep_forwarding_on(made: Kit, net: Network, tmp_path: Path) -> None:
    other = Kit(made.lab, tmp_path / "other", root_id=secrets.token_hex(4))
    other.prepare()
    for family in ("ipv4", "ipv6"):
        other.undo("forwarding", {"family": family})

    assert made.lab.host.sysctl("net.ipv6.conf.all.forwarding") == "1"
    assert made.lab.host.sysctl("net.ipv4.ip_forward") == "1"
    other.close()


def test_a_router_stays_one(tmp_path: Path) -> None:
    from tests.lab import lab

    with lab(tmp_path) as machines:
        machines.host.set_sysctl("net.ipv4.ip_forward", "1")
        machines.serve(machines.internet, "tcp/80")
        machines.neighbour.links(f"route replace default via {Lab.HOST}\n")
        one = Kit(machines, tmp_path)
        one.prepare()
        one.network(101)
        assert "net/ipv4/ip_forward" not in one.turned_on
        assert machines.neighbour.reaches(Lab.INTERNET, 80)
        one.close()
        assert machines.host.sysctl("net.ipv4.ip_forward") == "1"
        assert machines.host.sysctl("net.ipv6.conf.all.forwarding") == "0"


def test_a_host_that_forwards_because_of_us_still_hears_its_router(tmp_path: Path) -> None:
    from tests.lab import lab

    with lab(tmp_path) as machines:
        machines.host.set_sysctl("net.ipv6.conf.eth0.accept_ra", "1")
        one = Kit(machines, tmp_path)
        one.prepare()
        assert machines.host.sysctl("net.ipv6.conf.eth0.accept_ra") == "2"
        one.close()
        assert machines.host.sysctl("net.ipv6.conf.eth0.accept_ra") == "1"
