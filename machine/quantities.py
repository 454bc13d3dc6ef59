"""Amounts as people type them: bytes, cpus, cpu lists, durations. Whole numbers only, never floats.

Every function takes the text and, for the message, what it was given for; the one error is InvalidValue.
"""

from __future__ import annotations

from machine.errors import InvalidValue

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

LARGEST = 2**63 - 1  # what the kernel's signed counters take
MIN_MEMORY = 512 << 10  # docker asks for 6 MiB; the series runs a shell in 5M
CPU_PERIOD = 100_000  # us, the kernel's own default
MIN_CPU_QUOTA = 1_000  # us, below which the scheduler refuses (Documentation/scheduler/sched-bwc)
MAX_PIDS = 4 << 20  # PID_MAX_LIMIT: a larger pids.max is EINVAL
MAX_CPU = 8191  # NR_CPUS at its largest
MAX_DIGITS = 19  # of 2**63; int itself refuses beyond 4300

_POWERS = {"k": 10, "m": 20, "g": 30, "t": 40, "p": 50}
_BINARY = {"": 0, "b": 0} | {
    unit + tail: power for unit, power in _POWERS.items() for tail in ("", "b", "ib")
}
_SECOND = 1_000_000_000
_UNITS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "μs": 1_000,  # the Greek letter; the one above is the micro sign
    "ms": 1_000_000,
    "s": _SECOND,
    "m": 60 * _SECOND,
    "h": 3600 * _SECOND,
    "d": 24 * 3600 * _SECOND,
}


def fixed(text: str) -> tuple[int, int] | None:
    """A decimal number as (digits, places): "1.50" is (150, 2). None where it is no such number."""
    whole, dot, fraction = text.partition(".")
    digits = whole + fraction
    if not is_digits(digits) or len(digits) > MAX_DIGITS or (dot and not fraction):
        return None
    return int(digits), len(fraction)


def scaled(number: tuple[int, int], factor: int) -> int:
    """That decimal number times `factor`, the rest cut off."""
    digits, places = number
    return digits * factor // int(10**places)


def is_digits(text: str) -> bool:
    """ASCII digits and at least one: str.isdigit alone takes superscripts, which int refuses."""
    return text.isascii() and text.isdigit()


def size(text: str, what: str = "size") -> int:
    """Bytes, above 0: a number and b, k, m, g, t or p in powers of 1024 (`kb` and `KiB` alike)."""
    why = "expected a number of bytes, or one with k, m, g (such as 512k, 100m, 1.5g)"
    unit = text.lstrip("0123456789.")
    number, power = (
        fixed(text[: len(text) - len(unit)]),
        _BINARY.get(unit.lower() if unit.isascii() else unit),
    )
    if number is None or power is None:
        raise InvalidValue(what, text, why)
    amount = scaled(number, 1 << power)
    if not 0 < amount <= LARGEST:
        raise InvalidValue(what, text, "out of range" if amount else "must be more than 0")
    return amount


def memory(text: str, what: str = "memory limit") -> int:
    """Bytes of a memory limit, 512 KiB or more: less cannot hold a process's first pages."""
    amount = size(text, what)
    if amount < MIN_MEMORY:
        raise InvalidValue(what, text, "must be at least 512k")
    return amount


def memory_swap(text: str, what: str = "memory and swap limit") -> int:
    """Bytes of memory and swap together; -1 is no limit."""
    return -1 if text == "-1" else memory(text, what)


def cpus(text: str, what: str = "number of cpus") -> tuple[int, int]:
    """(quota, period) in us of so many cpus: "1.5" is (150000, 100000)."""
    return _quota(text, what, hundredths=1)


def cpu_percent(text: str, what: str = "cpu percentage") -> tuple[int, int]:
    """(quota, period) in us of a percentage of one cpu: "50" and "50%" are (50000, 100000)."""
    return _quota(text.removesuffix("%"), what, hundredths=100)


