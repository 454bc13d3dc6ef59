"""The host's names for user ids, as they are today."""

from __future__ import annotations

import pwd


def account(uid: int, *, unknown: str = "") -> str:
    """The account's name; where there is none, the number behind `unknown`."""
    try:
        return pwd.getpwuid(uid).pw_name
    except (KeyError, OverflowError):
        return f"{unknown}{uid}"
