"""Points in time as people type them for --since and --until, and as programs read them."""

from __future__ import annotations

from machine.errors import InvalidValue
from machine.quantities import LARGEST, duration, fixed, is_digits, scaled

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import datetime, tzinfo

HOURS, MINUTES = 24, 60
_SECOND = 1_000_000_000
_EXPECTED = (
    "expected RFC 3339 (2006-01-02T15:04:05Z), a date, unix seconds, or a time ago such as 10m or 1h30m"
)


def timestamp(text: str, now: int, what: str = "time", zone: tzinfo | None = None) -> int:
    """Nanoseconds since the epoch. `now`, in the same, is what "10m" (ago) counts from.

    A bare number is unix seconds, with a fraction if wanted. A date or time without a zone is
    local time, or that of `zone`. The date may be followed by T or a space.
    """
    number = fixed(text)
    if number is not None:
        return _in_range(scaled(number, _SECOND), text, what)
    if text[4:5] == text[7:8] == "-":
        return _calendar(text, what, zone)
    try:
        return _in_range(now - duration(text, what), text, what)
    except InvalidValue:
        raise InvalidValue(what, text, _EXPECTED) from None


def rfc3339(moment: int) -> str:
    """Nanoseconds since the epoch as docker's documents have them, in UTC; 0, which stands for never, as year 1."""
    from datetime import UTC, datetime, timedelta

    if not moment:
        return "0001-01-01T00:00:00Z"
    seconds, rest = divmod(moment, _SECOND)
    day = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    return f"{day:%Y-%m-%dT%H:%M:%S}.{rest:09}Z"


def _in_range(moment: int, text: str, what: str) -> int:
    if not -LARGEST <= moment <= LARGEST:
        raise InvalidValue(what, text, "out of range")
    return moment


def _calendar(text: str, what: str, zone: tzinfo | None) -> int:
    from datetime import UTC, datetime

    clock, offset = _split_zone(text[10:])
    fields = _numbers(text[:10].split("-"), (4, 2, 2))
    hours, fraction = _clock(clock, mark=text[10:11])
    shift = _offset(offset)
    if fields is None or hours is None or shift is None:
        raise InvalidValue(what, text, _EXPECTED)
    try:
        day = datetime(fields[0], fields[1], fields[2], *hours, tzinfo=UTC if offset else zone)
        seconds = _seconds(day) - shift
    except (ValueError, OverflowError, OSError) as error:  # no such day, or outside the C library's years
        raise InvalidValue(what, text, str(error)) from None
    return _in_range(seconds * _SECOND + fraction, text, what)


def _split_zone(text: str) -> tuple[str, str]:
    """The clock and the zone of " 15:04:05+02:00"; either may be empty."""
    if text[-1:] in ("Z", "z"):
        return text[:-1], "Z"
    if text[-6:-5] in ("+", "-") and text[-6:]:
        return text[:-6], text[-6:]
    return text, ""


def _numbers(parts: list[str], widths: tuple[int, ...]) -> list[int] | None:
    """Digit groups of exactly these widths, as numbers."""
    if len(parts) != len(widths) or any(
        len(part) != width or not is_digits(part) for part, width in zip(parts, widths, strict=True)
    ):
        return None
    return [int(part) for part in parts]


def _clock(text: str, *, mark: str) -> tuple[tuple[int, int, int] | None, int]:
    """Hour, minute, second and the nanoseconds after; midnight where there is only a date."""
    if not text:
        return (0, 0, 0), 0
    body, dot, fraction = text[1:].partition(".")
    parts = body.split(":")
    numbers = _numbers(parts, (2,) * len(parts))
    with_seconds = len(parts) == len(("hh", "mm", "ss"))
    if numbers is None or mark not in ("T", "t", " ") or (dot and not (with_seconds and is_digits(fraction))):
        return None, 0
    match numbers:
        case [hour, minute, second]:
            return (hour, minute, second), int(fraction[:9].ljust(9, "0"))
        case [hour, minute]:
            return (hour, minute, 0), 0
        case _:
            return None, 0


def _offset(text: str) -> int | None:
    """Seconds east of Greenwich; 0 for Z and for no zone."""
    if text in ("", "Z"):
        return 0
    parts = _numbers(text[1:].split(":"), (2, 2))
    if parts is None or parts[0] >= HOURS or parts[1] >= MINUTES:
        return None
    seconds = (parts[0] * MINUTES + parts[1]) * 60
    return -seconds if text[0] == "-" else seconds


def _seconds(day: datetime) -> int:
    """Whole seconds since the epoch, exactly; a day without a zone is local."""
    from datetime import UTC, datetime, timedelta

    if day.tzinfo is None:
        return int(day.timestamp())
    return (day - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(seconds=1)
