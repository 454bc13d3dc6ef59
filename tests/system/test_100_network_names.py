"""Names: every running container of a network is known there by its name and aliases, and nobody else is anywhere."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.network_claims import servers
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
        "web", "-net", "n1", "--network-alias", "www", "--network-alias", "my_db", "--hostname", "h1"
    )
    asker = net.guest("asker", "-net", "n1")

    for name in ("web", "www", "my_db", "h1", web.inspected["Id"][:12], "WEB"):
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


def test_100_network_names_of_an_internal_network_are_there_or_not_and_never_refused(net: Net) -> None:
    # Who is refused asks the next server, or again: with musl for five seconds, and without the address it has.
    net.network("n1", "192.168.30.0/24", "--internal")
    net.guest("web", "-net", "n1", "--network-alias", "api.example.org")
    asker = net.guest("asker", "-net", "n1")

    assert asker.docker("exec", "asker", "nslookup", net.lab.SITE).stdout.count("NXDOMAIN") == 2  # A and AAAA
    assert "can't find" not in asker.sh("nslookup api.example.org")


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


# --- of several networks -------------------------------------------------------------------------------


def two_networks(net: Net) -> tuple[Guest, Guest, Guest]:
    """`both` on n1 and n2, `one` on n1, `two` on n2."""
    net.network("n1", "192.168.30.0/24")
    net.network("n2", "192.168.31.0/24")
    one, two = net.guest("one", "-net", "n1"), net.guest("two", "-net", "n2")
    net.guest("both", "-net", "n1")
    net.ok("network", "connect", "--alias", "bridge-head", "n2", "both")
    return Guest(net, "both"), one, two


def test_100_network_names_of_all_its_networks_are_found_at_once_and_of_no_other(net: Net) -> None:
    both, one, two = two_networks(net)

    assert (found(both, "one"), found(both, "two")) == ([one.ip], [two.ip])
    assert found(both, "nosuch") == []
    assert " 0% packet loss" in both.sh("ping -c1 -W2 one")
    assert " 0% packet loss" in both.sh("ping -c1 -W2 two")
    assert (found(one, "two"), found(two, "one")) == ([], [])
    assert found(one, "both") == [both.networks["n1"]["IPAddress"]]
    assert found(two, "bridge-head") == [both.networks["n2"]["IPAddress"]]
    late = net.guest("late", "-net", "n2")
    assert found(both, "late") == [late.ip]
    net.ok("stop", "-t", "0", "late")
    assert found(both, "late") == []


def test_100_network_names_are_found_after_a_restart_and_gone_after_a_disconnect(net: Net) -> None:
    both, one, two = two_networks(net)
    net.ok("restart", "-t", "0", "both")
    assert (found(both, "one"), found(both, "two")) == ([one.ip], [two.ip])
    net.ok("network", "disconnect", "n1", "both")

    assert (found(both, "one"), found(both, "two")) == ([], [two.ip])
    assert (found(one, "both"), found(two, "both")) == ([], [both.networks["n2"]["IPAddress"]])
    net.ok("network", "disconnect", "n2", "both")
    assert found(two, "both") == []


def test_100_network_names_of_three_networks_are_found_as_they_come_and_go(net: Net) -> None:
    both, one, two = two_networks(net)
    net.network("n3", "192.168.32.0/24", "--internal")
    three = net.guest("three", "-net", "n3")
    net.ok("network", "connect", "n3", "both")
    assert [found(both, name) for name in ("one", "two", "three")] == [[one.ip], [two.ip], [three.ip]]
    net.ok("network", "disconnect", "n2", "both")

    assert [found(both, name) for name in ("one", "two", "three")] == [[one.ip], [], [three.ip]]
    assert net("network", "rm", "n2").returncode != 0  # `two` is there
    net.ok("rm", "-f", "two")
    net.ok("network", "rm", "n2")
    assert [found(both, name) for name in ("one", "three")] == [[one.ip], [three.ip]]


def test_100_network_names_of_the_world_are_known_by_an_internal_network_and_another(net: Net) -> None:
    net.lab.serve_names()
    net.network("n1", "192.168.30.0/24", "--internal")
    net.network("n2", "192.168.31.0/24")
    both = net.guest("both", "-net", "n1")
    assert found(both, net.lab.SITE) == []
    net.ok("network", "connect", "n2", "both")
    assert net.lab.INTERNET in found(both, net.lab.SITE)
    net.ok("network", "disconnect", "n2", "both")
    assert found(both, net.lab.SITE) == []


def test_100_network_names_of_several_survive_what_others_break(net: Net) -> None:
    both, one, two = two_networks(net)
    for pid, _network in servers(net.run_dir):
        os.kill(pid, 9)
    net.ok("replay")
    assert (found(both, "one"), found(both, "two")) == ([one.ip], [two.ip])
    net.lab.host.run("ip", "link", "del", "n2")
    net.lab.host.run("nft", "flush", "ruleset")
    net.ok("replay")
    assert (found(both, "one"), found(both, "two")) == ([one.ip], [two.ip])
    for pid in (both.pid, net.inspect("both")["State"]["Pid"]):
        assert pid == both.pid


def test_100_network_files_tell_of_new_networks_and_keep_what_others_wrote(net: Net) -> None:
    net.network("n1", "192.168.30.0/24")
    net.network("n2", "192.168.31.0/24")
    guest = net.guest("t100f", "-net", "n1", "--hostname", "h1", "--add-host", "db:10.9.9.9")
    guest.sh("printf '10.1.1.1 mine\\n' >>/etc/hosts; printf 'options ndots:3\\n' >>/etc/resolv.conf")
    inode = guest.sh("stat -c %i /etc/hosts /etc/resolv.conf")
    before = [guest.sh(f"cat /etc/{name}") for name in ("hosts", "resolv.conf")]
    net.ok("network", "connect", "n2", "t100f")
    hosts, resolv = (guest.sh(f"cat /etc/{name}").splitlines() for name in ("hosts", "resolv.conf"))

    assert {"192.168.30.2\th1", "192.168.31.2\th1", "10.9.9.9\tdb", "10.1.1.1 mine"} <= set(hosts)
    assert len(hosts) == len(set(hosts)) == len(before[0].splitlines()) + 1
    assert [line for line in resolv if line[0] == "n"] == [
        "nameserver 192.168.30.1",
        "nameserver 192.168.31.1",
    ]
    assert "options ndots:3" in resolv
    net.ok("network", "disconnect", "n2", "t100f")
    assert [guest.sh(f"cat /etc/{name}") for name in ("hosts", "resolv.conf")] == before
    net.ok("network", "disconnect", "n1", "t100f")
    assert "127.0.1.1\th1" in guest.sh("cat /etc/hosts")
    assert "192.168" not in guest.sh("cat /etc/hosts /etc/resolv.conf")
    assert guest.sh("stat -c %i /etc/hosts /etc/resolv.conf") == inode


def test_100_network_name_servers_are_in_no_session_of_whoever_started_them(net: Net) -> None:
    both, _, _ = two_networks(net)
    pids = [pid for pid, _ in servers(net.run_dir)]
    assert len(pids) == 3  # n1's, n2's, and that of `both`
    for pid in pids:
        rows = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
        assert {row.rpartition(":")[2] for row in rows} == {f"/mydocker-{net.root_id}/servers"}
    net.clear()
    assert both.docker.left() == []
    assert net.cgroups() == [] or f"md-{net.root_id}" in net.links()
