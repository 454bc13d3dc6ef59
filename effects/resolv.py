"""A container's /etc/resolv.conf, from what is asked for and what the host has: text in, text out. Pure. LEAN."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

PORT = 53  # where name servers are asked, RFC 1035


def render(wanted: dict[str, Any] | None, host: str) -> str:
    """`wanted`: nameservers, search, options; what is empty is taken from the host's own. None: all of it.

    resolv.conf(5). The one search domain "." means none.
    """
    if wanted is None:
        return host
    lines = []
    for keyword, many in (("nameservers", False), ("search", True), ("options", True)):
        word = keyword.removesuffix("s") if keyword == "nameservers" else keyword
        values = wanted[keyword] or values_of(host, word)
        if keyword == "search" and values == ["."]:
            continue
        if values:
            lines += [f"{word} {' '.join(values)}\n"] if many else [f"{word} {value}\n" for value in values]
    return "".join(lines)


def altered(text: str, was: str, now: str) -> str:
    """The text with its lines of `was` exchanged for those of `now`, where the first of them stood; all else stays.

    A line of ours that somebody took out does not come back.
    """
    before, after = was.splitlines(), now.splitlines()
    lines = text.splitlines()
    fresh = [line for line in after if line not in before or line in lines]
    ours = {*before, *after}
    place = next((n for n, line in enumerate(lines) if line in ours), len(lines))
    rest = [line for line in lines[place:] if line not in ours]
    return "".join(f"{line}\n" for line in (*lines[:place], *fresh, *rest))


def values_of(text: str, keyword: str) -> list[str]:
    """All values of the keyword; of `search`, which counts once, the last ones."""
    found: list[str] = []
    for line in text.splitlines():
        words = line.split()
        if words[:1] == [keyword] or (keyword == "search" and words[:1] == ["domain"]):
            found = words[1:] if keyword == "search" else [*found, *words[1:]]
    return found
