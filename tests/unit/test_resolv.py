"""A container's resolv.conf: what is asked for, and else what the host has."""

from __future__ import annotations

import pytest

from effects import resolv

HOST = "# by hand\nnameserver 192.0.2.1\nnameserver 192.0.2.2\nsearch old.example\nsearch a.example b.example\noptions ndots:2\n"


def wanted(
    nameservers: tuple[str, ...] = (), search: tuple[str, ...] = (), options: tuple[str, ...] = ()
) -> dict[str, list[str]]:
    return {"nameservers": list(nameservers), "search": list(search), "options": list(options)}


@pytest.mark.parametrize(
    ("asked", "lines"),
    [
        (None, HOST.splitlines()),
        (
            wanted(),
            [
                "nameserver 192.0.2.1",
                "nameserver 192.0.2.2",
                "search a.example b.example",
                "options ndots:2",
            ],
        ),
        (
            wanted(("10.0.0.1",)),
            ["nameserver 10.0.0.1", "search a.example b.example", "options ndots:2"],
        ),
        (
            wanted(("10.0.0.1", "fd00::1"), ("x.example",), ("ndots:1", "rotate")),
            ["nameserver 10.0.0.1", "nameserver fd00::1", "search x.example", "options ndots:1 rotate"],
        ),
        (wanted(("10.0.0.1",), (".",)), ["nameserver 10.0.0.1", "options ndots:2"]),
    ],
)
def test_it_says(asked: dict[str, list[str]] | None, lines: list[str]) -> None:
    assert resolv.render(asked, HOST) == "".join(f"{line}\n" for line in lines)


def test_a_host_without_any_gives_nothing() -> None:
    assert resolv.render(None, "") == ""
    assert resolv.render(wanted(), "") == ""


def test_a_domain_is_a_search_list_of_one() -> None:
    assert resolv.render(wanted(), "domain only.example\n") == "search only.example\n"


@pytest.mark.parametrize(
    ("text", "was", "now", "then"),
    [
        ("a\nb\nc\n", "b\n", "x\ny\n", "a\nx\ny\nc\n"),
        ("mine\na\nyours", "a\nb\n", "a\nb\nc\n", "mine\na\nc\nyours\n"),  # b was taken out by somebody
        ("a\nb\n", "a\nb\n", "b\n", "b\n"),
        ("a\nb\n", "b\n", "b\na\n", "b\na\n"),  # a is ours now
        ("mine\n", "a\n", "b\n", "mine\nb\n"),
        ("", "", "a\n", "a\n"),
        ("a\n", "a\n", "", ""),
        ("a\n\n# a\n", "a\n", "b\n", "b\n\n# a\n"),
    ],
)
def test_lines_of_ours_are_exchanged_and_others_stay(text: str, was: str, now: str, then: str) -> None:
    assert resolv.altered(text, was, now) == then
    assert resolv.altered(then, was, now) == then
