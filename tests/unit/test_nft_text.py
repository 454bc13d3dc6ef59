"""The firewall as text: whole, harmless to say again, and taken by the kernel as it was meant."""

from __future__ import annotations

import re
import subprocess

import pytest

from effects import nft_text
from effects.rtnetlink import GROUP

TABLE = "mydocker-0badcafe"
CLOSED = {"ipv4": [], "ipv6": ["net/ipv6/conf/eth0/accept_ra"]}


def nft(*scripts: str) -> str:
    """The ruleset after these, each loaded by itself, in a namespace of its own; numbers instead of names."""
    command = "".join(f'printf "%s" "${number}" | nft -f - && ' for number in range(1, len(scripts) + 1))
    done = subprocess.run(
        ["unshare", "--net", "sh", "-c", f"{command} nft -nn list ruleset", "sh", *scripts],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def _chains(ruleset: str) -> set[tuple[str, str]]:
    """(name, rules) of each chain, whatever their order."""
    return set(re.findall(r"^\tchain (\S+) \{\n(.*?)^\t\}", ruleset, re.MULTILINE | re.DOTALL))


def test_what_varies_is_the_name_and_what_was_turned_on() -> None:
    plain, other = (
        nft_text.firewall(TABLE, {}, marked=True),
        nft_text.firewall("mydocker-12345678", {}, marked=True),
    )
    assert other == plain.replace(TABLE, "mydocker-12345678")
    closed = nft_text.firewall(TABLE, CLOSED, marked=True).splitlines()
    added = [line.strip() for line in closed if line not in plain.splitlines()]
    assert added == ['continue comment "net/ipv6/conf/eth0/accept_ra"']
    assert len(closed) == len(plain.splitlines()) + 3  # and two `drop`


def test_what_nobody_looks_at_is_not_marked_where_packets_are_many() -> None:
    marked, plain = (nft_text.firewall(TABLE, {}, marked=yes).splitlines() for yes in (True, False))
    marked.remove("\t\tcontinue")
    different = [pair for pair in zip(marked, plain, strict=True) if pair[0] != pair[1]]
    assert len(different) == 3
    mark = f"meta mark set meta mark or {nft_text.MARK:#010x} "
    assert all(one.replace(mark, "") == other for one, other in different)


def test_only_tables_of_ours_are_named() -> None:
    text = nft_text.firewall(TABLE, CLOSED, marked=True)
    named = set(re.findall(r"^(?:table|flush chain) (\S+ \S+)", text, re.MULTILINE))
    assert named == {f"inet {TABLE}", f"bridge {TABLE}"}


def test_no_rule_is_for_one_port_address_or_container() -> None:
    rules = [
        line for line in nft_text.firewall(TABLE, CLOSED, marked=True).splitlines() if line.startswith("\t\t")
    ]
    assert not [rule for rule in rules if " dnat ip" in rule and "map @" not in rule]


def test_every_chain_is_counted() -> None:
    expected = nft_text.expected(TABLE, CLOSED, marked=True)
    text = nft_text.firewall(TABLE, CLOSED, marked=True)
    chains = {name for _family, _table, counts in expected for name in counts}
    assert chains == set(re.findall(r"chain (\S+) \{", text))
    assert [(family, table) for family, table, _counts in expected] == [("inet", TABLE), ("bridge", TABLE)]


def test_the_rule_in_a_chain_of_others_names_its_owner_and_one_bit() -> None:
    assert nft_text.foreign("ip", "filter", "FORWARD", TABLE) == (
        "insert rule ip filter FORWARD meta mark and 0x02000000 == 0x02000000 accept "
        'comment "mydocker-0badcafe"\n'
    )


@pytest.mark.parametrize(
    ("family", "table", "name", "drops", "needs"),
    [
        ("ip", "filter", "FORWARD", False, True),
        ("ip6", "filter", "INPUT", False, True),
        ("inet", "filter", "forward", True, True),
        ("inet", "filter", "forward", False, False),
        ("ip", "mine", "any-thing", True, True),
        ("inet", "firewalld", "filter_FORWARD", False, True),
        ("inet", "firewalld", "filter_OUTPUT", False, False),
        ("inet", "a; flush ruleset", "forward", True, False),
        ("inet", "filter", "0", True, False),
        ("inet", "filter", "", True, False),
    ],
)
def test_a_chain_of_others_needs_it_if_it_may_drop(
    family: str, table: str, name: str, *, drops: bool, needs: bool
) -> None:
    chain = {"table": table, "name": name, "hook": "forward", "drops": drops, "owned": False}
    assert nft_text.may_drop(family, chain) is needs  # type: ignore[arg-type]  # plain dict


@pytest.mark.root
def test_nft_takes_it_and_the_second_time_changes_nothing() -> None:
    text = nft_text.firewall(TABLE, CLOSED, marked=True)
    once = nft(text)
    assert once == nft(text, text)
    assert f"iifgroup != {GROUP}" in once


@pytest.mark.root
def test_saying_it_again_leaves_the_elements_and_takes_strange_rules_away() -> None:
    text = nft_text.firewall(TABLE, {}, marked=True)
    strange = f'add element inet {TABLE} bridges {{ "br7" }}\nadd rule inet {TABLE} forward accept\n'
    again = nft(text, strange, text)
    assert again.replace('\t\telements = { "br7" }\n', "") == nft(text)
    assert '"br7"' in again


@pytest.mark.root
def test_closing_says_what_the_firewall_says_of_it() -> None:
    closing, whole = (
        nft_text.closing(TABLE, {"ipv4": []}),
        nft_text.firewall(TABLE, {"ipv4": []}, marked=True),
    )
    assert nft(closing, closing) == nft(closing)
    assert _chains(nft(closing, whole)) == _chains(nft(whole))
    assert {name for name, _rules in _chains(nft(closing)) - _chains(nft(whole))} == {"alone"}


@pytest.mark.root
def test_a_family_that_is_closed_later_leaves_the_other_and_the_firewall() -> None:
    first: dict[str, list[str]] = {"ipv4": []}
    second = {"ipv6": CLOSED["ipv6"]}
    both = nft(nft_text.closing(TABLE, first), nft_text.closing(TABLE, second))
    assert both == nft(nft_text.closing(TABLE, CLOSED))
    later = nft(nft_text.firewall(TABLE, first, marked=True), nft_text.closing(TABLE, second))
    whole = nft(nft_text.firewall(TABLE, CLOSED, marked=True))
    assert {name for name, _rules in _chains(later) - _chains(whole)} == {"alone"}
    assert not _chains(whole) - _chains(later)
