"""The short way to run a plain command line: without click. What is not plain is click's (`cli.main`)."""

from __future__ import annotations

import os

from cli import context, declare
from cli.catalogue import COMMANDS, module_of
from cli.declare import PLACES, ROOT, RUN_DIR, Declaration, NotPlain
from cli.places import places
from cli.scan import ScanError, Spelling, scan, with_dashes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def run(argv: list[str]) -> Any:
    """Run it, and return what the command did. Raises NotPlain, before anything was done, or what the command raises."""
    before, rest = _scanned(argv, _places_table(), interspersed=False)
    if not rest or rest[0] not in COMMANDS or "_MYDOCKER_COMPLETE" in os.environ:
        raise NotPlain
    module = __import__(module_of(rest[0]), fromlist=["*"])
    declaration = next((one for one in vars(module).values() if _is_command(one, rest[0])), None)
    if declaration is None or not declaration.is_plain:
        raise NotPlain
    found, positional = _scanned(rest[1:], declaration.table(), interspersed=declaration.interspersed)
    where = dict([*before, *(pair for pair in found if pair[0] in (ROOT, RUN_DIR))])
    values = declaration.values(found, positional)
    declare.check_root(needed=declaration.needs_root)
    typed = [
        (name, text, declaration.options[name].is_flag, declaration.options[name].secret)
        for name, text in found
        if name in declaration.options
    ] + [(name, text, False, False) for name, text in found if name in (ROOT, RUN_DIR)]
    line = context.for_the_journal(rest[0], typed, positional, cut=not declaration.interspersed)
    context.enter(context.Call(places(where.get(ROOT), where.get(RUN_DIR), os.environ), line))
    return declaration.function(**values)


def _scanned(
    words: list[str], table: dict[str, Spelling], *, interspersed: bool
) -> tuple[list[tuple[str, str]], list[str]]:
    try:
        return scan(words, table, interspersed=interspersed)
    except ScanError:
        raise NotPlain from None


def _places_table() -> dict[str, Spelling]:
    return with_dashes({text: Spelling(name, is_flag=False) for text, name in PLACES.items()})


def _is_command(one: object, name: str) -> bool:
    return isinstance(one, Declaration) and one.name == name
