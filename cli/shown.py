"""What the journal keeps of a command line: printable, and not too long; the process file has it whole."""

from __future__ import annotations

SHOWN = 1024  # bytes


def shown(argv: list[str]) -> list[str]:
    """The command line for people: printable, and cut to a length that a journal line can carry."""
    words: list[str] = []
    room = SHOWN
    for word in map(printable, argv):
        if len(word) > room:
            return [*words, f"{word[:room]}..."]
        words.append(word)
        room -= len(word)
    return words


def printable(text: str) -> str:
    r"""Undecodable bytes as \xNN: the journal is UTF-8."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
