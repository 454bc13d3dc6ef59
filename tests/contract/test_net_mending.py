"""What others do to our links and tables behind our back, and what we do to theirs: nothing."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from effects import nft_text
from effects.failure import Failure
from effects.net_links import ours, remove
from tests.lab import Lab, lab, reached
from tests.netkit import Guest, Kit, Network, kit, published

pytestmark = pytest.mark.root
# As `iptables -P FORWARD DROP` and docker or ufw leave it.
DROPPING = "".join(
    f"""table {family} filter {{
	chain FORWARD {{
		type filter hook forward priority 0; policy drop;
		counter drop
	}}
	chain INPUT {{
		type filter hook input priority 0; policy drop;
		meta l4proto ipv6-icmp accept
	}}
}}
"""
    for family in ("ip", "ip6")
)


# Plain nftables, as its wiki has it, in one table for both families; and firewalld, which drops at the end, not by policy.
MODERN = """table inet filter {
	chain input {
		type filter hook input priority 0; policy drop;
		meta l4proto ipv6-icmp accept
	}
	chain forward {
		type filter hook forward priority 0; policy drop;
		counter drop
	}
	chain output {
		type filter hook output priority 0; policy accept;
		accept
	}
}
table inet firewalld {
	chain filter_FORWARD {
		type filter hook forward priority 10; policy accept;
		reject with icmpx admin-prohibited
	}
	chain filter_INPUT {
		type filter hook input priority 10; policy accept;
		meta l4proto ipv6-icmp accept
		reject with icmpx admin-prohibited
	}
}
"""
EARLIER = """table inet raw {
	chain forward {
		type filter hook forward priority -300; policy accept;
		meta mark 0x17 drop
	}
}
"""


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Kit]:
    with kit(tmp_path) as one:
        yield one


@pytest.fixture
def net(made: Kit) -> Network:
    return made.network(101)


@pytest.fixture
def web(made: Kit, net: Network) -> Guest:
    return made.guest("web", net, 2, published(8080))


def lookup(guest: Guest, name: str) -> bool:
    return "Name:" in guest.machine.run("busybox", "nslookup", name, "10.101.0.1", check=False)


def whole(made: Kit) -> list[str]:
    """The kinds of what is not whole."""
    return [kind for kind, spec in made.done if made.probe(kind, spec) is None]


def test_a_flushed_firewall_is_noticed_and_made_again(made: Kit, web: Guest) -> None:
    neighbour = made.lab.neighbour
    made.lab.serve(made.lab.internet, "tcp/80")
    made.lab.host.run("nft", "flush", "ruleset")
    assert not neighbour.reaches(Lab.HOST, 8080)
    assert set(whole(made)) == {"firewall", "rules"}

    made.mend()

    assert whole(made) == []
    assert neighbour.ask(Lab.HOST, 8080) == f"web {Lab.NEIGHBOUR}"
    neighbour.links(f"route replace default via {Lab.HOST}\n")
    assert not neighbour.reaches(Lab.INTERNET, 80), "the host has become a router"
    made.close()
    assert made.lab.host.sysctl("net.ipv4.ip_forward") == "0"


@pytest.mark.parametrize("table", ["inet", "bridge"])
def test_one_table_or_one_rule_that_is_gone_is_noticed(made: Kit, web: Guest, table: str) -> None:
    made.lab.host.run("nft", "delete", "table", table, made.table)
    assert "firewall" in whole(made)
    made.mend()
    assert whole(made) == []
    chain = "forward" if table == "inet" else "port4"
    made.lab.host.run("nft", "flush", "chain", table, made.table, chain)
    assert whole(made) == ["firewall"]
    made.mend()
    assert whole(made) == []


def test_tables_of_another_version_are_replaced_and_what_was_in_them_is_made_again(
    made: Kit, web: Guest
) -> None:
    chain = "{ type nat hook prerouting priority -90 ; }"
    made.lab.host.run(
        "nft",
        "-f",
        "-",
        stdin=f"delete table inet {made.table}\nadd table inet {made.table}\n"
        f"add chain inet {made.table} prerouting {chain}\nadd set inet {made.table} bridges {{ type ipv4_addr ; }}\n",
    )
    made.mend()

    assert whole(made) == []
    assert made.lab.neighbour.ask(Lab.HOST, 8080) == f"web {Lab.NEIGHBOUR}"
    assert "priority -90" not in made.lab.host.run("nft", "list", "table", "inet", made.table)


def test_a_bridge_that_was_deleted_comes_back_and_connections_live_on(made: Kit, web: Guest) -> None:
    peer = made.guest("peer", web.network, 3)
    with web.machine.listening(99) as door, peer.door(socket.AF_INET, socket.SOCK_STREAM) as caller:
        caller.connect((web.ip, 99))
        called, _ = door.accept()
        made.lab.host.run("ip", "link", "del", web.network.device)
        assert not peer.machine.pings(web.ip)

        made.mend()

        caller.settimeout(20)
        called.sendall(b"still here")
        assert caller.recv(100) == b"still here"
        called.close()
    assert whole(made) == []
    assert made.lab.neighbour.ask(Lab.HOST, 8080) == f"web {Lab.NEIGHBOUR}"
    assert lookup(peer, "web")


def test_a_deleted_end_is_made_again(made: Kit, web: Guest) -> None:
    made.lab.host.run("ip", "link", "del", web.host_device)
    assert whole(made) == ["endpoint"]
    made.mend()
    assert made.lab.neighbour.ask(Lab.HOST, 8080) == f"web {Lab.NEIGHBOUR}"


def test_an_end_of_a_dead_container_of_before_is_no_end_of_this_one(made: Kit, web: Guest) -> None:
    """Its pair's other end is elsewhere: it is made anew, not furnished."""
    host = made.lab.host
    host.run("ip", "link", "del", web.host_device)
    host.links(
        f"link add {web.host_device} type veth peer name x\n"
        f'link set {web.host_device} alias "{web.mark}"\nlink set {web.host_device} group 28004\n'
    )
    made.mend()
    assert made.lab.neighbour.ask(Lab.HOST, 8080) == f"web {Lab.NEIGHBOUR}"
    assert "x@" not in host.run("ip", "link")


