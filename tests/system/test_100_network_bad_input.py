"""Bad input about networks: one clear line, and nothing is consumed: no event, link, rule, address or port."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest

from tests.networks import SUBNET, Net

pytestmark = [pytest.mark.root, pytest.mark.timeout(300)]

CREATE = [
    ((*SUBNET, "x", "n1"), "x"),
    ((*SUBNET, "192.168.70.0", "n1"), "192.168.70.0"),
    ((*SUBNET, "192.168.70.0/33", "n1"), "33"),
    ((*SUBNET, "192.168.256.0/24", "n1"), "256"),
    ((*SUBNET, "192.168.70.7/24", "n1"), "192.168.70.0/24"),  # host bits: the hint
    ((*SUBNET, "192.168.70.0/31", "n1"), "31"),
    ((*SUBNET, "192.168.70.1/32", "n1"), "32"),
    ((*SUBNET, "192.168.1.128/25", "n1"), "taken"),  # inside another's
    ((*SUBNET, "192.168.0.0/16", "n1"), "taken"),  # around another's
    ((*SUBNET, "10.77.0.0/24", "n1"), "10.77.0.0/24"),  # the host's own
    ((*SUBNET, "127.0.0.0/24", "n1"), "127.0.0.0"),
    ((*SUBNET, "224.0.0.0/24", "n1"), "224.0.0.0"),
    ((*SUBNET, "192.168.70.0/24", "--gateway", "192.168.71.1", "n1"), "192.168.71.1"),
    ((*SUBNET, "192.168.70.0/24", "--gateway", "192.168.70.0", "n1"), "192.168.70.0"),
    ((*SUBNET, "192.168.70.0/24", "--gateway", "192.168.70.255", "n1"), "192.168.70.255"),
    ((*SUBNET, "192.168.70.0/24", "--gateway", "y", "n1"), "y"),
    ((*SUBNET, "192.168.70.0/24", "a-name-that-is-x"), "a-name-that-is-x"),
    ((*SUBNET, "192.168.70.0/24", "a/b"), "a/b"),
    ((*SUBNET, "192.168.70.0/24", "a b"), "a b"),
    ((*SUBNET, "192.168.70.0/24", "-x"), "-x"),
    ((*SUBNET, "192.168.70.0/24", ""), ""),
    ((*SUBNET, "192.168.70.0/24"), "NAME"),
    ((*SUBNET, "192.168.70.0/24", "taken"), "taken"),
    ((*SUBNET, "192.168.70.0/24", "docker0"), "docker0"),  # a link that is not ours
    (("network", "create", "--driver", "foo", "--subnet", "192.168.70.0/24", "n1"), "foo"),
    (("network", "rm", "nosuch"), "nosuch"),
    (("network", "inspect", "nosuch"), "nosuch"),
    (("network", "ls", "--filter", "dangling=perhaps"), "dangling=perhaps"),
    (("inspect", "taken"), "there is a network"),
    (("network", "connect", "nosuch", "web"), "nosuch"),
    (("network", "connect", "taken", "nosuch"), "nosuch"),
    (("network", "connect", "taken", "web"), "web"),
    (("network", "disconnect", "other", "web"), "web"),
]
RUN = [
    (("-net", "nosuch"), "nosuch"),
    (("-net", "taken", "-p", "0:80"), "0"),
    (("-net", "taken", "-p", "8080:0"), "0"),
    (("-net", "taken", "-p", "70000:80"), "70000"),
    (("-net", "taken", "-p", "8080:70000"), "70000"),
    (("-net", "taken", "-p", "x"), "x"),
    (("-net", "taken", "-p", "8080:80/icmp"), "icmp"),
    (("-net", "taken", "-p", "8080-8081:80-83"), "8080-8081"),
    (("-net", "taken", "-p", "1.2.3:8080:80"), "1.2.3"),
    (("-net", "taken", "-p", "8081:80", "-p", "8081:81"), "8081"),
    (("-net", "taken", "-p", "9000:80"), "web"),
    (("-net", "taken", "-p", "127.0.0.1:9000:80"), "web"),
    (("-net", "taken", "-p", "9100:80"), "python"),
    (("-net", "none", "-p", "8080:80"), "-p"),
    (("-net", "host", "-p", "8080:80"), "-p"),
    (("-net", "container:web", "-p", "8080:80"), "-p"),
    (("-net", "container:nosuch"), "nosuch"),
    (("-net", "taken", "--ip", "192.168.71.5"), "192.168.71.5"),
    (("-net", "taken", "--ip", "192.168.1.0"), "192.168.1.0"),
    (("-net", "taken", "--ip", "192.168.1.1"), "192.168.1.1"),
    (("-net", "taken", "--ip", "192.168.1.255"), "192.168.1.255"),
    (("-net", "taken", "--ip", "192.168.1.2"), "web"),
    (("-net", "taken", "--ip", "x"), "x"),
    (("-net", "taken", "--ip6", "fd00::5"), "fd00::5"),
    (("-net", "none", "--ip", "192.168.1.5"), "--ip"),
    (("-net", "none", "--network-alias", "x"), "alias"),
    (("-net", "taken", "--mac-address", "x"), "x"),
    (("-net", "taken", "--mac-address", "01:00:5e:00:00:01"), "01:00:5e:00:00:01"),
    (("-net", "taken", "--dns", "x"), "x"),
    (("-net", "taken", "--add-host", "x"), "x"),
    (("-net", "taken", "--add-host", "x:y"), "y"),
    (("-net", "taken", "--network-alias", "a b"), "a b"),
]


@pytest.fixture
def busy(net: Net) -> Iterator[Net]:
    """Two networks, a container with the first address and port 9000 of one, a stranger's link and port 9100."""
    net.network("taken", "192.168.1.0/24")
    net.network("other", "192.168.2.0/24")
    net.guest("web", "-net", "taken", "-p", "9000:80")
    net.lab.host.links("link add docker0 type bridge\n")
    net.lab.serve(net.lab.host, "tcp/9100")
    yield net
    net.lab.host.links("link del docker0\n")


