"""Points in time as people type them for --since and --until."""

from __future__ import annotations

from machine.errors import InvalidValue
from machine.quantities import LARGEST, duration, fixed, is_digits

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import datetime, tzinfo

_SECOND = 1_000_000_000
_EXPECTED = "expected RFC 3339 (2006-01-02T15:04:05Z), a date, unix seconds, or a time ago such as 10m"


def timestamp(text: str, now: int, what: str = "time", zone: tzinfo | None = None) -> int:
    """Nanoseconds since the epoch. `now`, in the same, is what "10m" (ago) counts from.

    A bare number is unix seconds, with a fraction if wanted. A date or time without a zone is
    local time, or that of `zone`. The date may be followed by T or a space.
    """
    number = fixed(text)
    if number is not None:
        return _in_range(number[0] * _SECOND // 10 ** number[1], text, what)
    if len(text) >= 10 and text[4] == text[7] == "-":
        return _calendar(text, what, zone)
    try:
        return _in_range(now - duration(text, what), text, what)
    except InvalidValue:
        raise InvalidValue(what, text, _EXPECTED) from None


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
    complete = numbers is not None and (len(parts) == 3 or (len(parts) == 2 and not dot))
    if mark not in ("T", "t", " ") or not complete or (dot and not is_digits(fraction)):
        return None, 0
    hour, minute, second, *_ = [*(numbers or ()), 0]
    return (hour, minute, second), int(fraction[:9].ljust(9, "0"))


def _offset(text: str) -> int | None:
    """Seconds east of Greenwich; 0 for Z and for no zone."""
    if text in ("", "Z"):
        return 0
    parts = _numbers(text[1:].split(":"), (2, 2))
    if parts is None or parts[0] > 23 or parts[1] > 59:
        return None
    seconds = parts[0] * 3600 + parts[1] * 60
    return -seconds if text[0] == "-" else seconds


def _seconds(day: datetime) -> int:
    """Whole seconds since the epoch, exactly; a day without a zone is local."""
    from datetime import UTC, datetime, timedelta

    if day.tzinfo is None:
        return int(day.timestamp())
    return (day - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(seconds=1)
