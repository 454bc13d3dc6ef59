"""Commands that print one document of named values: for people, as JSON, or by a template."""

from __future__ import annotations

from typing import Any

import click

from cli.escape import json_line, safe

GAP = 2


def show(document: dict[str, Any], form: str | None) -> None:
    """`form`: None for people, "json", or a template."""
    if form is None:
        for line in _lines(document):
            click.echo(line)
    elif form == "json":
        click.echo(json_line(document))
    else:
        from cli.template import Template

        click.echo(Template(form, list(document)).fill(document))


def _lines(document: dict[str, Any], indent: str = "") -> list[str]:
    """`Name: value`, the values below each other; what a value itself holds is indented below its name."""
    width = max((len(name) for name in document), default=0) + GAP
    lines = []
    for name, value in document.items():
        if isinstance(value, dict):
            lines += [f"{indent}{safe(name)}:", *_lines(value, f"{indent}  ")]
        else:
            lines.append(f"{indent}{f'{safe(name)}:':<{width}}{safe(_text(value))}".rstrip())
    return lines


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)
