"""`mydocker`: finds the command that was typed, runs it, and turns what goes wrong into one line and a code."""

from __future__ import annotations

import importlib
import sys
from typing import Any

import click

from cli import __version__
from cli.catalogue import COMMANDS, SECTIONS, module_of
from cli.options import HELP_SETTINGS, Line, place_options
from cli.report import BROKEN_PIPE, ENGINE_FAILED, exit_code_of, line_of, output_is_gone, say

INTERRUPTED = 130  # 128 + SIGINT


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
        return next(
            one for one in vars(module).values() if isinstance(one, click.Command) and one.name == cmd_name
        )

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        command = self.get_command(ctx, args[0])
        if command is None:
            raise click.UsageError(f"no such command: {args[0]}{_hint(args[0])}", ctx)
        return args[0], command, args[1:]

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            # Click would end with 1 here, whoever's pipe it was.
            if output_is_gone():
                ctx.exit(BROKEN_PIPE)
            say(line_of(error))
            ctx.exit(ENGINE_FAILED)

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
    try:
        return _code(mydocker.main(argv, prog_name="mydocker", standalone_mode=False))
    except SystemExit as end:
        return _code(end.code)
    except click.exceptions.Abort:
        say("interrupted")
        return INTERRUPTED
    except click.UsageError as error:
        say(_usage(error))
        return error.exit_code
    except Exception as error:
        code = exit_code_of(error)
        if code is None:
            raise
        say(line_of(error))
        return code


def _code(result: Any) -> int:
    """A command's result as an exit code: None is success."""
    return result & 0xFF if isinstance(result, int) else 0 if result is None else 1


def _usage(error: click.UsageError) -> str:
    """Click's message in our form: lower case, no full stop, and where the help is."""
    message = error.format_message().strip().removesuffix(".")
    message = message[:1].lower() + message[1:]
    path = error.ctx.command_path if error.ctx else "mydocker"
    command = path.removeprefix("mydocker").strip()
    return f"{command}: {message} [see {path} --help]" if command else f"{message} [see {path} --help]"


def flush(code: int) -> int:
    """Send what is still buffered on its way, and return the exit code that this leaves."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        return BROKEN_PIPE
    except OSError as error:
        say(f"cannot write to standard output: {error.strerror}")
        return code or ENGINE_FAILED
    return code
