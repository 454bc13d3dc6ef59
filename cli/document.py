"""Commands that print one document of named values: for people, as JSON, or by a template."""

from __future__ import annotations

from cli.escape import json_line, safe
from cli.report import echo

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

GAP = 2


def show(document: dict[str, Any], form: str | None) -> None:
    """`form`: None for people, "json", or a template."""
    if form is None:
        for line in _lines(document):
            echo(line)
    elif form == "json":
        echo(json_line(document))
    else:
        from cli.template import Template

        echo(Template(form, list(document)).fill(document))


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
