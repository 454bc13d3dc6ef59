r"""Go's template language, as far as people type it for `--format`, made into a tree. Pure.

A tree is a list of nodes; a node is text, or (word, names, pipeline, tree, tree), where the word is
    show     {{.A}}, or {{$x := .A}} where there is a name; both trees are empty
    if, with, range     the second tree is for {{else}}
A pipeline is a list of commands, each a list of operands: ("text", value), ("call", function), ("path", start, keys)
with `.`, `$` or `$name` as its start, and ("pipe", pipeline, keys) for what stands in parentheses.

`\t` and `\n` outside the braces are a tab and a new line, as docker has it.
"""

from __future__ import annotations

from machine.errors import InvalidValue

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any, TypeAlias

    Operand: TypeAlias = tuple[Any, ...]
    Pipeline: TypeAlias = list[list[Operand]]
    Node: TypeAlias = str | tuple[str, list[str], Pipeline, list[Any], list[Any]]

OPTION = "--format"
_ESCAPES = {"t": "\t", "n": "\n", "\\": "\\", "r": "\r"}
_CONTROLS = ("if", "with", "range")
_ENDS = ("else", "end")
_QUOTES = '"`'
_DELIMITERS = ' \t\n()|,="`'
_CONSTANTS = {"true": True, "false": False, "nil": None}
_ANY = 99
# name -> how many operands it takes, at least and at most
FUNCTIONS = {
    **dict.fromkeys(("json", "upper", "lower", "title", "len", "not"), (1, 1)),
    **dict.fromkeys(("join", "split", "eq", "ne"), (2, 2)),
    "index": (2, _ANY),
    **dict.fromkeys(("and", "or", "print", "println"), (1, _ANY)),
}


class Parser:
    """`tree` of a template, checked against the fields that there are at its top (any, where `known` is empty)."""

    def __init__(self, text: str, known: Sequence[str]) -> None:
        self.text, self.known = text, known
        self._parts = _parts(text)
        self._inner = 0  # how many `range` and `with` are open: in them, the dot is no row
        self.tree, ended = self._block()
        if ended:
            raise self._error(f"{ended[0]} without its beginning")

    def _error(self, why: str) -> InvalidValue:
        return InvalidValue(OPTION, self.text, why)

    def _block(self) -> tuple[list[Node], list[str]]:
        """The nodes until an `else` or `end` of its own, and the words of that; none at the text's end."""
        tree: list[Node] = []
        for part in self._parts:
            if isinstance(part, str):
                tree.append(part)
            elif part[0] in _ENDS:
                return tree, part
            elif part[0] in _CONTROLS:
                tree.append(self._control(part))
            elif not part[0].startswith("/*"):
                tree.append(("show", *self._declared(part), [], []))
        return tree, []

    def _control(self, words: list[str]) -> Node:
        names, pipeline = self._declared(words[1:])
        depth = words[0] != "if"
        self._inner += depth
        body, ended = self._block()
        self._inner -= depth
        other: list[Node] = []
        if ended[1:2] and ended[1] in _CONTROLS:  # `else if`: one `end` for both
            return words[0], names, pipeline, body, [self._control(ended[1:])]
        if ended == ["else"]:
            other, ended = self._block()
        if ended != ["end"]:
            raise self._error(f"{words[0]} without its end")
        return words[0], names, pipeline, body, other

    def _declared(self, words: list[str]) -> tuple[list[str], Pipeline]:
        """The variables that are set, and to what: `$i, $x := .A`."""
        names: list[str] = []
        if ":=" in words or "=" in words:
            place = words.index(":=" if ":=" in words else "=")
            names, words = [word for word in words[:place] if word != ","], words[place + 1 :]
            if not names or not all(name.startswith("$") for name in names):
                raise self._error("expected $NAME before :=")
        pipeline, rest = self._pipeline(words)
        if rest:
            raise self._error(f"{rest[0]} without its beginning")
        return names, pipeline

    def _pipeline(self, words: list[str]) -> tuple[Pipeline, list[str]]:
        """Commands until the text's end, or the parenthesis that closes; and what is left, with that."""
        pipeline: Pipeline = [[]]
        while words and not words[0].startswith(")"):
            word, words = words[0], words[1:]
            if word == "|":
                pipeline.append([])
            elif word == "(":
                inner, words = self._pipeline(words)
                if not words:
                    raise self._error("a ( without its )")
                keys = words[0][1:].split(".")[1:]
                pipeline[-1].append(("pipe", inner, keys))
                words = words[1:]
            else:
                pipeline[-1].append(self._operand(word, first=not pipeline[-1]))
        for place, command in enumerate(pipeline):
            self._check(command, piped=place > 0)
        return pipeline, words

    def _operand(self, word: str, *, first: bool) -> Operand:
        if not word:
            raise self._cannot(word)
        if word[0] in _QUOTES:
            return "text", word[1:]
        if word[0] in ".$":
            start, _, path = word.partition(".")
            keys = path.split(".") if path else []
            if (
                keys
                and self.known
                and keys[0] not in self.known
                and (start == "$" or not (start or self._inner))
            ):
                raise self._error(f"no field .{keys[0]} [fields: {', '.join(self.known)}]")
            return "path", start or ".", keys
        if word.removeprefix("-").isdecimal() and word.isascii():
            return "text", int(word)
        if word in _CONSTANTS:
            return "text", _CONSTANTS[word]
        if first and word in FUNCTIONS:
            return "call", word
        raise self._cannot(word)

    def _cannot(self, word: str) -> InvalidValue:
        known = ", ".join(["range", "if", "with", *FUNCTIONS])
        return self._error(f"cannot do {word!r} [.Field and {known} are known]")

    def _check(self, command: list[Operand], *, piped: bool) -> None:
        if not command:
            raise self._cannot("")
        kind, what = command[0][0], command[0][1]
        if kind != "call":
            if piped or len(command) > 1:
                raise self._cannot(
                    str(what)
                    if kind == "text"
                    else what + ".".join(command[0][2])
                    if kind == "path"
                    else "()"
                )
            return
        least, most = FUNCTIONS[what]
        if not least <= len(command) - 1 + piped <= most:
            raise self._error(f"{what} takes .Field and {least - 1} more")


