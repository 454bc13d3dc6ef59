"""The program as a whole: every command listed and documented, every failure one line and the right code."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from cli import __version__, entry, report
from cli.catalogue import COMMANDS, module_of
from cli.main import main, mydocker
from cli.options import Command
from eventstore.errors import JournalMissing
from machine.errors import NoSuchContainer

HERE = Path(__file__).resolve().parent.parent.parent
MODULES = {path.stem for path in (HERE / "cli" / "commands").glob("*.py")} - {"__init__"}


def command(name: str) -> Command:
    found = mydocker.get_command(click.Context(mydocker), name)
    assert isinstance(found, Command)
    return found


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_documented_as_the_list_says(name: str) -> None:
    made = command(name)

    assert made.help
    assert made.help.partition("\n")[0].strip() == COMMANDS[name]
    assert made.name == name


def test_every_module_is_a_command_of_the_list() -> None:
    assert {module_of(name).rpartition(".")[2] for name in COMMANDS} == MODULES


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_of_every_command_has_help_and_two_dashes(name: str) -> None:
    for option in command(name).params:
        if isinstance(option, click.Option):
            assert option.help, option.opts
            assert any(text.startswith("--") for text in option.opts), option.opts


@pytest.mark.parametrize("name", COMMANDS)
def test_help_works_for_every_command(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([name, "--help"]) == 0
    assert main([name, "-help"]) == 0

    assert f"Usage: mydocker {name}" in capsys.readouterr().out


@pytest.mark.parametrize("args", [[], ["--help"], ["-h"], ["-help"]])
def test_the_list_names_every_command(args: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(args) == 0

    shown = capsys.readouterr().out
    for name, line in COMMANDS.items():
        assert name in shown
        assert line.split()[0] in shown


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == main(["-version"]) == 0
    assert capsys.readouterr().out == f"mydocker {__version__}\n" * 2


@pytest.mark.parametrize(
    ("args", "line"),
    [
        (["creat"], "no such command: creat [did you mean create?] [see mydocker --help]"),
        (["\x1b[2J"], "no such command: \\x1b[2J [see mydocker --help]"),
        (["-r", "/x"], "missing command [see mydocker --help]"),
        (["--nope"], "no such option: --nope [see mydocker --help]"),
        (["stop", "--tmie", "3"], "stop: no such option: --tmie [did you mean --time?] [see mydocker stop --help]"),
        (["network", "create", "-o", "mtu=1400", "n"], "network create: no such option: -o [see mydocker network create --help]"),
        (["stop"], "stop: missing argument 'NAMES...' [see mydocker stop --help]"),
        (["stop", "-t"], "stop: option -t needs a value [see mydocker stop --help]"),
        (["create", "-m", "5X", "busybox"], "invalid --memory '5X': expected a number of bytes, or one with k, m, g (such as 512k, 100m, 1.5g)"),
        (["create", "-v", "/only", "busybox"], "invalid --volume '/only': expected SOURCE:TARGET"),
    ],
)  # fmt: skip
def test_what_is_typed_wrong_is_told_in_one_line_with_code_2(
    args: list[str], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(args)

    told = capsys.readouterr()
    assert (told.out, told.err, code) == ("", f"mydocker: {line}\n", 2)


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Callable[[BaseException], int]:
    """A command that ends with this error, run by `main`."""

    def run(error: BaseException) -> int:
        def fail() -> None:
            raise error

        made = click.command("ps", cls=Command)(fail)
        monkeypatch.setattr(type(mydocker), "get_command", lambda *_: made)
        return main(["ps"])

    return run


NOT_THERE = FileNotFoundError(errno.ENOENT, "No such file or directory", "/x/\x1b")


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (NoSuchContainer("web"), 125, "no such container: web [mydocker ps lists them]"),
        (NoSuchContainer("a\nb\x1b]0;x\x07"), 125, "no such container: a\\nb\\x1b]0;x\\x07 [mydocker ps lists them]"),
        (JournalMissing("/x"), 125, "no journal in /x: nothing was ever recorded there"),
        (NOT_THERE, 125, "/x/\\x1b: No such file or directory"),
        (OSError(errno.EXDEV, "Invalid cross-device link", "/a", None, "/b"), 125, "/a and /b: Invalid cross-device link"),
        (OSError(errno.ENOSPC, "No space left on device"), 125, "No space left on device"),
        (MemoryError(), 125, "out of memory"),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
)  # fmt: skip
def test_what_the_world_does_is_told_in_one_line(
    error: BaseException,
    code: int,
    line: str,
    failing: Callable[[BaseException], int],
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert failing(error) == code

    told = capsys.readouterr()
    assert told.err.lstrip("\n") == f"mydocker: {line}\n"


@pytest.mark.parametrize("bug", [ValueError("x"), OSError(errno.EBADF, "Bad file descriptor"), KeyError("k")])
def test_a_bug_is_not_hidden(bug: BaseException, failing: Callable[[BaseException], int]) -> None:
    with pytest.raises(type(bug)):
        failing(bug)


def test_an_exit_keeps_its_code(failing: Callable[[BaseException], int]) -> None:
    assert failing(SystemExit(7)) == 7
    assert failing(SystemExit(None)) == 0


@pytest.mark.parametrize(("result", "code"), [(None, 0), (0, 0), (7, 7), (137, 137)])
def test_what_a_command_returns_is_the_exit_code(
    result: int | None, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = click.command("ps", cls=Command)(lambda: result)
    monkeypatch.setattr(type(mydocker), "get_command", lambda *_: made)

    assert main(["ps"]) == code


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("run -it busybox", "run"),
        ("-r /x run", "run"),
        ("--root=/x --run-dir /y exec c sh", "exec"),
        ("-root run start", "start"),
        ("--version", ""),
        ("", ""),
        ("-r", ""),
    ],
)
def test_the_command_is_known_before_anything_is_imported(line: str, name: str) -> None:
    assert entry.command_of(line.split()) == name


def test_the_values_that_entry_skips_are_all_the_groups_options_with_one() -> None:
    from cli.options import spellings

    table = spellings(
        {"--" + str(option.name): option for option in mydocker.params if isinstance(option, click.Option)}
    )

    assert {text for text, spelling in table.items() if not spelling.is_flag} == entry._WITH_VALUE


PROGRAM = "import sys; sys.path.insert(0, sys.argv.pop(1)); from cli.entry import main; main()"


def program(*args: str, before: str = "", **more: object) -> subprocess.CompletedProcess[bytes]:
    """The whole program in a process of its own."""
    words = [sys.executable, "-c", before + PROGRAM, str(HERE), *args]
    return subprocess.run(words, check=False, timeout=30, **({"capture_output": True} | more))  # type: ignore[call-overload, no-any-return]  # the options vary


def test_a_bug_is_a_traceback_and_1() -> None:
    done = program(
        "--help",
        before="import cli.main; cli.main.main = lambda argv: 1 / 0\n",
        env={**os.environ, "PYTHONPATH": str(HERE)},
    )

    assert done.returncode == 1
    assert b"ZeroDivisionError" in done.stderr


def test_a_reader_that_leaves_ends_us_quietly() -> None:
    read, write = os.pipe()
    os.close(read)
    try:
        done = program("--help", stdout=write, stderr=subprocess.PIPE, capture_output=False)
    finally:
        os.close(write)

    assert (done.returncode, done.stderr) == (report.BROKEN_PIPE, b"")


def test_a_full_output_is_told() -> None:
    with open("/dev/full", "wb") as full:
        done = program("--help", stdout=full, stderr=subprocess.PIPE, capture_output=False)

    assert done.returncode == report.ENGINE_FAILED
    assert done.stderr == b"mydocker: No space left on device\n"


def test_closed_standard_files_are_no_trap_for_ours() -> None:
    check = "import os; real = os._exit; os._exit = lambda code: real(code or sum(os.fstat(n).st_rdev != os.makedev(1, 3) for n in range(3)))\n"
    done = program("--version", before=check, capture_output=False, preexec_fn=lambda: os.closerange(0, 3))

    assert done.returncode == 0


@pytest.mark.parametrize(
    ("line", "expected"),
    [("mydocker sto", {"stop"}), ("mydocker --ver", {"--version"}), ("mydocker stop --ti", {"--time"})],
)
def test_a_shell_can_complete_commands_and_options(line: str, expected: set[str]) -> None:
    words = {"COMP_WORDS": line, "COMP_CWORD": str(line.count(" ")), "_MYDOCKER_COMPLETE": "bash_complete"}
    done = program(env={**os.environ, **words})

    assert {item.rpartition(",")[2] for item in done.stdout.decode().split()} == expected
