r"""The part of Go's templates that people give to `--format`: {{.Field.Sub}}, {{json .}}, a few functions.

`\t` and `\n` outside the braces are a tab and a new line, as docker has it. No `if`, no `range`.
"""

from __future__ import annotations

from cli.escape import json_line, safe
from machine.errors import InvalidValue

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

_OPTION = "--format"
_ESCAPES = {"t": "\t", "n": "\n", "\\": "\\", "r": "\r"}
_FUNCTIONS = {"json": 0, "upper": 0, "lower": 0, "len": 0, "join": 1, "index": 1}  # arguments after the value


class Template:
    """A template, checked against the fields it may ask for at the top level (any, where `known` is empty)."""

    def __init__(self, text: str, known: Sequence[str] = ()) -> None:
        self.text, self.known = text, known
        self.parts: list[str | list[str]] = []
        rest = text
        while rest:
            before, opening, rest = rest.partition("{{")
            self.parts.append(_unescaped(before))
            inside, closing, rest = rest.partition("}}") if opening else ("", "}}", "")
            if not closing:
                raise InvalidValue(_OPTION, text, "a {{ without its }}")
            if opening:
                self.parts.append(self._checked(_words(inside, text)))

    def _checked(self, words: list[str]) -> list[str]:
        function, *arguments = words or [""]
        if function.startswith(".") and not arguments:
            self._field(function)
        elif function not in _FUNCTIONS:
            known = ", ".join(_FUNCTIONS)
            raise InvalidValue(_OPTION, self.text, f"cannot do {function!r} [.Field and {known} are known]")
        elif len(arguments) != 1 + _FUNCTIONS[function] or not arguments[0].startswith("."):
            raise InvalidValue(_OPTION, self.text, f"{function} takes .Field and {_FUNCTIONS[function]} more")
        else:
            self._field(arguments[0])
        return words

    def _field(self, path: str) -> None:
        first = path[1:].partition(".")[0]
        if first and self.known and first not in self.known:
            raise InvalidValue(_OPTION, self.text, f"no field .{first} [fields: {', '.join(self.known)}]")

    def fill(self, row: Mapping[str, Any], *, plain: bool = False) -> str:
        """One row's text, safe for a terminal. `plain`: without the functions, for headings."""
        filled = []
        for part in self.parts:
            if isinstance(part, str):
                filled.append(part)
                continue
            words = part[1:2] if plain and len(part) > 1 else part
            filled.append(safe(self._value(words, row)) if words[0] != "json" else self._value(words, row))
        return "".join(filled)

    def _value(self, words: list[str], row: Mapping[str, Any]) -> str:
        if len(words) == 1:
            return _text(self._look(words[0], row))
        function, path, *arguments = words
        value = self._look(path, row)
        match function:
            case "json":
                return json_line(value)
            case "upper":
                return _text(value).upper()
            case "lower":
                return _text(value).lower()
            case "len" if isinstance(value, (str, list, dict)):
                return str(len(value))
            case "join" if isinstance(value, list):
                return arguments[0].join(map(_text, value))
            case "index" if isinstance(value, dict):
                return _text(value.get(arguments[0], ""))
            case "index" if (
                isinstance(value, list) and arguments[0].isdecimal() and int(arguments[0]) < len(value)
            ):
                return _text(value[int(arguments[0])])
        raise InvalidValue(_OPTION, self.text, f"{function} does not apply to {path}")

    def _look(self, path: str, row: Mapping[str, Any]) -> Any:
        value: Any = row
        for key in path[1:].split(".") if path != "." else ():
            if not isinstance(value, dict) or key not in value:
                fields = ", ".join(value) if isinstance(value, dict) and value else "none"
                raise InvalidValue(_OPTION, self.text, f"no field {key!r} in {path} [fields: {fields}]")
            value = value[key]
        return value


def _words(inside: str, text: str) -> list[str]:
    """What stands between the braces: words, and "quoted" ones without their quotes."""
    words, rest = [], inside.strip().strip("-").strip()
    while rest:
        if rest[0] in '"`':
            word, closing, rest = rest[1:].partition(rest[0])
            if not closing:
                raise InvalidValue(_OPTION, text, "a quote without its end")
        else:
            word, _, rest = rest.partition(" ")
        words.append(word)
        rest = rest.lstrip()
    return words


def _unescaped(text: str) -> str:
    made, rest = "", text
    while rest:
        before, slash, rest = rest.partition("\\")
        made += before
        if slash:
            made += _ESCAPES.get(rest[:1], slash + rest[:1])
            rest = rest[1:]
    return made


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return ""
    return json_line(value) if isinstance(value, (dict, list)) else str(value)
