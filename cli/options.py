"""What every command shares: the option spellings, the places, the parsed value types, one-line errors."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import click

from cli.places import Places, places
from cli.scan import ScanError, Spelling, scan, with_dashes

TYPED = "mydocker.typed"  # where a context's `meta` keeps the command as it was understood
MASK = "***"
HELP_SETTINGS: dict[str, Any] = {"help_option_names": ["--help", "-h"], "max_content_width": 110}

Function = Callable[..., Any]


class NeedsRoot(Exception):
    """Namespaces, mounts and cgroups are root's."""

    exit_code = 125

    def __init__(self, uid: int) -> None:
        self.uid = uid
        super().__init__(f"this needs root, and you are uid {uid} [try: sudo mydocker ...]")


class Value(click.Option):
    """An option with a value. `secret` ones are masked in what the journal keeps of a command."""

    def __init__(self, *args: Any, secret: bool = False, **attributes: Any) -> None:
        super().__init__(*args, **attributes)
        self.secret = secret


class Flag(Value):
    """A switch, which also takes `=true` and `=false`. None where it was not typed, unless it has a default."""

    def __init__(self, *args: Any, **attributes: Any) -> None:
        super().__init__(*args, **(attributes | {"type": bool}))

    def make_metavar(self, ctx: click.Context) -> str:  # noqa: ARG002 - click's signature
        return ""

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        record = super().get_help_record(ctx)
        return (record[0].rstrip(), record[1]) if record else None


class Parsed(click.ParamType[Any]):
    """A value made by one of the machine's parse functions, which is told the option's name."""

    def __init__(self, parse: Callable[[str, str], object], metavar: str) -> None:
        self.parse, self.name = parse, metavar

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:  # noqa: ARG002
        return (
            self.parse(value, canonical(param) if param else self.name) if isinstance(value, str) else value
        )

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:  # noqa: ARG002
        return self.name


def canonical(param: click.Parameter) -> str:
    """The spelling that stands for an option in messages and in the journal: its first with two dashes."""
    return next((text for text in param.opts if text.startswith("--")), param.human_readable_name)


class Command(click.Command):
    """A command whose options may be spelled as in docker and as in the series.

    `interspersed=False`: options end at the first positional argument, so that what follows is the
    container's. `needs_root=False`: works for anyone.
    """

    def __init__(
        self, *args: Any, interspersed: bool = True, needs_root: bool = True, **attributes: Any
    ) -> None:
        attributes["params"] = [*(attributes.get("params") or ()), *place_options()]
        attributes.setdefault("context_settings", HELP_SETTINGS)
        super().__init__(*args, **attributes)
        self.interspersed, self.needs_root = interspersed, needs_root

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        line = Line(self, ctx, args, interspersed=self.interspersed)
        ctx.meta[TYPED] = line.for_the_journal()
        return super().parse_args(ctx, line.for_click())

    def invoke(self, ctx: click.Context) -> Any:
        if self.needs_root and os.geteuid() != 0:
            raise NeedsRoot(os.geteuid())
        return super().invoke(ctx)


class Line:
    """A command's arguments, taken apart and put together again in plain words."""

    def __init__(
        self, command: click.Command, ctx: click.Context, args: list[str], *, interspersed: bool
    ) -> None:
        self.name, self.interspersed = str(ctx.info_name), interspersed
        self.options = {
            canonical(param): param for param in command.get_params(ctx) if isinstance(param, click.Option)
        }
        self.found: list[tuple[str, str]] = []
        self.positional = args
        if ctx.resilient_parsing:  # a line that is still being typed, which the shell wants completed
            return
        try:
            self.found, self.positional = scan(args, spellings(self.options), interspersed=interspersed)
        except ScanError as error:
            raise click.UsageError(str(error) + _hint(error.option, self.options), ctx) from None

    def for_click(self) -> list[str]:
        """The same arguments as `--name=value` each, then `--`, then the positional ones."""
        words: list[str] = []
        for name, text in self.found:
            if self.options[name].is_flag:  # click's own: --help and --version
                words += [name] if text == "true" else []
            else:
                words.append(f"{name}={text}")
        return [*words, "--", *self.positional] if words or self.positional else []

    def for_the_journal(self) -> str:
        """The same as people read it: secrets masked, a container's own arguments left out, 1 KiB at most."""
        words = [self.name]
        for name, text in self.found:
            option = self.options[name]
            if isinstance(option, Flag) or option.is_flag:
                words.append(name if text == "true" else f"{name}=false")
            else:
                words.append(f"{name}={MASK if isinstance(option, Value) and option.secret else text}")
        owned = len(("image or container", "program"))
        cut = not self.interspersed and len(self.positional) > owned
        words += [*self.positional[:owned], "..."] if cut else self.positional
        return " ".join(words).encode(errors="backslashreplace").decode()[:1024]


