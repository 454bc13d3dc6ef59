"""The series' articles 25 to 32, typed as they print it; where the original did worse, what it should have done."""

from __future__ import annotations

import re

import pytest

from tests.networks import SUBNET, Net, network_left

pytestmark = [pytest.mark.root, pytest.mark.timeout(300)]

PROMPT = "/ # "


def create(net: Net, subnet: str = "192.168.10.1/24", name: str = "testbridge01") -> None:
    """As the article has it: `network create --driver bridge --subnet 192.168.10.1/24 testbridge01`."""
    net.ok("network", "create", "--driver", "bridge", "--subnet", subnet, name)


def test_100_network_create_makes_a_bridge_with_the_gateways_address(net: Net) -> None:
    create(net)

    shown = net.lab.host.run("ip", "addr", "show", "testbridge01")
    assert "inet 192.168.10.1/24" in shown
    assert "UP" in shown.split(">")[0]
    assert net.rules().count("masquerade") >= 1


def test_100_network_created_twice_is_refused_and_changes_nothing(net: Net) -> None:
    create(net)
    rules, links = net.rules(), net.links()
    line = net.fails(*SUBNET, "192.168.11.0/24", "testbridge01")

    assert "testbridge01" in line
    assert "exists" in line or "already" in line
    assert (net.rules(), net.links()) == (rules, links)


def test_100_network_list_is_printed_as_in_the_series(net: Net) -> None:
    create(net)

    lines = [line.split() for line in net.ok("network", "list").splitlines()]
    assert lines[0] == ["NAME", "IpRange", "Driver"]
    assert ["testbridge01", "192.168.10.1/24", "bridge"] in lines
    assert net.ok("network", "ls") == net.ok("network", "list")


def test_100_network_list_of_nothing_is_a_header(net: Net) -> None:
    assert net.ok("network", "list").split() == ["NAME", "IpRange", "Driver"]


def test_100_network_remove_takes_the_bridge_and_its_rules(net: Net) -> None:
    create(net)
    net.ok("network", "remove", "testbridge01")

    assert net.links() == []
    assert "192.168.10" not in net.rules()
    assert "testbridge01" not in net.ok("network", "list")
    create(net)  # the name and the pool are free again


def test_100_network_remove_of_an_unknown_one_says_so(net: Net) -> None:
    assert "nosuch" in net.fails("network", "remove", "nosuch")


def test_100_network_remove_while_a_container_is_in_it_is_refused(net: Net) -> None:
    create(net)
    net.guest("t100a", "-net", "testbridge01")
    line = net.fails("network", "remove", "testbridge01")

    assert "t100a" in line
    assert "testbridge01" in net.links()
    net.ok("rm", "-f", "t100a")
    net.ok("network", "remove", "testbridge01")


def test_100_network_remove_after_its_bridge_was_deleted_by_hand(net: Net) -> None:
    create(net)
    net.lab.host.run("ip", "link", "del", "testbridge01")
    net.ok("network", "remove", "testbridge01")

    assert network_left(net.before, net.now()) == []


def test_100_network_run_at_a_terminal_as_printed(net: Net) -> None:
    create(net)
    net.lab.serve(net.lab.internet, "tcp/80")
    shell = net.terminal("run", "-it", "-net", "testbridge01", "busybox", "/bin/sh")

    def typed(line: str) -> str:
        shell.expect_exact(PROMPT)
        shell.sendline(line)
        shell.expect_exact(line)
        shell.expect_exact("\n")
        shell.sendline(f"echo end{len(line)}")
        shell.expect(f"\nend{len(line)}|^end{len(line)}")
        return str(shell.before)

    shown = typed("ifconfig")
    assert "inet addr:192.168.10.2" in shown
    assert re.search(r"lo .*Loopback", shown)
    assert re.search(r"0\.0\.0\.0 +192\.168\.10\.1 +0\.0\.0\.0 +UG", typed("route -n"))
    for address in ("192.168.10.2", "127.0.0.1", "192.168.10.1", net.lab.HOST, net.lab.NEIGHBOUR):
        assert " 0% packet loss" in typed(f"ping -c1 -W2 {address}"), address
    assert "internet" in typed(f"nc -w 5 {net.lab.INTERNET} 80 </dev/null")
    shell.sendline("exit")
    shell.expect_exact("exit")
    shell.read()
    shell.wait()
    assert net.links() == ["testbridge01"]


def test_100_network_is_there_before_the_first_instruction(net: Net) -> None:
    create(net)
    out = net.ok(
        *("run", "--rm", "-net", "testbridge01", "busybox", "sh", "-c"),
        "ip -o addr; ip route; cat /etc/resolv.conf; ping -c1 -W2 192.168.10.1",
    )

    assert "inet 192.168.10.2/24" in out
    assert "inet 127.0.0.1/8" in out
    assert "default via 192.168.10.1 dev eth0" in out
    assert "nameserver 192.168.10.1" in out
    assert " 0% packet loss" in out


def test_100_network_two_containers_and_the_host_ping_each_other(net: Net) -> None:
    create(net)
    one, two = net.guest("t100b", "-net", "testbridge01"), net.guest("t100c", "-net", "testbridge01")

    assert (one.ip, two.ip) == ("192.168.10.2", "192.168.10.3")
    assert " 0% packet loss" in one.sh(f"ping -c1 -W2 {two.ip}")
    assert " 0% packet loss" in two.sh(f"ping -c1 -W2 {one.ip}")
    assert net.lab.host.pings(one.ip)


def test_100_network_port_80_is_reached_from_another_machine(net: Net) -> None:
    create(net)
    net.serving("t100d", "-p", "80:80", "-net", "testbridge01")

    assert net.lab.neighbour.ask(net.lab.HOST, 80) == f"t100d {net.lab.NEIGHBOUR}"
    assert net.lab.host.ask(net.lab.HOST, 80).startswith("t100d ")
    assert net.lab.host.ask("127.0.0.1", 80).startswith("t100d ")


def test_100_network_a_shell_that_serves_with_nc_is_reached_as_printed(net: Net) -> None:
    create(net)
    loop = "while :; do echo hi | nc -lp 80; done"
    net.guest("t100e", "-net", "testbridge01", "-p", "8080:80", argv=("/bin/sh", "-c", loop))
    inside = "until netstat -lnt | grep -q :80; do :; done"

    for place, address in (
        (net.lab.neighbour, net.lab.HOST),
        (net.lab.host, net.lab.HOST),
        (net.lab.host, "127.0.0.1"),
    ):
        net.ok("exec", "t100e", "sh", "-c", inside)
        assert place.run("busybox", "nc", "-w", "5", address, "8080") == "hi\n", (place.name, address)


def test_100_network_a_port_is_published_once(net: Net) -> None:
    create(net)
    net.serving("t100f", "-net", "testbridge01", "-p", "8080:80")
    line = net.fails(
        "run", "-d", "--name", "t100g", "-net", "testbridge01", "-p", "8080:80", "busybox", "top"
    )

    assert "8080" in line
    assert "t100f" in line
    assert net.lab.neighbour.ask(net.lab.HOST, 8080).startswith("t100f ")


def test_100_network_an_address_is_used_again_and_no_rule_or_link_is_left(net: Net) -> None:
    create(net)
    empty = net.now()
    net.guest("t100h", "-net", "testbridge01", "-p", "80:80")
    assert net.now() != empty
    net.ok("stop", "-t", "0", "t100h")
    assert net.now() == empty
    net.ok("rm", "t100h")

    assert net.guest("t100i", "-net", "testbridge01").ip == "192.168.10.2"
