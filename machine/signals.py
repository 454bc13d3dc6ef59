"""Signals by name and number, as Linux has them on x86, arm, riscv and s390 (signal(7))."""

from __future__ import annotations

from machine.errors import InvalidValue
from machine.quantities import is_digits, whole

RTMIN, RTMAX = 34, 64  # glibc keeps 32 and 33 for itself

_IN_ORDER = """
HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT CHLD CONT STOP TSTP
TTIN TTOU URG XCPU XFSZ VTALRM PROF WINCH IO PWR SYS
"""
_NAMES = _IN_ORDER.split()
SIGNALS = {name: number for number, name in enumerate(_NAMES, start=1)}
_ALIASES = {"IOT": 6, "CLD": 17, "POLL": 29, "RTMIN": RTMIN, "RTMAX": RTMAX}


def signal_number(text: str, what: str = "signal") -> int:
    """1 to 64 from "TERM", "SIGTERM", "sigterm", "15" or "RTMIN+3"."""
    if is_digits(text):
        return whole(text, what, least=1, most=RTMAX)
    name = text.upper().removeprefix("SIG")
    number = SIGNALS.get(name) or _ALIASES.get(name) or _real_time(name)
    if number is None:
        raise InvalidValue(what, text, "no such signal")
    return number


def _real_time(name: str) -> int | None:
    for base, start, step in (("RTMIN+", RTMIN, 1), ("RTMAX-", RTMAX, -1)):
        distance = name.removeprefix(base)
        if distance != name and is_digits(distance):
            return start + step * whole(distance, base, least=0, most=RTMAX - RTMIN)
    return None


def signal_name(number: int) -> str:
    """SIGTERM for 15; signals without a name of their own count from SIGRTMIN."""
    if 1 <= number <= len(_NAMES):
        return "SIG" + _NAMES[number - 1]
    return f"SIGRTMIN+{number - RTMIN}" if number > RTMIN else "SIGRTMIN" if number == RTMIN else str(number)
