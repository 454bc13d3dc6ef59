"""Every command line in the documents can be typed as it stands, and the guide leaves out no command of the past."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from cli.catalogue import SECTIONS
from cli.family import Family
from cli.main import mydocker

HERE = Path(__file__).resolve().parents[2]
GUIDE = (HERE / "docs" / "guide.md").read_text()
TEXTS = [(HERE / name).read_text() for name in ("README.md", "docs/guide.md", "docs/reliability.md")]
LINES = sorted({line for text in TEXTS for line in re.findall(r"^[$#] mydocker (.+)$", text, re.MULTILINE)})


@pytest.mark.parametrize("line", LINES)
def test_a_line_at_a_prompt_is_understood(line: str) -> None:
    words = shlex.split(line, comments=True)
    name, *args = words[: words.index("|")] if "|" in words else words
    command = mydocker.get_command(click.Context(mydocker), name)
    assert command is not None
    context = command.make_context(name, args)
    if isinstance(command, Family) and context._protected_args:
        typed = [*context._protected_args, *context.args]
        word, member, rest = command.resolve_command(context, typed)
        assert member is not None
        member.make_context(word, rest, parent=context)


@pytest.mark.parametrize("name", SECTIONS["The past"])
def test_each_command_of_the_past_is_in_the_guide(name: str) -> None:
    assert f"mydocker {name}" in GUIDE


def test_each_command_of_a_family_is_in_the_guide() -> None:
    for name in ("audit", "journal"):
        family = mydocker.get_command(click.Context(mydocker), name)
        assert isinstance(family, Family)
        for member in family.commands:
            assert f"{name} {member}" in GUIDE, member
