"""One verb for many names: begun together where they end by themselves, told one after the other."""

from __future__ import annotations

import sys

from cli.report import echo, exit_code_of, line_of, say

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any, TypeAlias

    Wait: TypeAlias = Callable[[], object]  # for the end of what was begun; raises what it failed with

AHEAD = 50  # begun, and not waited for yet; as many as docker has


def each(names: Iterable[str], action: Callable[[str], Any], *, done: bool = True) -> None:
    """Do it for every name, one failure not keeping the others from it; ends with the last failure's code.

    An `action` that returns a Wait has but begun: its monitor does the rest, and the next ones are begun meanwhile.
    With `done` says each name that is done, in the order given, as docker does. What keeps all of them is told once.
    """
    begun: list[tuple[str, Any]] = []  # what the action returned or raised
    told: set[str] = set()
    code = 0
    for name in names:
        begun.append((name, _attempt(action, name)))
        while begun and (not callable(begun[0][1]) or len(begun) > AHEAD):
            code = _end(*begun.pop(0), told, done=done) or code
    for name, wait in begun:
        code = _end(name, wait, told, done=done) or code
    if code:
        sys.exit(code)


def _attempt(function: Callable[..., Any], *arguments: str) -> Any:
    """What it returns or raises: an error is told, or raised again, when its turn comes."""
    try:
        return function(*arguments)
    except Exception as error:  # noqa: BLE001 - see above
        return error


def _end(name: str, begun: Any, told: set[str], *, done: bool) -> int:
    """Wait for it, and tell how it ended; the exit code of a failure, or 0."""
    ended = _attempt(begun) if callable(begun) else begun
    if isinstance(ended, Exception):
        code = exit_code_of(ended)
        if code is None:
            raise ended
        line = line_of(ended)
        if line not in told:
            told.add(line)
            say(line)
        return code
    if done:
        echo(name)
    return 0