@pytest.mark.parametrize("harm", ["killed", "directory", "everything"])
def test_names_are_served_again(made: Kit, web: Guest, harm: str) -> None:
    pid = int(Path(web.network.directory, ".pid").read_text())
    if harm == "killed":
        os.kill(pid, 9)
    else:
        shutil.rmtree(web.network.directory if harm == "directory" else Path(web.network.directory).parent)
    while made.probe("dns", web.network.dns):  # killed is not yet dead
        pass
    made.mend()
    assert whole(made) == []
    assert lookup(web, "web")


def test_a_server_that_is_still_dying_does_not_keep_the_next_one_from_its_address(
    made: Kit, web: Guest
) -> None:
    """On a busy machine its sockets outlive its memory, and with that its command line, by up to a second."""
    cpu, seen = min(os.sched_getaffinity(0)), 0
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as busy:
        os.sched_setaffinity(busy.pid, {cpu})
        try:
            while seen < 3:
                pid = int(Path(web.network.directory, ".pid").read_text())
                os.sched_setaffinity(pid, {cpu})
                os.sched_setscheduler(pid, os.SCHED_IDLE, os.sched_param(0))
                os.kill(pid, 9)
                while made.probe("dns", web.network.dns):
                    pass
                seen += pid in [one["pid"] for one in made.host.dying("dnsmasq")]
                made.mend()
                assert pid not in [one["pid"] for one in made.host.dying("dnsmasq")]
                assert lookup(web, "web")
        finally:
            busy.kill()


@pytest.mark.parametrize("first", ["others", "ours"])
@pytest.mark.parametrize("theirs", [DROPPING, MODERN + EARLIER], ids=["iptables", "inet"])
def test_forwarding_that_others_drop_is_let_through_for_ours_alone(
    tmp_path: Path, first: str, theirs: str
) -> None:
    with lab(tmp_path) as machines:
        host = machines.host
        if first == "others":
            host.run("nft", "-f", "-", stdin=theirs)
        one = Kit(machines, tmp_path)
        one.prepare()
        if first == "ours":
            host.run("nft", "-f", "-", stdin=theirs)
            assert one.probe("firewall", one.firewall) is None
            one.mend()
        network = one.network(101)
        web = one.guest("web", network, 2, published(8080), published(8080, address="::"))
        peer = one.guest("peer", network, 3)
        machines.serve(machines.internet, "tcp/80")

        assert machines.neighbour.ask(Lab.HOST, 8080) == f"web {Lab.NEIGHBOUR}"
        assert machines.neighbour.ask(Lab.HOST6, 8080) == f"web {Lab.NEIGHBOUR6}"
        assert web.machine.ask(Lab.INTERNET, 80) == f"internet {Lab.HOST}"
        # Which their chain sees, with br_netfilter.
        assert host.sysctl("net.bridge.bridge-nf-call-iptables") == "1"
        assert [peer.machine.ask(address, 80) for address in (web.ip, web.ip6)] == [
            f"web {peer.ip}",
            f"web {peer.ip6}",
        ]
        assert lookup(web, "web")
        one.close()
        assert _others(host.run("nft", "-n", "list", "ruleset")) == _others(_listed(theirs, machines))


def _listed(rules: str, machines: Lab) -> str:
    """As nft lists them, in a place where nothing else is."""
    return machines.router.run(
        "sh", "-c", "nft -f - && nft -n list ruleset && nft flush ruleset", stdin=rules
    )


