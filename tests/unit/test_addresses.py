"""Addresses and subnets as numbers: against the standard library's, and the rules for pools."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from machine.addresses import POOLS, V4, V6, Subnet, first_free_pool, number_of, parse, subnet, text_of
from machine.errors import InvalidValue

texts = (
    st.text("0123456789abcdef:./%", max_size=24)
    | st.ip_addresses(v=6).map(str)
    | st.ip_addresses(v=4).map(str)
)


@given(st.ip_addresses())
def test_every_address_is_written_and_read_as_the_library_does(address: ipaddress.IPv4Address) -> None:
    assert number_of(str(address)) == (address.version, int(address))
    assert number_of(address.exploded) == (address.version, int(address))
    assert text_of(address.version, int(address)) == str(address)


@given(texts)
def test_what_the_library_refuses_is_refused_and_nothing_else(text: str) -> None:
    try:
        expected = ipaddress.ip_address(text) if "%" not in text else None
    except ValueError:
        expected = None

    assert number_of(text) == (None if expected is None else (expected.version, int(expected)))


@pytest.mark.parametrize(
    "text", ["::ffff:1.2.3.4", "1::", "::", "::1", "1:2:3:4:5:6:7:8", "64:ff9b::192.0.2.33"]
)
def test_the_short_forms_of_ipv6_are_read(text: str) -> None:
    assert number_of(text) == (V6, int(ipaddress.ip_address(text)))


@pytest.mark.parametrize(
    "text", ["01.2.3.4", "1.2.3.256", "1:2:3:4:5:6:7::8:9", "1::2::3", ":1", "12345::", "1.2.3", ""]
)
def test_what_only_looks_like_an_address_is_none(text: str) -> None:
    assert number_of(text) is None


@given(st.ip_addresses(), st.integers(0, 128))
def test_a_subnet_is_as_the_library_has_it(address: ipaddress.IPv4Address, length: int) -> None:
    length %= address.max_prefixlen + 1
    found = parse(f"{address}/{length}")
    expected = ipaddress.ip_network(f"{address}/{length}", strict=False)

    assert found is not None
    assert str(found[0]) == str(expected)
    assert found[0].last == int(expected[-1])


# --- pools -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("192.168.10.0", "expected a subnet"),
        ("192.168.10.0/33", "expected a subnet"),
        ("192.168.10.0/", "expected a subnet"),
        ("nonsense/24", "expected a subnet"),
        ("192.168.10.7/24", r"host bits \[did you mean 192.168.10.0/24"),
        ("192.168.10.0/31", "too small"),
        ("192.168.10.0/32", "too small"),
        ("fd00::/127", "too small"),
        ("127.0.0.0/16", "no host may"),
        ("0.0.0.0/0", "no host may"),
        ("224.0.0.0/24", "no host may"),
        ("0.0.0.0/8", "no host may"),
        ("ff00::/64", "no host may"),
        ("fe80::/64", "no host may"),
        ("::/64", "no host may"),
    ],
)
def test_a_pool_that_cannot_be_one_is_refused(text: str, why: str) -> None:
    with pytest.raises(InvalidValue, match=why):
        subnet(text)


@pytest.mark.parametrize(
    ("text", "pool"), [("192.168.10.1/24", "192.168.10.0/24"), ("fd00::/64", "fd00::/64")]
)
def test_a_pools_first_address_may_stand_for_it(text: str, pool: str) -> None:
    assert str(subnet(text)) == pool


@pytest.mark.parametrize(
    "text", ["10.0.0.0/30", "10.0.0.8/29", "172.17.0.0/16", "10.0.0.128/25", "fd00::/126"]
)
def test_a_pool_hands_out_every_address_of_a_host_once_and_no_other(text: str) -> None:
    found = parse(text)
    assert found is not None
    pool = found[0]
    given_out: set[int] = set()
    for _ in range(1 << 17):
        number = pool.free(given_out) if len(given_out) < 600 else None
        if number is None:
            break
        given_out.add(number)
    expected = [int(host) for host in list(ipaddress.ip_network(text).hosts())[:600]]

    assert sorted(given_out) == expected
    assert all(map(pool.is_host, given_out))


def test_a_pool_of_64k_goes_on_past_255_and_ends_before_its_broadcast_address() -> None:
    found = parse("172.17.0.0/16")
    assert found is not None
    pool = found[0]
    all_but_one = set(range(pool.base, pool.last + 1)) - {pool.base + 511}

    assert text_of(V4, pool.free(all_but_one) or 0) == "172.17.1.255"
    assert pool.free(all_but_one | {pool.base + 511}) is None


def test_the_default_pools_are_dockers_and_the_first_that_is_free_is_taken() -> None:
    busy = [found[0] for text in ("172.16.0.0/12", "192.168.0.0/20") if (found := parse(text))]

    assert len(POOLS) == 15 + 16
    assert str(first_free_pool([])) == "172.17.0.0/16"
    assert str(first_free_pool(busy)) == "192.168.16.0/20"
    assert first_free_pool([Subnet(V4, 0, 0)]) is None
