"""Points in time: every form docker takes for --since, exact to the nanosecond."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from machine.errors import InvalidValue
from machine.moments import rfc3339, timestamp

S = 1_000_000_000
NOW = 1_700_000_000 * S
PARIS = timezone(timedelta(hours=1))


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("1700000000", NOW),
        ("1700000000.123456789", NOW + 123_456_789),
        ("1700000000.5", NOW + S // 2),
        ("0", 0),
        ("2023-11-14T22:13:20Z", NOW),
        ("2023-11-14t22:13:20z", NOW),
        ("2023-11-14 22:13:20Z", NOW),
        ("2023-11-14T22:13:20.123456789Z", NOW + 123_456_789),
        ("2023-11-14T22:13:20.1234567899Z", NOW + 123_456_789),
        ("2023-11-15T00:13:20+02:00", NOW),
        ("2023-11-14T17:43:20-04:30", NOW),
        ("2023-11-14T23:13:20", NOW),
        ("2023-11-14T23:13", NOW - 20 * S),
        ("2023-11-14", NOW - 83_600 * S),
        ("2023-11-14Z", NOW - 80_000 * S),
        ("1969-12-31T23:59:59Z", -S),
        ("10m", NOW - 600 * S),
        ("1h30m", NOW - 5400 * S),
        ("90s", NOW - 90 * S),
    ],
)
def test_a_moment_is_a_date_unix_seconds_or_a_time_ago(text: str, moment: int) -> None:
    assert timestamp(text, NOW, zone=PARIS) == moment


@pytest.mark.parametrize(
    "text",
    ["", "yesterday", "2023-13-01", "2023-02-30", "2023-11-14T25:00:00Z", "2023-11-14T22:13:60Z", "2023-11-14T22",
     "2023-11-14T22:13:20+24:00", "2023-11-14T22:13:20+0100", "2023-11-14_22:13", "2023-1-4", "-5", "-10m", "0000-01-01",
     "2023-11-14T22:13.5Z", "2023-11-14T", "99999999999999999999", "9999-12-31", "2023-11-14T22:13:20.Z", "+1:00"],
)  # fmt: skip
def test_what_is_no_moment_is_refused(text: str) -> None:
    with pytest.raises(InvalidValue, match="--since"):
        timestamp(text, NOW, "--since")


def test_a_time_without_a_zone_is_local() -> None:
    local = datetime(2023, 11, 14, 22, 13, 20).astimezone()

    assert timestamp("2023-11-14T22:13:20", NOW) == int(local.timestamp()) * S


@given(st.one_of(st.text(), st.text(alphabet="0123456789-:.TZ +hms", max_size=40)))
def test_no_text_raises_anything_but_invalid_value(text: str) -> None:
    with suppress(InvalidValue):
        timestamp(text, NOW)


@given(
    st.datetimes(datetime(1700, 1, 1), datetime(2200, 1, 1)),  # noqa: DTZ001 - the zone is drawn beside
    st.integers(-23 * 60, 23 * 60),
    st.integers(0, S - 1),
)
def test_every_moment_comes_back(day: datetime, minutes: int, fraction: int) -> None:
    zone = timezone(timedelta(minutes=minutes))
    exact = day.replace(microsecond=0, tzinfo=zone)
    text = (
        exact.isoformat().replace("+", f".{fraction:09}+") if minutes >= 0 else f"{exact:%Y-%m-%dT%H:%M:%S}"
    )
    if minutes < 0:
        text += f".{fraction:09}-{-minutes // 60:02}:{-minutes % 60:02}"

    seconds = (exact - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(seconds=1)
    assert timestamp(text, NOW) == seconds * S + fraction


@given(st.integers(min_value=1, max_value=2**63 - 1))
def test_what_is_written_is_read_again_to_the_nanosecond(moment: int) -> None:
    assert timestamp(rfc3339(moment), NOW) == moment


def test_never_is_docker_s_year_one() -> None:
    assert rfc3339(0) == "0001-01-01T00:00:00Z"
    assert rfc3339(NOW + 5) == "2023-11-14T22:13:20.000000005Z"
