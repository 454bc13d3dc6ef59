"""Names: every running container of a network is known there by its name and aliases, and nobody else is anywhere."""

from __future__ import annotations

import pytest

from tests.networks import Guest, Net

pytestmark = [pytest.mark.root, pytest.mark.timeout(300)]


def found(guest: Guest, name: str) -> list[str]:
    """The addresses that the guest's name server has for a name."""
    done = guest.docker("exec", guest.name, "nslookup", name)
    answers = done.stdout.partition("\n\n")[2]
    return sorted(
        {line.split(": ")[1].strip() for line in answers.splitlines() if line.startswith("Address")}
    )


def test_100_network_names_and_aliases_are_found(net: Net) -> None:
    net.network("n1", "192.168.30.0/24")
    web = net.guest(
        "web", "-net", "n1", "--network-alias", "www", "--network-alias", "shop", "--hostname", "h1"
    )
    asker = net.guest("asker", "-net", "n1")

    for name in ("web", "www", "shop", "h1", web.inspected["Id"][:12], "WEB"):
        assert found(asker, name) == [web.ip], name
    assert " 0% packet loss" in asker.sh("ping -c1 -W2 www")
    assert found(web, "asker") == [asker.ip]


def test_100_network_names_have_addresses_of_both_families(net: Net) -> None:
    net.network("n6", "192.168.30.0/24", "--ipv6", "--subnet", "fd00:30::/64")
    web, asker = net.guest("web", "-net", "n6"), net.guest("asker", "-net", "n6")

    assert found(asker, "web") == sorted([web.ip, web.ip6])


def test_100_network_names_of_what_does_not_run_are_not_found(net: Net) -> None:
    net.network("n1", "192.168.30.0/24")
    web, asker = net.guest("web", "-net", "n1"), net.guest("asker", "-net", "n1")
    assert found(asker, "web") == [web.ip]
    net.ok("stop", "-t", "0", "web")
    assert found(asker, "web") == []
    net.ok("start", "web")
    assert found(asker, "web") == [web.ip]
    net.ok("kill", "web")
    net.ok("wait", "web")
    assert found(asker, "web") == []
    net.ok("rm", "web")
    thief = net.guest("thief", "-net", "n1")

    assert thief.ip == web.ip
    assert found(asker, "web") == []
    assert found(asker, "thief") == [web.ip]


def test_100_network_names_belong_to_one_network(net: Net) -> None:
    net.network("n1", "192.168.30.0/24")
    net.network("n2", "192.168.31.0/24")
    net.guest("one", "-net", "n1")
    two = net.guest("two", "-net", "n2")

    assert found(two, "one") == []


def test_100_network_an_alias_of_several_finds_all_of_them(net: Net) -> None:
    net.network("n1", "192.168.30.0/24")
    both = [net.guest(name, "-net", "n1", "--network-alias", "www") for name in ("a1", "a2")]
    asker = net.guest("asker", "-net", "n1")

    assert found(asker, "www") == sorted(guest.ip for guest in both)


def test_100_network_a_renamed_container_goes_by_its_new_name(net: Net) -> None:
    net.network("n1", "192.168.30.0/24")
    web, asker = net.guest("web", "-net", "n1"), net.guest("asker", "-net", "n1")
    net.ok("rename", "web", "site")
    net.ok("restart", "-t", "0", "site")

    assert found(asker, "site") == [web.ip]
    assert found(asker, "web") == []


def test_100_network_names_of_the_world_come_from_the_hosts_servers(net: Net) -> None:
    net.lab.serve_names()
    net.lab.serve(net.lab.internet, "tcp/80")
    net.network("n1", "192.168.30.0/24")
    asker = net.guest("asker", "-net", "n1")

    assert net.lab.INTERNET in found(asker, net.lab.SITE)
    assert "internet" in asker.sh(f"nc -w 5 {net.lab.SITE} 80 </dev/null")


def test_100_network_names_of_an_internal_network_stay_inside(net: Net) -> None:
    net.lab.serve_names()
    net.network("n1", "192.168.30.0/24", "--internal")
    web, asker = net.guest("web", "-net", "n1"), net.guest("asker", "-net", "n1")

    assert found(asker, "web") == [web.ip]
    assert found(asker, net.lab.SITE) == []


def test_100_network_servers_of_ones_own_choice(net: Net) -> None:
    net.lab.serve_names()
    net.network("n1", "192.168.30.0/24")
    options = ("--dns", net.lab.INTERNET, "--dns-search", "example", "--dns-option", "ndots:2")
    asker = net.guest("asker", "-net", "n1", *options)

    assert net.lab.INTERNET in found(asker, net.lab.SITE)
    lines = asker.sh("cat /etc/resolv.conf").splitlines()
    assert [line for line in lines if line.startswith("nameserver")] == [f"nameserver {net.lab.INTERNET}"]
    assert {"search example", "options ndots:2"} <= set(lines)


def test_100_network_etc_hosts_has_itself_and_what_was_added(net: Net) -> None:
    net.network("n1", "192.168.30.0/24")
    added = ("--add-host", "db:10.9.9.9", "--add-host", "outside:host-gateway", "--hostname", "h1")
    guest = net.guest("t100h", "-net", "n1", *added)
    rows = [line.split() for line in guest.sh("cat /etc/hosts").splitlines()]

    assert [guest.ip, "h1"] in [row[:2] for row in rows]
    assert ["10.9.9.9", "db"] in rows
    assert ["192.168.30.1", "outside"] in rows
    assert ["127.0.0.1", "localhost"] in [row[:2] for row in rows]
    assert " 0% packet loss" in guest.sh("ping -c1 -W2 h1; ping -c1 -W2 outside")


def test_100_network_nobody_but_the_network_asks_its_name_server(net: Net) -> None:
    net.network("n1", "192.168.30.0/24")
    net.guest("t100a", "-net", "n1")
    net.lab.neighbour.links(f"route add 192.168.30.0/24 via {net.lab.HOST}\n")
    sockets = [row for row in net.now()["sockets"] if row.endswith(":53")]

    assert sockets
    assert all(row.startswith(("192.168.30.1", "[fe80")) for row in sockets), sockets
    asked = net.lab.neighbour.run("timeout", "2", "busybox", "nslookup", "t100a", "192.168.30.1", check=False)
    assert "192.168.30.2" not in asked
