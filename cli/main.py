"""`mydocker`: finds the command that was typed, runs it, and turns what goes wrong into one line and a code."""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

import click

from cli import __version__
from cli.catalogue import COMMANDS, SECTIONS, module_of
from cli.declare import Declaration
from cli.options import HELP_SETTINGS, Line, place_options, to_click
from cli.report import flush, guarded, say

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

__all__ = ["flush", "main", "mydocker"]
COMPLETE = "_MYDOCKER_COMPLETE"  # eval "$(_MYDOCKER_COMPLETE=bash_source mydocker)"


class Commands(click.Group):
    """The commands of `cli.catalogue`, each imported when it is the one typed."""

    allow_interspersed_args = False

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        words = Line(self, ctx, args, interspersed=False).for_click()
        return super().parse_args(ctx, words or ["--help"])

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(module_of(cmd_name))
        for one in vars(module).values():
            if isinstance(one, Declaration) and one.name == cmd_name:
                return to_click(one)
            if isinstance(one, click.Command) and one.name == cmd_name:
                return one
        raise AssertionError(f"{module.__name__} has no command {cmd_name}")

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        command = self.get_command(ctx, args[0])
        if command is None and not ctx.resilient_parsing:
            raise click.UsageError(f"no such command: {args[0]}{_hint(args[0])}", ctx)
        return args[0] if command else None, command, args[1:]

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        from click.shell_completion import CompletionItem

        if incomplete.startswith("-"):
            return click.Command.shell_complete(self, ctx, incomplete)
        return [
            CompletionItem(name, help=line) for name, line in COMMANDS.items() if name.startswith(incomplete)
        ]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        for title, commands in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl(list(commands.items()))


def _hint(name: str) -> str:
    from difflib import get_close_matches

    close = get_close_matches(name, COMMANDS, n=1)
    return f" [did you mean {close[0]}?]" if close else ""


def _version(ctx: click.Context, param: click.Parameter, value: bool) -> None:  # noqa: ARG001 - click's signature
    if value:
        click.echo(f"mydocker {__version__}")
        ctx.exit()


mydocker = Commands(
    "mydocker",
    params=[
        *place_options(),
        click.Option(
            ["--version"],
            is_flag=True,
            expose_value=False,
            is_eager=True,
            callback=_version,
            help="Print the version.",
        ),
    ],
    help="Run containers. Every step is an event in a journal, and that journal is the truth.",
    epilog="`mydocker COMMAND --help` tells a command's options.",
    context_settings=HELP_SETTINGS,
    subcommand_metavar="COMMAND [ARG]...",
)


def main(argv: list[str]) -> int:
    """Run one command line and return the exit code. Only a bug raises."""
    return guarded(lambda: _told(argv))


def _told(argv: list[str]) -> Any:
    """What the command did; click's complaints in our form."""
    try:
        return _run(argv)
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.exceptions.Abort:
        raise KeyboardInterrupt from None
    except click.UsageError as error:
        say(_usage(error))
        return error.exit_code


def _run(argv: list[str]) -> Any:
    completing = os.environ.get(COMPLETE)
    if completing:
        from click.shell_completion import shell_complete

        return shell_complete(mydocker, {}, "mydocker", COMPLETE, completing)
    # Not click's own `main`: it would end every broken pipe, whoever's, with 1 and in silence.
    with mydocker.make_context("mydocker", list(argv)) as context:
        return mydocker.invoke(context)


def _usage(error: click.UsageError) -> str:
    """Click's message in our form: lower case, no full stop, and where the help is."""
    message = error.format_message().strip().removesuffix(".")
    message = message[:1].lower() + message[1:]
    path = error.ctx.command_path if error.ctx else "mydocker"
    command = path.removeprefix("mydocker").strip()
    return f"{command}: {message} [see {path} --help]" if command else f"{message} [see {path} --help]"
