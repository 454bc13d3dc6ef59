"""Networks after what happens to a machine: a flushed firewall, deleted links, killed processes, a boot."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable
from typing import Any

import pytest

from tests.networks import Guest, Net, network_left
from tests.waiting import until

pytestmark = [pytest.mark.root, pytest.mark.timeout(300)]


def web(net: Net, *more: str) -> Guest:
    """A container `web` with a published port on the network `n1`."""
    net.network("n1", "192.168.60.0/24", "--ipv6", "--subnet", "fd00:60::/64")
    return net.serving("web", "-net", "n1", "-p", "8080:80", *more)


def works(net: Net) -> None:
    """Everything that was promised to `web`: its port, the world, its name."""
    guest = Guest(net, "web")
    for address in (net.lab.HOST, net.lab.HOST6):
        assert net.lab.neighbour.ask(address, 8080).startswith("web "), address
    assert net.lab.host.ask("127.0.0.1", 8080).startswith("web ")
    assert guest.ask(net.lab.INTERNET, 80) == f"internet {net.lab.HOST}"
    assert guest.ask(net.lab.INTERNET6, 80) == f"internet {net.lab.HOST6}"
    assert guest.ip in guest.sh("nslookup web")
    neighbours = ("route", "replace", "192.168.60.0/24", "via", net.lab.HOST)
    net.lab.neighbour.run("ip", *neighbours)
    assert not net.lab.neighbour.reaches(guest.ip, 80)


def flushed(net: Net) -> None:
    net.lab.host.run("nft", "flush", "ruleset")


def firewall_restarted(net: Net) -> None:
    """As `systemctl restart nftables` does, with a table of the host's owner."""
    theirs = (
        "add table inet filter\nadd chain inet filter forward { type filter hook forward priority 0 ; }\n"
    )
    net.lab.host.run("nft", "-f", "-", stdin=f"flush ruleset\n{theirs}")


def bridge_deleted(net: Net) -> None:
    net.lab.host.run("ip", "link", "del", "n1")


def end_deleted(net: Net) -> None:
    (end,) = [name for name in net.links() if name.startswith("md")]
    net.lab.host.run("ip", "link", "del", end)


def end_taken_off(net: Net) -> None:
    (end,) = [name for name in net.links() if name.startswith("md")]
    net.lab.host.run("ip", "link", "set", end, "nomaster")


def name_server_killed(net: Net) -> None:
    rows = net.lab.host.run("ss", "-Hlunp", "sport", "=", ":53")
    for pid in set(map(int, re.findall(r"pid=(\d+)", rows))):
        os.kill(pid, signal.SIGKILL)


def run_directory_lost(net: Net) -> None:
    for path in net.run_dir.glob("*/dns/*/*"):
        path.unlink()


def forwarding_off(net: Net) -> None:
    net.lab.host.set_sysctl("net.ipv4.ip_forward", "0")


DISASTERS = [
    flushed,
    firewall_restarted,
    bridge_deleted,
    end_deleted,
    end_taken_off,
    name_server_killed,
    run_directory_lost,
    forwarding_off,
]


@pytest.mark.parametrize("disaster", DISASTERS, ids=lambda one: one.__name__)
def test_100_network_replay_puts_it_right(net: Net, disaster: object) -> None:
    net.lab.serve(net.lab.internet, "tcp/80")
    guest = web(net)
    works(net)
    disaster(net)  # type: ignore[operator]
    net.ok("replay")

    works(net)
    assert Guest(net, "web").pid == guest.pid  # the container never noticed
    net.lab.host.run("nft", "delete", "table", "inet", "filter", check=False)


@pytest.mark.parametrize(
    "disaster", [flushed, bridge_deleted, name_server_killed], ids=lambda one: one.__name__
)
def test_100_network_the_next_start_puts_it_right(net: Net, disaster: object) -> None:
    net.lab.serve(net.lab.internet, "tcp/80")
    web(net)
    disaster(net)  # type: ignore[operator]
    other = net.guest("other", "-net", "n1")

    assert other.ask(net.lab.INTERNET, 80) == f"internet {net.lab.HOST}"
    assert "192.168.60.3" in other.sh("nslookup other")
    assert net.lab.neighbour.ask(net.lab.HOST, 8080).startswith("web ")


