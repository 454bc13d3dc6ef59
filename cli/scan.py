"""Option spellings of docker and of the series, taken apart without re-ordering anything. No imports: LEAN.

`scan` knows nothing of click: the command classes build its table from their options, and a
later start-up path may build the same table ahead of time.
"""

from __future__ import annotations

TRUE = frozenset({"1", "t", "T", "true", "TRUE", "True"})  # Go's strconv.ParseBool
FALSE = frozenset({"0", "f", "F", "false", "FALSE", "False"})


class ScanError(Exception):
    """The command line cannot be taken apart; `option` is what was typed where none such exists."""

    def __init__(self, message: str, option: str = "") -> None:
        self.option = option
        super().__init__(message)


class Spelling:
    """What an option's spelling stands for: its one canonical name, and whether a value follows."""

    __slots__ = ("is_flag", "name")

    def __init__(self, name: str, *, is_flag: bool) -> None:
        self.name, self.is_flag = name, is_flag


def with_dashes(table: dict[str, Spelling]) -> dict[str, Spelling]:
    """The table, and each spelling with one dash for two and two for one, where that is still free.

    Go's flag package, which the series uses, does not tell `-name` from `--name`.
    """
    full = dict(table)
    for text, spelling in table.items():
        word = text.lstrip("-")
        for twin in ("-" + word, "--" + word):
            full.setdefault(twin, spelling)
    return full


def scan(
    args: list[str], table: dict[str, Spelling], *, interspersed: bool
) -> tuple[list[tuple[str, str]], list[str]]:
    """(canonical name, value) of each option in its order, and the positional arguments.

    A flag's value is "true" or "false". `--` ends the options; so does the first positional
    argument, unless `interspersed`. `table` is one that `with_dashes` made.
    """
    found: list[tuple[str, str]] = []
    positional: list[str] = []
    rest = args[::-1]
    while rest:
        arg = rest.pop()
        if arg == "--":
            break
        if len(arg) > 1 and arg[0] == "-":
            _option(arg, rest, table, found)
        else:
            positional.append(arg)
            if not interspersed:
                break
    return found, positional + rest[::-1]


def _option(arg: str, rest: list[str], table: dict[str, Spelling], found: list[tuple[str, str]]) -> None:
    """Take one option, and its value from `rest` (whose end is next) where it needs one."""
    typed, equals, value = arg.partition("=")
    spelling = table.get(typed)
    if spelling is None:
        _cluster(arg, rest, table, found)
    elif spelling.is_flag:
        found.append((spelling.name, _truth(typed, value if equals else "true")))
    else:
        found.append((spelling.name, value if equals else _next(typed, rest)))


def _cluster(arg: str, rest: list[str], table: dict[str, Spelling], found: list[tuple[str, str]]) -> None:
    """Take `-it`, `-dit`, `-m64m`, `-eK=V`, `-ite K=V`: flags of one letter, then perhaps one value."""
    letters = "" if arg.startswith("--") else arg[1:]
    if not letters or "-" + letters[0] not in table:
        raise ScanError(f"no such option: {arg.partition('=')[0]}", arg.partition("=")[0])
    while letters:
        typed, letters = "-" + letters[0], letters[1:]
        spelling = table.get(typed)
        if spelling is None:
            raise ScanError(f"no such option: {typed} in {arg.partition('=')[0]}", arg.partition("=")[0])
        value = letters.removeprefix("=")
        if not spelling.is_flag:
            found.append((spelling.name, value if letters else _next(typed, rest)))
            return
        if value != letters:
            found.append((spelling.name, _truth(typed, value)))
            return
        found.append((spelling.name, "true"))


def _next(typed: str, rest: list[str]) -> str:
    if not rest:
        raise ScanError(f"option {typed} needs a value")
    return rest.pop()


def _truth(typed: str, value: str) -> str:
    if value in TRUE:
        return "true"
    if value in FALSE:
        return "false"
    raise ScanError(f"option {typed} is true or false, not {value!r}")
