"""Ports: what people type, and who gets which."""

from __future__ import annotations

from typing import Any

import pytest

from eventstore import plainjson
from machine.errors import InvalidValue
from machine.network_errors import NoFreePort, PortBusy, PortTaken, TooManyPorts
from machine.ports import FIRST, LAST, MOST, Taken, check_asked, check_count, exposed, leases, published

INSIDE = {4: "10.0.0.2"}
BOTH = {4: "10.0.0.2", 6: "fd00::2"}


def row(address: str, host: int, port: int, protocol: str = "tcp", **more: Any) -> dict[str, Any]:
    return {"address": address, "host_port": host, "port": port, "protocol": protocol, **more}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("80:80", [row("", 80, 80)]),
        ("8080:80/udp", [row("", 8080, 80, "udp")]),
        ("80", [row("", 0, 80)]),
        ("127.0.0.1:8080:80", [row("127.0.0.1", 8080, 80)]),
        ("127.0.0.1::80", [row("127.0.0.1", 0, 80)]),
        ("[fd00::1]:8080:80/TCP", [row("fd00::1", 8080, 80)]),
        ("[::]:80:80", [row("::", 80, 80)]),
        ("8000-8001:80-81", [row("", 8000, 80), row("", 8001, 81)]),
        ("8000-8009:80", [row("", 8000, 80, host_last=8009)]),
        ("80-81", [row("", 0, 80), row("", 0, 81)]),
    ],
)
def test_a_port_is_asked_for_as_in_docker(text: str, expected: list[dict[str, Any]]) -> None:
    assert published(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":",
        "0",
        "0:80",
        "80:0",
        "70000:80",
        "80:65536",
        "x:80",
        "80:80/sctp",
        "80:",
        "::1:80:80",
        "a.b:80:80",
        "1.2.3.4.5:80:80",
        "80-79:80",
        "80-82:80-81",
        "-1:80",
        "80:80:80:80",
        "80:\u0661",
        "1.2.3.4:80",
        "[1.2.3]:1:1",
        "[::1]:80:80",
        "[0:0::1]:80:80",
    ],
)
def test_what_is_no_port_is_refused(text: str) -> None:
    with pytest.raises(InvalidValue):
        published(text)


def test_exposed_ports_are_of_the_container_alone() -> None:
    assert exposed("80-81/udp") == [{"port": 80, "protocol": "udp"}, {"port": 81, "protocol": "udp"}]
    with pytest.raises(InvalidValue):
        exposed("80:80")
    with pytest.raises(InvalidValue, match=r"expected PORT\[/PROTOCOL\]$"):
        exposed("web")


@pytest.mark.parametrize(
    ("texts", "refused"),
    [
        (["80:80", "80:81"], True),
        (["80:80", "127.0.0.1:80:81"], True),
        (["80:80", "[fd00::1]:80:81"], True),
        (["80:80", "80:80/udp"], False),
        (["127.0.0.1:80:80", "127.0.0.2:80:80", "[fd00::1]:80:80"], False),
        (["80", "80"], False),
    ],
)
def test_one_port_of_the_host_leads_to_one_place(texts: list[str], refused: bool) -> None:
    asked = [one for text in texts for one in published(text)]
    if refused:
        with pytest.raises(InvalidValue, match="asked for twice"):
            check_asked(asked)
    else:
        check_asked(asked)


def test_a_port_of_all_addresses_has_a_row_for_each_family_of_the_container() -> None:
    assert leases(published("80:8080"), BOTH, Taken(()), ()) == [
        row("0.0.0.0", 80, 8080, to="10.0.0.2"),
        row("::", 80, 8080, to="fd00::2"),
    ]


def test_a_port_that_a_container_has_is_refused_with_its_name() -> None:
    taken = Taken(())
    taken.add("tcp", "127.0.0.1", 80, "web")

    with pytest.raises(PortTaken, match=r"port 0\.0\.0\.0:80/tcp of the host is taken by container web"):
        leases(published("80:80"), INSIDE, taken, ())
    assert leases(published("127.0.0.2:80:80"), INSIDE, taken, ())
    assert leases(published("80:80/udp"), INSIDE, taken, ())


@pytest.mark.parametrize("listening", ["0.0.0.0", "127.0.0.1", "::"])
def test_a_port_that_a_process_of_the_host_has_is_refused(listening: str) -> None:
    with pytest.raises(PortBusy) as caught:
        leases(published("80:80"), INSIDE, Taken({("tcp", listening, 80)}), ())

    assert (caught.value.protocol, caught.value.address, caught.value.port) == ("tcp", "0.0.0.0", 80)


def test_any_port_is_the_one_before_where_free_else_the_next() -> None:
    last = [row("0.0.0.0", FIRST + 7, 80, to="10.0.0.9")]
    taken = Taken({("tcp", "0.0.0.0", FIRST)})

    assert leases(published("80"), INSIDE, taken, last)[0]["host_port"] == FIRST + 7
    assert [one["host_port"] for one in leases(published("80-81"), INSIDE, taken, last)] == [
        FIRST + 1,
        FIRST + 2,
    ]


def test_a_certain_port_is_not_given_away_to_one_that_wants_any() -> None:
    asked = [*published("80"), *published(f"{FIRST}:81")]

    assert [(one["port"], one["host_port"]) for one in leases(asked, INSIDE, Taken(()), ())] == [
        (81, FIRST),
        (80, FIRST + 1),
    ]


def test_a_range_gives_its_first_free_port_and_says_when_there_is_none() -> None:
    taken = Taken({("tcp", "0.0.0.0", 8000)})

    assert leases(published("8000-8001:80"), INSIDE, taken, ())[0]["host_port"] == 8001
    with pytest.raises(NoFreePort, match=r"all ports 8000-8001/tcp"):
        leases(published("8000-8001:80"), INSIDE, taken, ())
    assert LAST > FIRST


def test_more_ports_than_an_event_holds_are_refused_and_less_are_not() -> None:
    check_count(published(f"20000-{20000 + MOST - 1}:1000-{1000 + MOST - 1}"), "--publish")
    with pytest.raises(InvalidValue, match=f"{MOST + 1} ports.*can publish {MOST} at most"):
        check_count(published(f"20000-{20000 + MOST}:1000-{1000 + MOST}"), "--publish")
    wide = {4: "255.255.255.255", 6: "2001:db8:1111:2222:3333:4444:5555:6666"}
    all_of_them = published(f"20000-{20000 + MOST - 1}:10000-{10000 + MOST - 1}/udp")
    with pytest.raises(TooManyPorts, match=f"{2 * MOST} ports"):
        leases(all_of_them, wide, Taken(()), ())
    for inside in ({4: wide[4]}, {6: wide[6]}, wide):
        count = next(n for n in range(MOST, 0, -1) if _fits(all_of_them[:n], inside))
        rows = leases(all_of_them[:count], inside, Taken(()), ())
        assert 50_000 < len(plainjson.dumps(rows)) < 62_000, count


def _fits(asked: list[dict[str, Any]], inside: dict[int, str]) -> bool:
    try:
        return bool(leases(asked, inside, Taken(()), ()))
    except TooManyPorts:
        return False
