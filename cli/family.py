"""Commands that have commands of their own, such as `journal stats`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from cli.options import TYPED, Command, Function


class Family(Command, click.Group):
    """A command with others below it. Its own options end at the first word that is none."""

    allow_interspersed_args = False

    def __init__(self, *args: Any, **attributes: Any) -> None:
        super().__init__(*args, interspersed=False, **attributes)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, args if args or self.invoke_without_command else ["--help"])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        found = self.get_command(ctx, args[0])
        if found is None and not ctx.resilient_parsing:
            known = ", ".join(self.list_commands(ctx))
            raise click.UsageError(f"no such command: {args[0]} [there are {known}]", ctx)
        return args[0] if found else None, found, args[1:]


class Member(Command):
    """One of a family's commands."""

    def get_short_help_str(self, limit: int = 0) -> str:  # noqa: ARG002 - click's signature
        return (self.help or "").partition("\n")[0]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        rest = super().parse_args(ctx, args)
        assert ctx.parent is not None, "a member is found by its family"
        ctx.meta[TYPED] = f"{ctx.parent.info_name} {ctx.meta[TYPED]}"
        return rest


def family(**attributes: Any) -> Callable[[Function], Family]:
    """Make a function the command of its module, and the family of what `member` adds."""

    def decorate(function: Function) -> Family:
        name = function.__module__.rpartition(".")[2]
        return click.command(name, cls=Family, **attributes)(function)

    return decorate


def member(parent: Family, **attributes: Any) -> Callable[[Function], Member]:
    """Make a function one of the family's commands, under its own name."""

    def decorate(function: Function) -> Member:
        made = click.command(function.__name__, cls=Member, **attributes)(function)
        parent.add_command(made)
        return made

    return decorate
