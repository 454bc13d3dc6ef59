"""Text that may hold anything, shown so that it cannot steer a terminal."""

from __future__ import annotations


def safe(text: str) -> str:
    r"""The text with everything that could steer a terminal shown as \xNN or \uNNNN.

    That is all of Unicode's controls, C0 and C1, ESC among them; format characters such as the bidi
    overrides; line separators; and bytes that were not UTF-8 (moby#6573 was such a name).
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _escaped(char) for char in text)


def _escaped(char: str) -> str:
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:  # noqa: PLR2004 - surrogateescape's range: a byte that was not UTF-8
        return f"\\x{code - 0xDC00:02x}"
    return repr(char)[1:-1] if code < 0xD800 or code > 0xDFFF else f"\\u{code:04x}"  # noqa: PLR2004 - surrogates


def json_line(value: object) -> str:
    r"""One line of JSON; what could steer a terminal is \u-escaped, the rest is left readable."""
    import json

    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _json_escaped(char) for char in text)


def _json_escaped(char: str) -> str:
    r"""The \uNNNN of each of its UTF-16 halves: json leaves DEL, C1 and what lies above U+FFFF as they are."""
    halves = char.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{halves[i]:02x}{halves[i + 1]:02x}" for i in range(0, len(halves), 2))
