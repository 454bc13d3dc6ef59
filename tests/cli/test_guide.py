"""docs/guide.md: every command line in it can be typed as it stands, and no command of the past is left out."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from cli.catalogue import SECTIONS
from cli.family import Family
from cli.main import mydocker

GUIDE = (Path(__file__).resolve().parents[2] / "docs" / "guide.md").read_text()
LINES = sorted(set(re.findall(r"^\$ mydocker (.+)$", GUIDE, re.MULTILINE)))


@pytest.mark.parametrize("line", LINES)
def test_a_line_of_the_guide_is_understood(line: str) -> None:
    name, *args = shlex.split(line)
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
