"""Who acted, in words: the host's names for user ids, as they are today."""

from __future__ import annotations

import pwd
from typing import Any


def account(uid: int, *, unknown: str = "") -> str:
    """The account's name; where there is none, the number behind `unknown`."""
    try:
        return pwd.getpwuid(uid).pw_name
    except (KeyError, OverflowError):
        return f"{unknown}{uid}"


def actor(by: dict[str, Any]) -> str:
    """`root (login alice)`: the account that acted, and the one that had logged in, where it is another."""
    words = account(by["uid"], unknown="uid ") if "uid" in by else "somebody"
    login = by.get("login", -1)
    if login >= 0 and login != by.get("uid"):
        words += f" (login {account(login, unknown='uid ')})"
    return words
