"""The options of run about networks: what they make, and what cannot go together."""

from __future__ import annotations

from typing import Any

import pytest

from cli.network_options import NETWORK, NetworkOptions
from machine import parse_network
from machine.errors import InvalidValue


def said(line: str) -> NetworkOptions:
    """The options of a line of OPTION=VALUE words."""
    typed: dict[str, list[str]] = {}
    for word in line.split():
        name, _, text = word.partition("=")
        typed.setdefault(name, []).append(text)
    known = {option.canonical: option for option in NETWORK}
    assert set(typed) <= set(known)
    return NetworkOptions(
        {option.name: option.value_of(typed.get(name, [])) for name, option in known.items()}
    )


@pytest.mark.parametrize(
    ("line", "model"),
    [
        ("", "bridge"),
        ("--network=none", "none"),
        ("--network=host", "host"),
        ("--network=default", "bridge"),
        ("--network=testbridge01", "testbridge01"),
        ("--network=container:web", "container:web"),
    ],
)
def test_the_model_is_one_of_four(line: str, model: str) -> None:
    assert said(line).model == model


@pytest.mark.parametrize("option", ["--publish=1000-2000:1000-2000", "--expose=1-65535/udp"])
def test_more_ports_than_a_container_can_have_are_refused(option: str) -> None:
    with pytest.raises(InvalidValue, match=r"ports'.*600 at most"):
        said(option)


def test_several_networks_are_joined_in_their_order_and_each_once() -> None:
    assert said("--network=shop --network=bridge --network=shop").networks == ["shop", "bridge"]
    assert said("").networks == ["bridge"]


@pytest.mark.parametrize("alone", ["none", "host", "container:web"])
def test_no_other_network_goes_with_what_is_on_none_of_ours(alone: str) -> None:
    for line in (f"--network={alone} --network=shop", f"--network=shop --network={alone}"):
        with pytest.raises(InvalidValue, match=f"'{alone}': no other network"):
            said(line)


def test_what_was_said_becomes_settings_and_nothing_else_does() -> None:
    asked = said(
        "--publish=80:8080 --publish=53/udp --expose=81 --publish-all=true --dns=9.9.9.9 --dns-search=x.y"
        " --dns-option=ndots:2 --add-host=db:10.0.0.9 --add-host=up:host-gateway --add-host=my_db=fd00::9 --ip=10.0.0.2 --network-alias=a"
    )

    assert asked.settings() == {
        "ports": [
            {"address": "", "host_port": 80, "port": 8080, "protocol": "tcp"},
            {"address": "", "host_port": 0, "port": 53, "protocol": "udp"},
        ],
        "exposed": [{"port": 81, "protocol": "tcp"}],
        "publish_all": True,
        "dns": ["9.9.9.9"],
        "dns_search": ["x.y"],
        "dns_options": ["ndots:2"],
        "hosts": ["db:10.0.0.9", "up:host-gateway", "my_db:fd00::9"],
    }
    assert (asked.address, asked.aliases) == ({"ip": "10.0.0.2", "ip6": "", "mac": ""}, ["a"])
    assert said("").settings() == {}


@pytest.mark.parametrize("model", ["none", "host", "container:web"])
@pytest.mark.parametrize(
    "option",
    [
        "--publish=80:80",
        "--publish-all=true",
        "--ip=10.0.0.2",
        "--ip6=fd00::2",
        "--mac-address=02:00:00:00:00:01",
        "--network-alias=db",
    ],
)
def test_without_a_network_of_ours_nothing_of_it_can_be_asked_for(model: str, option: str) -> None:
    with pytest.raises(InvalidValue, match=f"cannot go with --network {model}"):
        said(f"--network={model} {option}")


@pytest.mark.parametrize(
    "option", ["--dns=9.9.9.9", "--add-host=a:1.2.3.4", "--dns-search=x", "--dns-option=ndots:1"]
)
def test_in_anothers_network_its_names_are_the_others(option: str) -> None:
    with pytest.raises(InvalidValue, match="cannot go with"):
        said(f"--network=container:web {option}")
    assert said(f"--network=none {option}").settings()


@pytest.mark.parametrize(
    ("parser", "text"),
    [
        ("ip", "fd00::1"),
        ("ip", "10.0.0"),
        ("ip6", "10.0.0.1"),
        ("mac", "02:42"),
        ("mac", "01:00:00:00:00:01"),
        ("mac", "00:00:00:00:00:00"),
        ("mac", "0x:00:00:00:00:00"),
        ("any_address", "nowhere"),
        ("host", "db"),
        ("host", "db:"),
        ("host", "-:1.2.3.4"),
        ("host", "db:nowhere"),
        ("search", "a b"),
        ("option", ""),
        ("option", "a b"),
        ("model", ""),
        ("model", "a/b"),
        ("model", "container:"),
        ("model", "../x"),
    ],
)
def test_what_means_nothing_is_refused(parser: str, text: str) -> None:
    with pytest.raises(InvalidValue):
        getattr(parse_network, parser)(text)


@pytest.mark.parametrize(
    ("subnets", "gateways", "found"),
    [
        (["10.0.0.0/24"], [], [("10.0.0.0/24", None)]),
        (["10.0.0.0/24"], ["10.0.0.254"], [("10.0.0.0/24", 254)]),
        (["fd00::/64", "10.0.0.0/24"], ["10.0.0.3"], [("fd00::/64", None), ("10.0.0.0/24", 3)]),
    ],
)
def test_a_gateway_belongs_to_the_subnet_that_it_lies_in(
    subnets: list[str], gateways: list[str], found: Any
) -> None:
    pools = parse_network.pools(subnets, gateways)

    assert [(str(pool), None if number is None else number - pool.base) for pool, number in pools] == found


@pytest.mark.parametrize(
    ("subnets", "gateways"),
    [
        (["10.0.0.0/24"], ["10.0.1.1"]),
        (["10.0.0.0/24"], ["10.0.0.0"]),
        (["10.0.0.0/24"], ["10.0.0.255"]),
        (["10.0.0.0/24"], ["10.0.0.2", "10.0.0.3"]),
        ([], ["10.0.0.1"]),
        (["10.0.0.0/24", "10.0.1.0/24"], []),
    ],
)
def test_a_gateway_without_a_subnet_and_two_subnets_of_a_family_are_refused(
    subnets: list[str], gateways: list[str]
) -> None:
    with pytest.raises(InvalidValue):
        parse_network.pools(subnets, gateways)