def test_100_network_the_next_start_mends_all_networks_after_the_firewall(net: Net) -> None:
    net.lab.serve(net.lab.internet, "tcp/80")
    web(net)
    net.network("n2", "192.168.61.0/24")
    flushed(net)
    net.guest("other", "-net", "n2")

    works(net)


def test_100_network_what_replay_would_make_again_is_foretold(net: Net) -> None:
    web(net)
    flushed(net)
    bridge_deleted(net)
    before, count = net.ok("replay", "--dry-run").splitlines(), len(net.events())

    assert "host: would make the firewall's table again: gone from the kernel" in before
    assert "network n1: would make its bridge again: gone from the kernel" in before
    assert "web: would make its place on a network again: gone from the kernel" in before
    lacks = "the firewall's table, the bridge of network n1, the firewall rules of network n1, "
    lacks += "its place on a network, its firewall rules"
    assert f"But the kernel no longer has {lacks}: `mydocker replay` puts that right." in net.ok("why", "web")
    assert len(net.events()) == count
    net.ok("replay")
    assert "nothing to do" in net.ok("replay", "--dry-run")
    assert "But" not in net.ok("why", "web")


def test_100_network_what_was_lost_and_is_mended_was_asked_for_by_nobody(net: Net) -> None:
    guest = web(net)
    net.network("n2", "192.168.61.0/24")
    net.ok("network", "connect", "n2", "web")
    net.ok("network", "disconnect", "n2", "web")
    flushed(net)
    net.ok("replay")
    rows = [event for event in net.events() if event["s"] == f"container/{guest.inspected['Id']}"]
    (lost,) = [place for place, event in enumerate(rows) if event["t"] == "effect.lost"]

    assert [event["t"] for event in rows[lost:]] == ["effect.lost", "effect.do", "effect.done"]
    assert {(event["why"], event["by"]["cmd"]) for event in rows[lost:]} == {("replay", "monitor")}


def test_100_network_replay_of_what_is_whole_changes_nothing(net: Net) -> None:
    web(net)
    before, events = net.now(), len(net.events())
    net.ok("replay")

    assert net.now() == before
    assert [event["t"] for event in net.events()[events:]] == []


def test_100_network_a_boot_takes_all_and_gives_the_addresses_back(net: Net) -> None:
    first = web(net)
    net.guest("other", "-net", "n1", "-p", "80")
    port = net.ok("port", "other")
    net.reboot()
    assert net.ok("ps", "--format", "{{.State}}").split() == ["exited", "exited"]
    net.ok("start", "web")
    net.ok("start", "other")
    net.lab.serve(net.lab.internet, "tcp/80")
    net.lab.serve(Guest(net, "web"), "tcp/80")

    works(net)
    assert Guest(net, "web").ip == first.ip
    assert net.ok("port", "other") == port


def test_100_network_a_boot_brings_back_those_whose_policy_says_so(net: Net) -> None:
    web(net, "--restart", "always")
    net.reboot()
    net.ok("replay")
    net.lab.serve(net.lab.internet, "tcp/80")
    net.lab.serve(Guest(net, "web"), "tcp/80")

    works(net)


def test_100_network_after_a_boot_it_can_be_removed_and_made_again(net: Net) -> None:
    web(net)
    net.reboot()
    net.ok("rm", "-f", "web")
    net.ok("network", "rm", "n1")
    assert network_left(net.before, net.now()) == []
    net.network("n1", "192.168.60.0/24")


def test_100_network_a_container_that_dies_by_itself_leaves_nothing(net: Net) -> None:
    net.network("n1", "192.168.60.0/24")
    empty = net.now()
    net.guest("brief", "-net", "n1", "-p", "8080:80", argv=("true",))
    net.ok("wait", "brief")
    net.ok("replay")

    assert net.now() == empty