def spellings(options: Mapping[str, click.Option]) -> dict[str, Spelling]:
    """The scanner's table of these options, by all their spellings."""
    table = {}
    for name, option in options.items():
        spelling = Spelling(name, is_flag=option.is_flag or isinstance(option, Flag))
        table.update(dict.fromkeys(option.opts, spelling))
    return with_dashes(table)


def _hint(option: str, known: Mapping[str, object]) -> str:
    if not option:
        return ""
    from difflib import get_close_matches

    close = get_close_matches("--" + option.lstrip("-"), known, n=1)
    return f" [did you mean {close[0]}?]" if close else ""


def typed(ctx: click.Context) -> str:
    """The command that this context runs, for the journal's `by`: no secret is in it."""
    return str(ctx.meta[TYPED])


def place_options() -> list[click.Parameter]:
    """-r and --run-dir, which stand before or after the command's name; the later one wins."""

    def keep(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
        if value is not None:
            ctx.meta[f"mydocker.{param.name}"] = value

    shared: dict[str, Any] = {"expose_value": False, "callback": keep, "metavar": "DIR"}
    return [
        Value(["root", "-r", "--root"], help="Where images, containers and the journal lie.", **shared),
        Value(["run_dir", "--run-dir"], help="Where sockets and links lie.", **shared),
    ]


def pass_places(function: Function) -> Function:
    """Give the command `places`: where the engine keeps its things."""

    @functools.wraps(function)
    def with_places(*args: Any, **values: Any) -> Any:
        return function(*args, places=places_of(click.get_current_context()), **values)

    return with_places


def places_of(ctx: click.Context) -> Places:
    return places(ctx.meta.get("mydocker.root"), ctx.meta.get("mydocker.run_dir"), os.environ)


def command(**attributes: Any) -> Callable[[Function], Command]:
    """Make a function the command of its module: `cli/commands/ps.py` is `ps`, its docstring the help."""

    def decorate(function: Function) -> Command:
        name = function.__module__.rpartition(".")[2].rstrip("_")
        return click.command(name, cls=Command, **attributes)(function)

    return decorate


class Declared:
    """An option that is not yet anybody's: a decorator that also tells the parameter's name."""

    def __init__(self, name: str, decorate: Callable[[Function], Function]) -> None:
        self.name, self._decorate = name, decorate

    def __call__(self, function: Function) -> Function:
        return self._decorate(function)


def flag(name: str, *spelled: str, help: str, default: bool | None = False) -> Declared:  # noqa: A002 - click's word
    """A switch: parameter `name`, spelled so; `default=None` tells an untyped one from a false one."""
    return Declared(name, click.option(name, *spelled, cls=Flag, help=help, default=default))


def value(
    name: str,
    *spelled: str,
    help: str,  # noqa: A002 - click's word
    parse: Callable[[str, str], object] | None = None,
    metavar: str = "TEXT",
    **attributes: Any,
) -> Declared:
    """An option with a value: parameter `name`, made by `parse(text, option)` if given.

    `attributes` go to click: `multiple`, `type`, `secret`, ...
    """
    kind = {"type": Parsed(parse, metavar)} if parse else {}
    return Declared(
        name, click.option(name, *spelled, cls=Value, help=help, metavar=metavar, **kind, **attributes)
    )


def gather(
    into: str, declared: Sequence[Declared], build: Callable[[dict[str, Any]], object]
) -> Callable[[Function], Function]:
    """Give the command one argument `into`, built of all these options' values."""

    def decorate(function: Function) -> Function:
        @functools.wraps(function)
        def gathered(*args: Any, **values: Any) -> Any:
            own = {option.name: values.pop(option.name) for option in declared}
            return function(*args, **values, **{into: build(own)})

        for option in reversed(declared):
            option(gathered)
        return gathered

    return decorate
