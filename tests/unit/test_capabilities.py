"""Capabilities: the kernel's names and order, and docker's rules for --cap-add and --cap-drop."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from machine.capabilities import CAPABILITIES, capability, kept
from machine.errors import InvalidValue
from machine.settings import DEFAULT_CAPS


def mask(names: list[str]) -> int:
    return sum(1 << CAPABILITIES.index(name) for name in names)


@pytest.mark.parametrize("text", ["NET_ADMIN", "CAP_NET_ADMIN", "cap_net_admin", "net_admin"])
def test_a_capability_is_known_with_and_without_its_prefix(text: str) -> None:
    assert capability(text) == "NET_ADMIN"


@pytest.mark.parametrize("text", ["", "CAP_", "CAP_CAP_KILL", "NET-ADMIN", "root"])
def test_what_is_no_capability_is_refused(text: str) -> None:
    with pytest.raises(InvalidValue):
        capability(text)


def test_our_numbers_are_the_kernels() -> None:
    """Three fixed points of linux/capability.h, and docker's well-known mask."""
    numbers = {name: number for number, name in enumerate(CAPABILITIES)}

    assert (numbers["CHOWN"], numbers["SYS_ADMIN"], numbers["CHECKPOINT_RESTORE"]) == (0, 21, 40)
    assert mask(kept([], [])) == 0xA80425FB


@pytest.mark.parametrize(
    ("add", "drop", "expected"),
    [
        (["NET_ADMIN"], [], {*DEFAULT_CAPS, "NET_ADMIN"}),
        ([], ["CHOWN", "KILL"], set(DEFAULT_CAPS) - {"CHOWN", "KILL"}),
        (["KILL"], ["ALL"], {"KILL"}),
        (["ALL"], [], set(CAPABILITIES)),
        (["ALL"], ["SYS_ADMIN"], set(CAPABILITIES) - {"SYS_ADMIN"}),
        ([], ["ALL"], set()),
        (["KILL"], ["KILL"], set(DEFAULT_CAPS)),
        (["ALL"], ["ALL"], set(CAPABILITIES)),
    ],
)
def test_what_is_kept_follows_docker(add: list[str], drop: list[str], expected: set[str]) -> None:
    assert set(kept(add, drop)) == expected


def test_privileged_keeps_all() -> None:
    assert kept([], ["ALL"], privileged=True) == list(CAPABILITIES)


@given(st.text())
def test_no_text_raises_anything_but_invalid_value(text: str) -> None:
    with suppress(InvalidValue):
        capability(text)