def _others(listing: str) -> list[str]:
    return [line.partition("counter")[0] for line in listing.splitlines()]


def test_the_rule_that_the_guide_has_for_the_older_iptables_finds_the_mark(tmp_path: Path) -> None:
    guide = (Path(__file__).parents[2] / "docs" / "guide.md").read_text()
    (rule,) = re.findall(r"`(iptables-legacy -I FORWARD [^`]*)`", guide)
    with lab(tmp_path) as machines:
        one = Kit(machines, tmp_path)
        one.prepare()
        assert "continue" not in machines.host.run("nft", "list", "chain", "inet", one.table, "marks")
        machines.host.run("iptables-legacy", "-P", "FORWARD", "DROP")
        machines.host.run(*rule.split())
        assert one.probe("firewall", one.firewall) is None
        one.mend()
        network = one.network(101)
        web, peer = one.guest("web", network, 2, published(8080)), one.guest("peer", network, 3)
        assert machines.neighbour.ask(Lab.HOST, 8080) == f"web {Lab.NEIGHBOUR}"
        assert peer.machine.ask(web.ip, 80) == f"web {peer.ip}"
        one.close()


def test_a_table_that_only_its_owner_may_change_is_left_alone_and_finds_the_mark(tmp_path: Path) -> None:
    """As firewalld 2.1 makes them."""
    theirs = "table inet theirs { flags owner; chain forward { type filter hook forward priority 0; policy drop; }; }"
    with lab(tmp_path) as machines:
        words = [*machines.host.prefix(), "nft", "-i"]
        with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as owner:
            assert owner.stdin
            assert owner.stdout
            print(f"add {theirs}\nlist tables", file=owner.stdin, flush=True)
            while "theirs" not in owner.stdout.readline():
                pass
            before = machines.host.run("nft", "list", "table", "inet", "theirs")
            one = Kit(machines, tmp_path)
            one.prepare()
            assert one.probe("firewall", one.firewall) == {}
            assert machines.host.run("nft", "list", "table", "inet", "theirs") == before
            assert "continue" in machines.host.run("nft", "list", "chain", "inet", one.table, "marks")
            one.close()
            owner.stdin.close()


def test_iptables_still_understands_the_chain_with_our_rule(tmp_path: Path) -> None:
    with lab(tmp_path) as machines:
        host = machines.host
        host.run("iptables", "-P", "FORWARD", "DROP")
        host.run("iptables", "-A", "FORWARD", "-i", "x0", "-j", "ACCEPT")
        before = host.run("iptables", "-S")
        one = Kit(machines, tmp_path)
        one.prepare()
        assert "--mark 0x2000000/0x2000000" in host.run("iptables", "-S")
        host.run("iptables", "-A", "FORWARD", "-i", "x1", "-j", "ACCEPT")
        host.run("iptables", "-D", "FORWARD", "-i", "x1", "-j", "ACCEPT")
        assert one.probe("firewall", one.firewall) == {}
        one.close()
        assert host.run("iptables", "-S") == before


def test_two_roots_live_beside_each_other_and_the_last_one_turns_the_light_off(made: Kit, web: Guest) -> None:
    other = Kit(made.lab, made.base / "other", root_id=secrets.token_hex(4))
    other.prepare()
    assert other.turned_on == made.turned_on
    theirs = other.guest("theirs", other.network(109), 2, published(9090))
    neighbour, host = made.lab.neighbour, made.lab.host
    assert neighbour.ask(Lab.HOST, 8080) == f"web {Lab.NEIGHBOUR}"
    assert neighbour.ask(Lab.HOST, 9090) == f"theirs {Lab.NEIGHBOUR}"
    assert reached((theirs.machine, web.ip, 80), (web.machine, theirs.ip, 80)) == []

    made.close()

    assert host.sysctl("net.ipv4.ip_forward") == "1"
    assert neighbour.ask(Lab.HOST, 9090) == f"theirs {Lab.NEIGHBOUR}"
    assert made.table not in host.run("nft", "list", "tables")
    other.close()
    assert host.sysctl("net.ipv4.ip_forward") == "0"
    assert host.run("nft", "list", "ruleset") == ""


def test_a_link_that_is_not_ours_is_left_alone(made: Kit) -> None:
    host = made.lab.host
    host.links("link add net101 type bridge\naddr add 192.0.2.1/24 dev net101\nlink set net101 up\n")
    before = host.run("ip", "addr", "show", "net101")
    net = Network(made, 101, internal=False)

    result = made.try_do("bridge", net.bridge)

    assert isinstance(result, Failure)
    assert (result.path, result.step) == ("net101", "bridge")
    assert "not ours" in result.message
    made.undo("bridge", net.bridge)
    assert host.run("ip", "addr", "show", "net101") == before