def refused(net: Net, words: tuple[str, ...], hint: str) -> None:
    """It fails in one line with that word; what the kernel has is as before."""
    before = net.now()
    line = net.fails(*words)

    assert hint in line, line
    assert net.now() == before, words


def _shown(net: Net) -> str:
    return net.ok("ps", "-a") + net.ok("network", "ls") + net.ok("port", "web")


def test_100_network_bad_networks_are_refused(busy: Net) -> None:
    shown = _shown(busy)
    for words, hint in CREATE:
        refused(busy, words, hint)
    _unharmed(busy, shown)


def test_100_network_bad_containers_are_refused(busy: Net) -> None:
    shown = _shown(busy)
    for words, hint in RUN:
        refused(busy, ("run", "-d", *words, "busybox", "top"), hint)
    _unharmed(busy, shown)


def _unharmed(net: Net, shown: str) -> None:
    """A user sees what there was before, and the next address and the port are to be had."""
    assert _shown(net) == shown
    assert net.guest("next", "-net", "taken", "-p", "8080:80").ip == "192.168.1.3"


def test_100_network_a_stopped_container_of_a_removed_network_says_so(net: Net) -> None:
    net.network("n1", "192.168.70.0/24")
    net.ok("create", "--name", "late", "-net", "n1", "busybox", "top")
    net.ok("network", "rm", "n1")

    assert "n1" in net.fails("start", "late")
    net.ok("rm", "late")


def test_100_network_whose_bridge_cannot_be_made_is_not_there(net: Net) -> None:
    enter = net.lab.host.prefix_all(net.root)
    for name in ("nft", "dnsmasq"):
        subprocess.run([*enter, "mount", "--bind", "/dev/null", f"/usr/sbin/{name}"], check=True)
        line = net.fails(*SUBNET, "192.168.70.0/24", "n1")
        subprocess.run([*enter, "umount", f"/usr/sbin/{name}"], check=True)
        assert f"{name} is not installed" in line
        assert "apt-get install" in line

    assert "n1" not in net.ok("network", "ls")
    assert net.links() == []
