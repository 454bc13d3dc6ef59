r"""JSON by the C half of the standard library alone: `import json` costs 8 ms, this nothing. LEAN.

For what our own processes tell each other and keep in files of their own. Text is \u-escaped, so that
strings with undecodable bytes (lone surrogates, from surrogateescape) come back as they were.
"""

from __future__ import annotations

import _json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def _refuse(value: object) -> Any:
    raise TypeError(f"{value!r} is not JSON")


class _Context:
    strict = True
    object_hook = None
    object_pairs_hook = None
    parse_float = float
    parse_int = int
    parse_constant = _refuse


_scan = _json.make_scanner(_Context)  # type: ignore[arg-type]  # it reads just these attributes
_encode = _json.make_encoder(
    None, _refuse, _json.encode_basestring_ascii, None, ":", ",", False, False, False
)


def dumps(value: Any) -> bytes:
    """Compact JSON, ASCII only. TypeError for anything that is not JSON."""
    return "".join(_encode(value, 0)).encode()


def loads(data: bytes) -> Any:
    """The inverse of `dumps`. ValueError for what is not one JSON value."""
    text = data.decode()
    try:
        value, end = _scan(text, 0)
    except StopIteration as error:
        raise ValueError(f"no JSON at character {error.value}") from None
    if text[end:].strip():
        raise ValueError(f"more than one JSON value: it ends at character {end}")
    return value