def test_an_address_or_bridge_that_is_missing_is_an_error_that_tells_what_to_do(
    made: Kit, web: Guest
) -> None:
    made.lab.host.run("ip", "link", "del", web.network.device)
    result = made.try_do("endpoint", web.endpoint)
    assert isinstance(result, Failure)
    assert result.message == "the network's bridge is gone [mydocker replay]"
    made.lab.host.run("nft", "flush", "ruleset")
    result = made.try_do("rules", web.rules)
    assert isinstance(result, Failure)
    assert result.message == "the firewall's tables are gone [mydocker replay]"


def test_all_links_of_a_root_are_found_by_their_mark(made: Kit, web: Guest) -> None:
    made.lab.host.links("link add strange type bridge\n")
    with made.lab.host.entered():
        found = {link["name"]: link for link in ours(made.host, f"{made.mark} ")}
        assert set(found) == {web.network.device, web.host_device}
        assert ours(made.host, "mydocker 12345678 ") == []
        remove(made.host, found[web.host_device])
        assert made.host.link(web.host_device) is None


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_a_port_that_a_process_of_the_host_has_is_refused_with_its_name(
    made: Kit, net: Network, protocol: str
) -> None:
    made.lab.serve(made.lab.host, f"{protocol}/8080", address="0.0.0.0")
    result = made.try_do("rules", _rules(made, net, published(8080, protocol=protocol, to="10.101.0.2")))
    assert isinstance(result, Failure)
    assert result.message.startswith(f"port 0.0.0.0:8080/{protocol} is taken by python")
    assert "(process " in result.message


def test_an_address_that_the_host_does_not_have_is_refused(made: Kit, net: Network) -> None:
    port = published(8080, address="192.0.2.77", to="10.101.0.2")
    result = made.try_do("rules", _rules(made, net, port))
    assert isinstance(result, Failure)
    assert result.message == "cannot publish 192.0.2.77:8080/tcp: this host has no such address"


def test_a_published_port_is_kept_from_processes_of_the_host(made: Kit, web: Guest) -> None:
    with made.lab.host.door(socket.AF_INET, socket.SOCK_STREAM) as door:
        door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with pytest.raises(OSError, match="in use"):
            _listen(door)
    made.undo("rules", web.rules)
    with made.lab.host.door(socket.AF_INET, socket.SOCK_STREAM) as door:
        _listen(door)
    made.do("rules", web.rules)


def test_changed_ports_replace_the_old_ones(made: Kit, web: Guest) -> None:
    made.change("rules", {**web.rules, "ports": [published(8081, to=web.ip), published(8082, 81, to=web.ip)]})
    neighbour = made.lab.neighbour
    assert not neighbour.reaches(Lab.HOST, 8080)
    assert neighbour.reaches(Lab.HOST, 8081)
    assert neighbour.reaches(Lab.HOST, 8082)
    made.change("rules", web.rules)
    assert neighbour.reaches(Lab.HOST, 8080)
    assert not neighbour.reaches(Lab.HOST, 8081)


def test_a_thousand_ports_are_one_transaction(made: Kit, net: Network) -> None:
    ports = [published(port, port, address=a) for port in range(20000, 21000) for a in ("0.0.0.0", "::")]
    guest = made.guest("many", net, 2, *ports)
    assert made.probe("rules", guest.rules) == {}
    made.lab.serve(guest.machine, "tcp/20999")
    assert made.lab.neighbour.ask(Lab.HOST, 20999) == f"many {Lab.NEIGHBOUR}"
    assert made.lab.neighbour.ask(Lab.HOST6, 20999) == f"many {Lab.NEIGHBOUR6}"
    made.undo("rules", guest.rules)
    assert "elements" not in made.lab.host.run("nft", "list", "map", "inet", made.table, "any4")


def test_an_element_that_leads_elsewhere_is_replaced(made: Kit, web: Guest) -> None:
    element = f"inet {made.table} any4 {{ tcp . 8080 : 10.9.9.9 . 1 }}"
    made.lab.host.run("nft", f"delete element inet {made.table} any4 {{ tcp . 8080 : {web.ip} . 80 }}")
    made.lab.host.run("nft", f"add element {element}")
    assert made.probe("rules", web.rules) is None
    made.mend()
    assert made.lab.neighbour.ask(Lab.HOST, 8080) == f"web {Lab.NEIGHBOUR}"


def _listen(door: socket.socket) -> None:
    door.bind(("0.0.0.0", 8080))
    door.listen()


def _rules(made: Kit, net: Network, port: dict[str, object]) -> dict[str, object]:
    return {**made.network_rules(net), "networks": [], "ports": [port]}


def test_the_bit_that_passes_foreign_chains_is_one_bit() -> None:
    assert nft_text.MARK.bit_count() == 1