def test_100_network_a_killed_monitor_takes_no_network_with_it(net: Net) -> None:
    net.lab.serve(net.lab.internet, "tcp/80")
    guest = web(net)
    os.kill(int(guest.inspected["State"]["MonitorPid"]), signal.SIGKILL)
    works(net)
    net.ok("replay")
    works(net)

    assert Guest(net, "web").pid == guest.pid
    net.ok("rm", "-f", "web")
    assert net.links() == ["n1"]


def test_100_network_a_restart_of_its_own_keeps_addresses_and_ports(net: Net) -> None:
    net.network("n1", "192.168.60.0/24")
    guest = net.guest("web", "-net", "n1", "-p", "80", "--restart", "always")
    port = net.ok("port", "web")
    os.kill(guest.pid, signal.SIGKILL)
    _until(net, _runs_again)

    assert Guest(net, "web").ip == guest.ip
    assert net.ok("port", "web") == port


def test_100_network_a_link_that_nobody_knows_is_removed_by_replay(net: Net) -> None:
    net.network("n1", "192.168.60.0/24")
    net.lab.host.links(
        "link add md00000000-0000 type veth peer name x\n"
        f'link set md00000000-0000 alias "mydocker {net.root_id} container {"0" * 64}"\n'
        "link add stranger type bridge\n"
    )
    net.ok("replay")

    assert net.links() == ["n1", "stranger"]
    net.lab.host.links("link del stranger\n")


def _until(net: Net, holds: Callable[[list[dict[str, Any]]], bool]) -> list[dict[str, Any]]:
    """The events of `web` since its last exit, once they are so."""

    def since() -> list[dict[str, Any]]:
        events = [event for event in net.events() if event["s"].startswith("container/")]
        ends = [n for n, event in enumerate(events) if event["t"] == "container.exited"]
        return events[ends[-1] :] if ends else []

    return until(
        lambda: events if holds(events := since()) else [],
        lambda: str([(event["t"], event.get("message")) for event in since()]),
        beside=net.seen / "journal",
        seconds=60,
    )


def _runs_again(events: list[dict[str, Any]]) -> bool:
    """Its program was run; what is done may be the end of the last one, too."""
    return [event["t"] for event in events if event.get("kind") == "release"][-2:] == [
        "effect.do",
        "effect.done",
    ]


@pytest.mark.parametrize(
    "disaster", [bridge_deleted, flushed, name_server_killed, run_directory_lost, forwarding_off]
)
def test_100_network_a_restart_by_policy_mends_its_network_first(
    net: Net, disaster: Callable[[Net], None]
) -> None:
    net.lab.serve(net.lab.internet, "tcp/80")
    before = web(net, "--restart", "always")
    disaster(net)
    os.kill(before.pid, signal.SIGKILL)
    events = _until(net, _runs_again)

    assert "effect.failed" not in [event["t"] for event in events]
    assert Guest(net, "web").pid != before.pid
    net.lab.serve(Guest(net, "web"), "tcp/80")
    works(net)


def test_100_network_a_restart_by_policy_is_tried_until_its_network_can_be_made(net: Net) -> None:
    """Somebody has put a device of his own in the bridge's place."""
    net.lab.serve(net.lab.internet, "tcp/80")
    before = web(net, "--restart", "always")
    bridge_deleted(net)
    net.lab.host.links("link add n1 type veth peer name n1b\n")
    os.kill(before.pid, signal.SIGKILL)
    events = _until(net, lambda events: [event["t"] for event in events].count("effect.failed") >= 3)
    assert {event["kind"] for event in events if event["t"] == "effect.failed"} == {"endpoint"}
    assert net.inspect("web")["State"]["Status"] in ("restarting", "running")
    assert "not ours" in net.ok("events", "--since", "10m")
    net.lab.host.run("ip", "link", "del", "n1")
    _until(net, _runs_again)
    net.lab.serve(Guest(net, "web"), "tcp/80")
    works(net)
    net.ok("stop", "-t", "0", "web")
    assert net.inspect("web")["State"]["Status"] in ("stopped", "exited")
