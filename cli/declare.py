"""What commands say of themselves: name, options, arguments. Plain data, so that most lines need no click.

`cli.options` makes click's commands of it (help, completion, every complaint about a line); `cli.hot` runs a
plain line straight from it, which saves the 30 ms that click takes to import. A test holds the two together.
"""

from __future__ import annotations

import os

from cli import context
from cli.scan import Spelling, with_dashes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, TypeAlias

    Function: TypeAlias = Callable[..., Any]

ROOT, RUN_DIR = "--root", "--run-dir"
PLACES = {"-r": ROOT, ROOT: ROOT, RUN_DIR: RUN_DIR}


class NeedsRoot(Exception):
    """Namespaces, mounts and cgroups are root's."""

    exit_code = 125

    def __init__(self, uid: int) -> None:
        self.uid = uid
        super().__init__(f"this needs root, and you are uid {uid} [try: sudo mydocker ...]")


class NotPlain(Exception):
    """The line is click's: something is missing, too much, or not understood."""


class Misused(Exception):
    """Options or arguments that do not go together."""

    exit_code = 2


class Declared:
    """An option: a decorator that puts it on a command, and the data that it is made of.

    `parse(text, option)` makes the value; without it the text is the value. A flag's is a bool, and `default` where
    it was not typed. `secret` ones are masked in what the journal keeps of a command.
    """

    def __init__(
        self,
        name: str,
        spelled: tuple[str, ...],
        *,
        help: str,  # noqa: A002 - click's word
        parse: Callable[[str, str], object] | None = None,
        metavar: str = "TEXT",
        multiple: bool = False,
        secret: bool = False,
        is_flag: bool = False,
        default: Any = None,
    ) -> None:
        self.name, self.spelled, self.help, self.parse, self.metavar = name, spelled, help, parse, metavar
        self.multiple, self.secret, self.is_flag, self.default = multiple, secret, is_flag, default

    @property
    def canonical(self) -> str:
        """The spelling that stands for it in messages and in the journal: its first with two dashes."""
        return next((text for text in self.spelled if text.startswith("--")), self.name)

    def __call__(self, function: Function) -> Function:
        return _declare(function, self)

    def value_of(self, texts: list[str]) -> object:
        """What the command gets. InvalidValue for a text that cannot mean anything."""
        if self.is_flag:
            return texts[-1] == "true" if texts else self.default
        if not self.multiple:
            texts = texts[-1:]
        made = [self.parse(text, self.canonical) if self.parse else text for text in texts]
        if self.multiple:
            return tuple(made)
        return made[0] if made else self.default


class Argument:
    """A positional argument; `many`: all that remain, as a tuple."""

    def __init__(self, name: str, *, many: bool, required: bool, metavar: str | None) -> None:
        self.name, self.many, self.required, self.metavar = name, many, required, metavar

    def __call__(self, function: Function) -> Function:
        return _declare(function, self)


class Declaration:
    """One command: its function, and how it may be typed."""

    def __init__(self, function: Function, *, interspersed: bool = True, needs_root: bool = True) -> None:
        self.function = function
        self.name = function.__module__.rpartition(".")[2].rstrip("_")
        self.interspersed, self.needs_root = interspersed, needs_root
        said = declared(function)
        self.options = {one.canonical: one for one in said if isinstance(one, Declared)}
        self.arguments = [one for one in said if isinstance(one, Argument)]
        self.is_plain = not hasattr(function, "__click_params__")

    def table(self) -> dict[str, Spelling]:
        """The scanner's table, by all spellings."""
        table = {}
        for name, option in self.options.items():
            table.update(dict.fromkeys(option.spelled, Spelling(name, is_flag=option.is_flag)))
        table.update({text: Spelling(name, is_flag=False) for text, name in PLACES.items()})
        return with_dashes(table)

    def values(self, found: list[tuple[str, str]], positional: list[str]) -> dict[str, Any]:
        """The function's arguments. Raises NotPlain, and InvalidValue as click would."""
        typed: dict[str, list[str]] = {}
        for name, text in found:
            typed.setdefault(name, []).append(text)
        values = self._positional(positional)
        for name, option in self.options.items():
            values[option.name] = option.value_of(typed.get(name, []))
        return values

    def _positional(self, words: list[str]) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for index, argument in enumerate(self.arguments):
            later = sum(1 for one in self.arguments[index + 1 :] if one.required)
            if argument.many:
                count = max(len(words) - later, 0)
                values[argument.name], words = tuple(words[:count]), words[count:]
            elif len(words) > later:
                values[argument.name], words = words[0], words[1:]
            else:
                values[argument.name] = None
            if argument.required and not values[argument.name]:
                raise NotPlain
        if words:
            raise NotPlain
        return values


def declared(function: Function) -> list[Declared | Argument]:
    """What was put on a function, in the order of reading."""
    return list(reversed(getattr(function, "__declared__", [])))


def _declare(function: Function, what: Declared | Argument) -> Function:
    function.__dict__.setdefault("__declared__", []).append(what)
    return function


def flag(name: str, *spelled: str, help: str, default: bool | None = False) -> Declared:  # noqa: A002 - click's word
    """A switch: parameter `name`, spelled so; `default=None` tells an untyped one from a false one."""
    return Declared(name, spelled, help=help, is_flag=True, default=default)


def value(name: str, *spelled: str, help: str, **said: Any) -> Declared:  # noqa: A002 - click's word
    """An option with a value: parameter `name`. See Declared for `parse`, `metavar`, `multiple`, `secret`, `default`."""
    return Declared(name, spelled, help=help, **said)


def argument(name: str, *, many: bool = False, required: bool = True, metavar: str | None = None) -> Argument:
    """A positional argument: parameter `name`."""
    return Argument(name, many=many, required=required, metavar=metavar)


def command(*, interspersed: bool = True, needs_root: bool = True) -> Callable[[Function], Declaration]:
    """Make a function the command of its module: `cli/commands/ps.py` is `ps`, its docstring the help.

    `interspersed=False`: options end at the first positional argument, so that what follows is the
    container's. `needs_root=False`: works for anyone.
    """
    return lambda function: Declaration(function, interspersed=interspersed, needs_root=needs_root)


def gather(
    into: str, parts: Sequence[Declared | Argument], build: Callable[[dict[str, Any]], object]
) -> Callable[[Function], Function]:
    """Give the command one argument `into`, built of all these options' values."""

    def decorate(function: Function) -> Function:
        def gathered(*args: Any, **values: Any) -> Any:
            own = {part.name: values.pop(part.name) for part in parts}
            return function(*args, **values, **{into: build(own)})

        wrap(gathered, function)
        for part in reversed(parts):
            part(gathered)
        return gathered

    return decorate


def wrap(outer: Function, inner: Function) -> Function:
    """functools.wraps without functools, which takes 3 ms: name, docstring and declarations of `inner`."""
    outer.__name__, outer.__module__, outer.__doc__ = inner.__name__, inner.__module__, inner.__doc__
    outer.__dict__.update(inner.__dict__)
    return outer


def pass_places(function: Function) -> Function:
    """Give the command `places`: where the engine keeps its things."""

    def with_places(*args: Any, **values: Any) -> Any:
        return function(*args, places=context.current().places, **values)

    return wrap(with_places, function)


def check_root(*, needed: bool) -> None:
    """Raise NeedsRoot for anybody else."""
    if needed and os.geteuid() != 0:
        raise NeedsRoot(os.geteuid())
