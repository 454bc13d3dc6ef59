"""What every command shares: the option spellings, the places, the parsed value types, one-line errors."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

import click

from cli import context
from cli.declare import (
    Argument,
    Declaration,
    Declared,
    NeedsRoot,
    argument,
    check_root,
    command,
    declared,
    flag,
    gather,
    pass_places,
    value,
)
from cli.places import Places, places
from cli.scan import ScanError, Spelling, scan, with_dashes

TYPED = "mydocker.typed"  # where a context's `meta` keeps the command as it was understood
HELP_SETTINGS: dict[str, Any] = {"help_option_names": ["--help", "-h"], "max_content_width": 110}

Function = Callable[..., Any]

__all__ = [
    "Argument",
    "Command",
    "Declared",
    "Function",
    "NeedsRoot",
    "argument",
    "command",
    "flag",
    "gather",
    "pass_places",
    "value",
]


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
        callback = attributes.get("callback")
        said = [click_param(one) for one in declared(callback)] if callback is not None else []
        attributes["params"] = [*said, *(attributes.get("params") or ()), *place_options()]
        attributes.setdefault("context_settings", HELP_SETTINGS)
        super().__init__(*args, **attributes)
        self.interspersed, self.needs_root = interspersed, needs_root

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        line = Line(self, ctx, args, interspersed=self.interspersed)
        ctx.meta[TYPED] = line.for_the_journal()
        return super().parse_args(ctx, line.for_click())

    def invoke(self, ctx: click.Context) -> Any:
        check_root(needed=self.needs_root)
        context.enter(context.Call(places_of(ctx), typed(ctx)))
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
        said = []
        for name, text in self.found:
            option = self.options[name]
            is_flag = isinstance(option, Flag) or option.is_flag
            said.append((name, text, is_flag, isinstance(option, Value) and option.secret))
        return context.for_the_journal(self.name, said, self.positional, cut=not self.interspersed)


def spellings(options: Mapping[str, click.Option]) -> dict[str, Spelling]:
    """The scanner's table of these options, by all their spellings."""
    table = {}
    for name, option in options.items():
        spelling = Spelling(name, is_flag=option.is_flag or isinstance(option, Flag))
        table.update(dict.fromkeys(option.opts, spelling))
    return with_dashes(table)


def _hint(option: str, known: Mapping[str, object]) -> str:
    if len(option.lstrip("-")) < 2:  # noqa: PLR2004 - a letter is like everything
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
        Value(["run_dir", "--run-dir"], help="Where links and names lie; one for each boot.", **shared),
    ]


def places_of(ctx: click.Context) -> Places:
    return places(ctx.meta.get("mydocker.root"), ctx.meta.get("mydocker.run_dir"), os.environ)


def click_param(said: Declared | Argument) -> click.Parameter:
    """Click's own object for what a command declared."""
    if isinstance(said, Argument):
        many: dict[str, Any] = {"nargs": -1} if said.many else {}
        return click.Argument(
            [said.name], required=said.required, metavar=said.metavar, type=click.UNPROCESSED, **many
        )
    if said.is_flag:
        return Flag([said.name, *said.spelled], help=said.help, default=said.default)
    kind = {"type": Parsed(said.parse, said.metavar)} if said.parse else {}
    return Value(
        [said.name, *said.spelled],
        help=said.help,
        metavar=said.metavar,
        multiple=said.multiple,
        secret=said.secret,
        default=() if said.multiple else said.default,
        **kind,
    )


def to_click(declaration: Declaration) -> Command:
    """Click's command for a declared one."""
    make = click.command(
        declaration.name,
        cls=Command,
        interspersed=declaration.interspersed,
        needs_root=declaration.needs_root,
    )
    return make(declaration.function)
