"""The program's first lines: start the process that runs beside this one, and only then import anything. LEAN."""

from __future__ import annotations

import gc
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
else:
    import _signal

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
        # Where it is ignored, the kernel reaps our children itself: waitpid(2) would not learn how one ended.
        _signal.signal(_signal.SIGCHLD, _signal.SIG_DFL)
        command = command_of(argv)
        trouble = _begin(command) if command in ACCOMPANIED else None
        code = _run(argv, trouble)
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
            os.set_inheritable(null, True)  # nor in the programs that we start
            setattr(sys, name, os.fdopen(null, "w" if number else "r"))


def _begin(command: str) -> OSError | None:
    """Why no process could be started beside this one: then nothing is to be decided that it would have to do."""
    from cli import early

    try:
        early.start(command)
    except OSError as error:
        return error
    return None


def _run(argv: list[str], trouble: OSError | None) -> int:
    # Collecting while modules load finds nothing and takes 2 ms.
    gc.disable()
    from cli import hot
    from cli.declare import NotPlain
    from cli.report import flush, guarded

    def run() -> object:
        if trouble is not None:
            raise trouble
        return hot.run(argv)

    try:
        return flush(guarded(run))
    except NotPlain:
        from cli.main import main as run_with_click

        gc.enable()
        return flush(run_with_click(argv))
