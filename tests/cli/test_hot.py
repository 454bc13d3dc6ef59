"""The short way without click and click itself make the same of every line that the short way takes."""

from __future__ import annotations

import functools
import importlib
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import click
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cli import context, hot
from cli.catalogue import COMMANDS, module_of
from cli.declare import Declaration, NotPlain, wrap
from cli.options import to_click
from machine.errors import InvalidValue

HERE = Path(__file__).resolve().parent.parent.parent


def declaration(name: str) -> Declaration | None:
    module = importlib.import_module(module_of(name))
    return next(
        (one for one in vars(module).values() if isinstance(one, Declaration) and one.name == name), None
    )


PLAIN = {name: one for name in COMMANDS if (one := declaration(name)) is not None and one.is_plain}
WORDS = (
    "busybox",
    "c1",
    "sh",
    "-c",
    "--",
    "a=b",
    "K=v",
    "5",
    "64m",
    "/a:/b",
    "true",
    "-1",
    "",
    "x y",
    "10s",
    "ctrl-p",
    "no",
)


def by_hot(one: Declaration, args: list[str]) -> Any:
    """The function's arguments, or which kind of refusal."""
    try:
        found, positional = hot._scanned(args, one.table(), interspersed=one.interspersed)
        return one.values(found, positional)
    except (NotPlain, InvalidValue) as refusal:
        return type(refusal)


click_of = functools.cache(to_click)


def by_click(one: Declaration, args: list[str]) -> Any:
    command = click_of(one)
    try:
        with command.make_context(one.name, list(args)) as ctx:
            return ctx.params
    except (click.UsageError, InvalidValue, click.exceptions.Exit) as refusal:
        return type(refusal)


@functools.cache
def lines(one: Declaration) -> st.SearchStrategy[list[str]]:
    spelled = sorted(one.table())
    values = [f"{text}={word}" for text in spelled for word in ("true", "false", "5", "K=v")]
    return st.lists(st.sampled_from([*spelled, *values, *WORDS]), max_size=6)


@pytest.mark.parametrize("name", sorted(PLAIN))
@given(data=st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_both_ways_make_the_same_of_a_line(
    name: str, data: st.DataObject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "time_ns", lambda: 1_790_000_000_000_000_000)  # of --since 64m
    one = PLAIN[name]
    args = data.draw(lines(one))
    hot_one = by_hot(one, args)
    if hot_one is NotPlain:
        return  # then click has the line anyway

    assert by_click(one, args) == hot_one, args


def test_the_commands_that_people_wait_for_are_plain() -> None:
    assert {"run", "exec", "ps", "start", "stop", "rm", "logs", "create"} <= PLAIN.keys()


def test_both_ways_tell_the_journal_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    one = PLAIN["rm"]
    telling = wrap(lambda **_: told.append(context.current().typed), one.function)
    monkeypatch.setattr(one, "function", telling)
    hot.run(["-r", "/x", "rm", "-f", "a", "b"])
    to_click(one).main(["-r", "/x", "-f", "a", "b"], prog_name="rm", standalone_mode=False)

    assert [line.replace("--root=/x ", "") for line in told] == ["rm --force a b"] * 2


@pytest.mark.parametrize(
    "line", [["--help"], ["run", "--help"], ["nosuch"], [], ["rm"], ["run", "--nosuch", "x"], ["ps", "x"]]
)
def test_what_is_not_plain_is_left_to_click(line: list[str]) -> None:
    with pytest.raises(NotPlain):
        hot.run(line)


@pytest.mark.parametrize("line", ["ps", "exec nosuch true", "run nosuch true", "rm nosuch"])
def test_a_plain_line_loads_neither_click_nor_msgspec(line: str, tmp_path: Path) -> None:
    program = (
        f"import sys; sys.path.insert(0, {str(HERE)!r}); sys.argv = ['mydocker', *{line.split()!r}]\n"
        "import os; os._exit = lambda code: print(sorted({'click', 'msgspec', 'typing', 'transitions', 'watchdog', 're', 'enum'}"
        " & set(sys.modules)))\n"
        "from cli.entry import main; main()"
    )
    env = {"MYDOCKER_ROOT": str(tmp_path / "root"), "MYDOCKER_RUN_DIR": str(tmp_path / "run")}
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program], env=env, capture_output=True, text=True, check=False
    )

    assert done.stdout.splitlines()[-1] == "[]", done.stderr
