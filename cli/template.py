"""Templates for `--format`, filled with rows and documents: Go's language, as far as `template_parse` knows it."""

from __future__ import annotations

from cli.escape import json_line, safe
from cli.template_parse import OPTION, Parser
from machine.errors import InvalidValue

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

    from cli.template_parse import Node, Operand, Pipeline


class Template:
    """A template, checked against the fields it may ask for at the top level (any, where `known` is empty)."""

    def __init__(self, text: str, known: Sequence[str] = ()) -> None:
        self.text = text
        self._tree = Parser(text, known).tree

    def fill(self, row: Mapping[str, Any], *, plain: bool = False) -> str:
        """One row's text, safe for a terminal. `plain`: without the functions, for headings."""
        return "".join(_Filling(self.text, row, plain=plain).shown(self._tree, row))


class _Filling:
    def __init__(self, text: str, row: Mapping[str, Any], *, plain: bool) -> None:
        self.text, self.row, self.plain = text, row, plain
        self.variables: dict[str, Any] = {}

    def _error(self, why: str) -> InvalidValue:
        return InvalidValue(OPTION, self.text, why)

    def shown(self, tree: Sequence[Node], dot: Any) -> Iterator[str]:
        for node in tree:
            if isinstance(node, str):
                yield node
                continue
            word, names, pipeline, body, other = node
            value = self._value(pipeline, dot, may_lack=word in ("if", "with"))
            if word == "range":
                yield from self._each(names, value, body, other, dot)
                continue
            if names:
                self.variables[names[-1]] = value
            if word != "show":
                yield from self.shown(body if value else other, value if word == "with" and value else dot)
            elif not names:
                yield self._printed(pipeline[-1][0], value)

    def _printed(self, last: Operand, value: Any) -> str:
        """What stands in the template itself, and JSON, holds no escape that is not meant."""
        if self.plain or last[:2] not in (("call", "json"), ("call", "println")):
            return _text(value) if last[0] == "text" else safe(_text(value))
        return str(value) if last[1] == "json" else safe(value[:-1]) + value[-1]

    def _each(
        self, names: list[str], value: Any, body: Sequence[Node], other: Sequence[Node], dot: Any
    ) -> Iterator[str]:
        if value and not isinstance(value, (list, dict)) and not self.plain:
            raise self._error("range is for lists and maps")
        if not value or self.plain:
            yield from self.shown(other, dot)
            return
        for key, one in sorted(value.items()) if isinstance(value, dict) else enumerate(value):
            self.variables |= dict(zip(names[-2:], [key, one][-len(names) :], strict=True)) if names else {}
            yield from self.shown(body, one)

    def _value(self, pipeline: Pipeline, dot: Any, *, may_lack: bool = False) -> Any:
        piped: list[Any] = []
        for command in pipeline:
            head, *rest = command
            if head[0] != "call":
                piped = [self._operand(head, dot, may_lack=may_lack)]
            elif self.plain:
                fields = [operand for operand in rest if operand[0] != "text"]
                piped = [self._operand(fields[0], dot, may_lack=may_lack)] if fields else piped or [""]
            else:
                values = [self._operand(operand, dot, may_lack=may_lack) for operand in rest]
                piped = [self._call(head[1], [*values, *piped], _named(rest[0]) if rest else "what is piped")]
        return piped[0]

    def _operand(self, operand: Operand, dot: Any, *, may_lack: bool) -> Any:
        kind, start, *keys = operand
        if kind == "text":
            return start
        if kind == "pipe":
            return self._look(self._value(start, dot, may_lack=may_lack), "()", keys[0], may_lack=may_lack)
        if start in (".", "$"):
            return self._look(dot if start == "." else self.row, start[1:], keys[0], may_lack=may_lack)
        if start not in self.variables:
            raise self._error(f"no variable {start}")
        return self._look(self.variables[start], start, keys[0], may_lack=may_lack)

    def _look(self, value: Any, start: str, keys: Sequence[str], *, may_lack: bool) -> Any:
        for key in keys:
            if not isinstance(value, dict) or key not in value:
                if may_lack:  # asked for by a condition
                    return None
                path = f"{start}.{'.'.join(keys)}"
                fields = ", ".join(value) if isinstance(value, dict) and value else "none"
                raise self._error(f"no field {key!r} in {path} [fields: {fields}]")
            value = value[key]
        return value

    def _call(self, function: str, values: list[Any], what: str) -> Any:
        value, *more = values
        match function:
            case "json":
                return json_line(value)
            case "upper" | "lower" | "title":
                return getattr(_text(value), function)()
            case "len" if isinstance(value, (str, list, dict)):
                return len(value)
            case "join" if isinstance(value, list):
                return str(more[0]).join(map(_text, value))
            case "split" if more[0]:
                return _text(value).split(str(more[0]))
            case "index":
                return self._index(value, more, what)
            case "eq" | "ne":
                return (value == more[0]) == (function == "eq")
            case "not":
                return not value
            case "and" | "or":
                return next((one for one in values if bool(one) == (function == "or")), values[-1])
            case "print" | "println":
                return (
                    "".join(map(_text, values))
                    if function == "print"
                    else " ".join(map(_text, values)) + "\n"
                )
            case _:
                raise self._error(f"{function} does not apply to {what}")

    def _index(self, value: Any, keys: Sequence[Any], what: str) -> Any:
        for key in keys:
            if isinstance(value, dict):
                value = value.get(str(key), "")
            elif isinstance(value, list) and str(key).isdecimal() and int(key) < len(value):
                value = value[int(key)]
            else:
                raise self._error(f"index does not apply to {what}")
        return value


def _named(operand: Operand) -> str:
    """As it was typed, about."""
    kind, start, *keys = operand
    return (
        f"{start.rstrip('.')}.{'.'.join(keys[0])}"
        if kind == "path"
        else "(...)"
        if kind == "pipe"
        else repr(start)
    )


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return ""
    return json_line(value) if isinstance(value, (dict, list)) else str(value)