def _parts(text: str) -> Iterator[str | list[str]]:
    """Text as it stands, and the words between braces; {{- and -}} take the white space beside them away."""
    rest, trim = text, False
    while rest:
        before, opening, rest = rest.partition("{{")
        inside, closing, rest = rest.partition("}}") if opening else ("", "}}", "")
        if not closing:
            raise InvalidValue(OPTION, text, "a {{ without its }}")
        shown = _unescaped(before)
        shown = shown.lstrip() if trim else shown
        trim = inside[-1:] == "-" and inside[-2:-1].isspace()
        left = inside[:1] == "-" and inside[1:2].isspace()
        yield shown.rstrip() if left else shown
        if opening:
            yield list(_words(inside[left : len(inside) - trim], text)) or [""]


def _words(inside: str, text: str) -> Iterator[str]:
    """Words, marks, and quoted ones, which keep the quote before them; a `)` with the fields after it."""
    rest = inside.strip()
    while rest:
        if rest.startswith("/*"):
            yield rest
            return
        if rest[0] in _QUOTES:
            quote = rest[0]
            word, closing, rest = rest[1:].partition(quote)
            if not closing:
                raise InvalidValue(OPTION, text, "a quote without its end")
            yield '"' + (_unescaped(word) if quote == '"' else word)
        elif rest.startswith(":="):
            yield rest[:2]
            rest = rest[2:]
        else:
            end = next(
                (n for n, char in enumerate(rest) if n and (char in _DELIMITERS or rest[n : n + 2] == ":=")),
                len(rest),
            )
            end = 1 if rest[0] in "(|,=" else end
            yield rest[:end]
            rest = rest[end:]
        rest = rest.lstrip()


def _unescaped(text: str) -> str:
    made, rest = "", text
    while rest:
        before, slash, rest = rest.partition("\\")
        made += before
        if slash:
            made += _ESCAPES.get(rest[:1], slash + rest[:1])
            rest = rest[1:]
    return made