def _quota(text: str, what: str, *, hundredths: int) -> tuple[int, int]:
    number = fixed(text)
    if number is None:
        raise InvalidValue(what, text, "expected a number such as 1.5")
    quota = scaled(number, CPU_PERIOD) // hundredths
    if not MIN_CPU_QUOTA <= quota <= CPU_PERIOD * (MAX_CPU + 1):
        raise InvalidValue(what, text, "out of range (at least 0.01 of a cpu)")
    return quota, CPU_PERIOD


def whole(text: str, what: str, *, least: int, most: int) -> int:
    """A whole number within bounds, both included; a minus is understood."""
    digits = text.removeprefix("-")
    if is_digits(digits) and len(digits) <= MAX_DIGITS and least <= int(text) <= most:
        return int(text)
    raise InvalidValue(what, text, f"expected a whole number from {least} to {most}")


def cpu_shares(text: str, what: str = "cpu shares") -> int:
    """A weight of 2 to 262144, the kernel's bounds for cpu.shares."""
    return whole(text, what, least=2, most=262144)


def pids(text: str, what: str = "process limit") -> int:
    """How many processes and threads; -1 (or docker's 0) is no limit."""
    return whole(text, what, least=-1, most=MAX_PIDS) or -1


def cpuset(text: str, what: str = "cpu list") -> str:
    """A list of cpus or memory nodes in the kernel's own form: "4,0-1,1-2" is "0-2,4"."""
    numbers: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.partition("-")
        ends = [first, last] if dash else [first, first]
        if not all(is_digits(end) and len(end) <= len(str(MAX_CPU)) for end in ends):
            raise InvalidValue(what, text, "expected numbers and ranges such as 0-2,4")
        if not int(ends[0]) <= int(ends[1]) <= MAX_CPU:
            raise InvalidValue(what, text, f"{part!r} runs backwards or beyond {MAX_CPU}")
        numbers.update(range(int(ends[0]), int(ends[1]) + 1))
    return _as_ranges(sorted(numbers))


def _as_ranges(numbers: list[int]) -> str:
    ranges: list[list[int]] = []
    for number in numbers:
        if ranges and ranges[-1][1] == number - 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in ranges)


def duration(text: str, what: str = "duration") -> int:
    """Nanoseconds, 0 or more: a bare number is seconds; else Go's form, such as 1m30s, 1.5h, 250ms."""
    if is_digits(text) and len(text) <= MAX_DIGITS:
        return _bounded(int(text) * _SECOND, text, what)
    total, rest = 0, text
    while rest:
        number, unit, rest = _term(rest)
        amount = fixed(number)
        if amount is None or unit not in _UNITS:
            break
        total += scaled(amount, _UNITS[unit])
    else:
        if text:
            return _bounded(total, text, what)
    raise InvalidValue(what, text, "expected seconds, or a time such as 10s, 1m30s, 1h")


def _term(text: str) -> tuple[str, str, str]:
    """The first number, its unit, and what follows."""
    after = text.lstrip("0123456789.")
    rest = after.lstrip("nuµμmshd")
    return text[: len(text) - len(after)], after[: len(after) - len(rest)], rest


def _bounded(amount: int, text: str, what: str) -> int:
    if amount > LARGEST:
        raise InvalidValue(what, text, "out of range")
    return amount


def grace(text: str, what: str = "stop timeout") -> int:
    """Nanoseconds to wait for an orderly end before SIGKILL; -1 waits for ever."""
    return -1 if text == "-1" else duration(text, what)


def check_limits(limits: dict[str, Any]) -> None:
    """Refuse limits that contradict each other; keys as in `machine.settings`."""
    swap, ram = limits.get("memory_swap"), limits.get("memory")
    if swap is None or swap == -1:
        return
    if ram is None:
        raise InvalidValue(
            "--memory-swap", str(swap), "it counts memory and swap together: give --memory too"
        )
    if swap < ram:
        raise InvalidValue("--memory-swap", str(swap), f"it includes memory, so at least {ram}")
