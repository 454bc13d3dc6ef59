"""The program's first lines: start the process that runs beside this one, and only then import anything. LEAN."""

from __future__ import annotations

import gc
import os
import sys

# Commands that need a monitor or a joiner, whose interpreter boots while this one imports click.
ACCOMPANIED = frozenset({"run", "start", "restart", "exec"})
_WITH_VALUE = frozenset({"-r", "--r", "-root", "--root", "-run-dir", "--run-dir"})


def command_of(argv: list[str]) -> str:
    """The command that is named, or "": the first word that is neither an option nor an option's value."""
    rest = iter(argv)
    for word in rest:
        if word in _WITH_VALUE:
            next(rest, "")
        elif not word.startswith("-"):
            return word
    return ""


def main() -> None:
    """Run the command line of this process and end it, without the interpreter's own farewell (1.4 ms)."""
    argv = sys.argv[1:]
    code = 1
    try:
        _open_standard_files()
        command = command_of(argv)
        if command in ACCOMPANIED:
            from cli import early

            early.start(command)
        code = _run(argv)
    except KeyboardInterrupt:  # before the command could answer it
        code = 130
    except BaseException:  # noqa: BLE001 - a bug: told in full, and still an exit without delay
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(code)


def _open_standard_files() -> None:
    """Where the caller closed 0, 1 or 2, a file of ours would take its place: the journal as stderr."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            null = os.open("/dev/null", os.O_RDWR)  # the lowest free number, which is this one
            setattr(sys, name, os.fdopen(null, "w" if number else "r"))


def _run(argv: list[str]) -> int:
    # Collecting while modules load finds nothing and takes 2 ms.
    gc.disable()
    from cli import hot
    from cli.declare import NotPlain
    from cli.report import flush, guarded

    try:
        return flush(guarded(lambda: hot.run(argv)))
    except NotPlain:
        from cli.main import main as run

        gc.enable()
        return flush(run(argv))
