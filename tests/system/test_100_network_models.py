"""The four models: none, host, another container's network, a bridge; and which of them go together with what."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.networks import Guest, Net

pytestmark = [pytest.mark.root, pytest.mark.timeout(300)]

BESIDE_WEB = ("run", "--rm", "-net", "container:web", "busybox", "sh", "-c")
DEVICES = "ls /sys/class/net | tr '\\n' ' '"


def test_100_network_none_has_its_loopback_up_and_nothing_else(net: Net) -> None:
    out = net.ok(
        "run", "--rm", "-net", "none", "busybox", "sh", "-c", f"{DEVICES}; ip -o addr; ping -c1 127.0.0.1"
    )

    assert out.startswith("lo ")
    assert "inet 127.0.0.1/8" in out
    assert " 0% packet loss" in out
    assert net.now() == net.before


def test_100_network_host_has_the_hosts_links_and_sockets(net: Net) -> None:
    guest = net.guest("t100host", "-net", "host")
    net.lab.serve(guest, "tcp/8081")

    assert net.lab.HOST in guest.sh("ip -o addr")
    assert net.lab.neighbour.ask(net.lab.HOST, 8081) == f"t100host {net.lab.NEIGHBOUR}"
    assert net.links() == []


def test_100_network_host_has_the_hosts_name_and_names(net: Net) -> None:
    theirs = Path("/etc/hosts").read_text(encoding="utf-8")
    given = net.guest("given", "-net", "host", "--add-host", "db:10.9.9.9", "--hostname", "other")

    assert net.ok("run", "--rm", "-net", "host", "busybox", "cat", "/etc/hosts") == theirs
    assert net.ok("run", "--rm", "-net", "host", "busybox", "hostname") == f"{os.uname().nodename}\n"
    assert given.sh("hostname; cat /etc/hosts") == f"other\n{theirs}10.9.9.9\tdb\n"


def test_100_network_container_shares_addresses_and_ports(net: Net) -> None:
    net.network("n1", "192.168.20.0/24")
    web = net.serving("web", "-net", "n1")
    out = net.ok(*BESIDE_WEB, "ip -o addr; nc 127.0.0.1 80 </dev/null")

    assert f"inet {web.ip}/24" in out
    assert "web 127.0.0.1" in out


def test_100_network_container_has_its_targets_names(net: Net) -> None:
    net.network("n1", "192.168.20.0/24")
    web = net.guest("web", "-net", "n1")
    out = net.ok(*BESIDE_WEB, "cat /etc/hosts /etc/resolv.conf; hostname")

    assert f"{web.ip}\t" in out
    assert "nameserver 192.168.20.1" in out


def test_100_network_container_of_one_that_shares_a_network_is_its_owners(net: Net) -> None:
    net.network("n1", "192.168.20.0/24")
    web = net.guest("web", "-net", "n1", "--hostname", "box")
    net.guest("beside", "-net", "container:web")
    behind = net.guest("behind", "-net", "container:beside")
    out = behind.sh("cat /etc/hosts /etc/resolv.conf /etc/hostname; hostname")

    assert f"{web.ip}\tbox\n" in out
    assert "nameserver 192.168.20.1\nbox\nbox\n" in out
    net.ok("rm", "-f", "beside")
    assert "behind is in its network" in net.fails("rm", "-f", "web")


def test_100_network_container_stays_until_its_users_are_gone(net: Net) -> None:
    net.network("n1", "192.168.20.0/24")
    web = net.guest("web", "-net", "n1")
    net.guest("user", "-net", "container:web")
    line = net.fails("rm", "-f", "web")

    assert "user" in line
    assert Guest(net, "user").pid != web.pid
    net.ok("rm", "-f", "user")
    net.ok("rm", "-f", "web")


def test_100_network_container_that_does_not_run_is_refused(net: Net) -> None:
    net.ok("create", "--name", "web", "-net", "none", "busybox", "top")
    for target in ("web", "nosuch"):
        assert target in net.fails("run", "-net", f"container:{target}", "busybox", "true")
    assert net.ok("ps", "-aq").split() == [net.inspect("web")["Id"][:12]]


def test_100_network_bridge_is_joined_where_nobody_says_otherwise(net: Net) -> None:
    net.lab.serve(net.lab.internet, "tcp/80")
    guest = net.guest("t100def")

    assert list(guest.networks) == ["bridge"]
    assert guest.ip == "172.17.0.2"
    assert guest.sh(DEVICES).split() == ["eth0", "lo"]
    assert guest.ask(net.lab.INTERNET, 80) == f"internet {net.lab.HOST}"
    assert "bridge" in [row.split()[0] for row in net.ok("network", "ls").splitlines()]


def test_100_network_bridge_goes_when_no_container_needs_it_and_comes_again(net: Net) -> None:
    net.guest("t100gone")
    assert "t100gone [stop or disconnect" in net.fails("network", "rm", "bridge")
    net.ok("stop", "-t", "0", "t100gone")
    assert "t100gone [remove or disconnect" in net.fails("network", "rm", "bridge")
    net.ok("rm", "t100gone")
    net.ok("network", "rm", "bridge")
    assert net.now() == net.before
    assert net.guest("t100again").ip == "172.17.0.2"


def test_100_network_bridge_by_default_takes_the_next_pool_where_the_first_is_used(net: Net) -> None:
    net.lab.host.links("link add dummy0 type bridge\naddr add 172.17.5.1/16 dev dummy0\nlink set dummy0 up\n")
    assert net.guest("t100pool").ip == "172.18.0.2"
    net.clear()
    net.lab.host.links("link del dummy0\n")


@pytest.mark.parametrize("model", ["none", "host", "container:web"])
def test_100_network_ports_need_a_network_of_ours(net: Net, model: str) -> None:
    net.guest("web", "-net", "none")
    line = net.fails("run", "-d", "-net", model, "-p", "8080:80", "busybox", "top")

    assert "-p" in line or "publish" in line
    assert net.ok("ps", "-a", "--format", "{{.Names}}").split() == ["web"]


@pytest.mark.parametrize("word", ["none", "host", "container", "bridge", "default", "all"])
def test_100_network_words_of_the_four_models_are_no_names(net: Net, word: str) -> None:
    assert word in net.fails("network", "create", "--subnet", "192.168.20.0/24", word)
    assert net.links() == []


def test_100_network_is_told_by_inspect_as_docker_does(net: Net) -> None:
    net.network("n1", "192.168.20.0/24", "--label", "who=me")
    guest = net.guest("t100i", "-net", "n1", "-p", "127.0.0.1:8080:80")
    at = guest.networks["n1"]
    (shown,) = json.loads(net.ok("network", "inspect", "n1"))

    assert (at["Gateway"], at["IPPrefixLen"], at["NetworkID"]) == ("192.168.20.1", 24, shown["Id"])
    assert at["MacAddress"] in guest.sh("cat /sys/class/net/eth0/address")
    assert guest.inspected["NetworkSettings"]["Ports"] == {
        "80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8080"}]
    }
    assert shown["Name"] == "n1"
    assert shown["Labels"] == {"who": "me"}
    assert shown["IPAM"]["Config"] == [{"Subnet": "192.168.20.0/24", "Gateway": "192.168.20.1"}]
    assert shown["Containers"][guest.inspected["Id"]]["IPv4Address"] == f"{guest.ip}/24"


def test_100_network_prune_takes_what_nobody_uses(net: Net) -> None:
    net.network("n1", "192.168.20.0/24")
    net.network("n2", "192.168.21.0/24")
    net.guest("t100p", "-net", "n2")
    net.ok("network", "prune", "-f")

    assert [row.split()[0] for row in net.ok("network", "ls").splitlines()[1:]] == ["n2"]
    assert net.links()[-1] == "n2"


def test_100_network_of_a_container_that_started_anew_is_told_as_gone(net: Net) -> None:
    net.network("n1", "192.168.70.0/24")
    net.guest("web", "-net", "n1")
    net.guest("beside", "-net", "container:web")
    assert "But" not in net.ok("why", "beside")
    net.ok("restart", "-t", "0", "web")

    gone = "But the network that it joined went with the run of web that had it: `mydocker restart beside` joins the present one."
    assert gone in net.ok("why", "beside")
    net.ok("restart", "-t", "0", "beside")
    assert "But" not in net.ok("why", "beside")


@pytest.mark.parametrize("command", [("rm", "-f", "web", "beside", "behind"), ("system", "prune", "-f")])
def test_100_network_those_who_share_it_are_removed_before_its_owner(
    net: Net, command: tuple[str, ...]
) -> None:
    net.network("n1", "192.168.70.0/24")
    net.guest("web", "-net", "n1")
    net.guest("beside", "-net", "container:web")
    net.guest("behind", "-net", "container:beside")
    if command[0] == "system":
        net.ok("stop", "-t", "0", "web", "beside", "behind")
    net.ok(*command)

    assert net.ok("ps", "-aq") == ""
