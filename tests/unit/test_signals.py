"""Signals by name and number, checked against the C library's own table."""

from __future__ import annotations

import signal
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from machine.errors import InvalidValue
from machine.signals import signal_name, signal_number


@pytest.mark.parametrize("text", ["TERM", "SIGTERM", "sigterm", "term", "15"])
def test_a_signal_is_known_by_name_and_number(text: str) -> None:
    assert signal_number(text) == 15


@pytest.mark.parametrize(
    ("text", "number"), [("RTMIN", 34), ("SIGRTMIN+3", 37), ("RTMAX", 64), ("RTMAX-1", 63), ("64", 64)]
)
def test_real_time_signals_count_from_their_ends(text: str, number: int) -> None:
    assert signal_number(text) == number


@pytest.mark.parametrize(
    "text", ["", "0", "65", "-9", "FOO", "SIG", "RTMIN+31", "RTMAX-31", "RTMIN+", "SIGSIGTERM", "9 "]
)
def test_what_is_no_signal_is_refused(text: str) -> None:
    with pytest.raises(InvalidValue):
        signal_number(text)


@pytest.mark.parametrize("known", list(signal.Signals))
def test_our_table_is_the_c_librarys(known: signal.Signals) -> None:
    assert signal_number(known.name) == known.value


@given(st.integers(1, 64).filter(lambda number: number not in (32, 33)))
def test_every_signals_name_leads_back_to_it(number: int) -> None:
    assert signal_number(signal_name(number)) == number


@given(st.one_of(st.text(), st.text(alphabet="SIGRTMAXN+-0123456789")))
def test_no_text_raises_anything_but_invalid_value(text: str) -> None:
    with suppress(InvalidValue):
        signal_number(text)
