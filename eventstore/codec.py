r"""Between an event and its line: encode, decode, and the chain link that ends the line.

A line: {"t":TAG,<envelope>,<own fields>,"d":DURABLE[,"m":MORE],"h":"<link>"}\n (docs/journal.md). Built on
the C half of the standard library's json, because `import msgspec` costs more than a whole append.
"""

from __future__ import annotations

import _json
from binascii import b2a_base64

from eventstore.errors import Malformed, NewerSchema
from eventstore.event import ENVELOPE, Event
from eventstore.schema import FRAME

try:
    from _sha256 import sha256  # type: ignore[import-not-found]  # typeshed has none of the C modules
except ImportError:  # Python 3.12
    from _sha2 import sha256  # type: ignore[import-not-found]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn, Protocol

    from eventstore.schema import Schema

    class Digest(Protocol):
        def digest(self) -> bytes: ...
        def hexdigest(self) -> str: ...
        def update(self, data: bytes, /) -> None: ...


GENESIS = "A" * 43  # the link before the first line: 32 zero bytes
END = len(',"h":"') + 43 + len('"}\n')  # bytes of a line behind what its link covers
_KEYS, _SCALARS = frozenset({str}), frozenset({str, bool, type(None)})
_LEAST, _MOST = -(1 << 63), (1 << 64) - 1  # the integers that every reader takes


def _refuse(what: object) -> NoReturn:
    raise Malformed(f"{what} is no value for an event")


class _Context:
    strict = True
    object_hook = None
    object_pairs_hook = None
    parse_float = _refuse
    parse_int = int
    parse_constant = _refuse


_scan = _json.make_scanner(_Context)  # type: ignore[arg-type]  # any object with these attributes will do
_chunks = _json.make_encoder(None, _refuse, _json.encode_basestring, None, ":", ",", False, False, False)


def fast_sha256() -> Callable[[bytes], Digest]:
    """OpenSSL's, three times as fast on long input and 3 ms of loading: for whole segments."""
    try:
        from _hashlib import openssl_sha256
    except ImportError:
        openssl_sha256 = sha256
    made: Callable[[bytes], Digest] = openssl_sha256
    return made


def check(value: Any) -> None:
    """Raise TypeError unless `value` is plain JSON that all readers understand: no floats, keys are str."""
    kind = type(value)
    if kind is dict:
        if not _KEYS.issuperset(map(type, value)):
            raise TypeError(
                f"key {next(key for key in value if type(key) is not str)!r} of an event is no string"
            )
        value = value.values()
    elif kind is not list and kind is not tuple:
        if kind not in _SCALARS and not (kind is int and _LEAST <= value <= _MOST):
            raise TypeError(f"{value!r} of {kind.__name__} cannot be in an event")
        return
    if _SCALARS.issuperset(map(type, value)):  # mostly, which saves a look at each
        return
    for item in value:
        kind = type(item)
        if kind not in _SCALARS and not (kind is int and _LEAST <= item <= _MOST):
            check(item)


def to_json(value: dict[str, Any]) -> bytes:
    r"""Compact UTF-8, the same bytes as msgspec.json.encode gives.

    A lone surrogate, which surrogateescape makes of a path that is not UTF-8 and which msgspec refuses,
    becomes its JSON escape \udcxx: `parse` gives back the same string.
    """
    text = "".join(_chunks(value, 0))
    try:
        return text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "backslashreplace")


def encode(event: Event) -> bytes:
    """The line of a stamped event, up to where its frame ("d", "m", "h") begins: an object without its closing brace.

    TypeError for values of its own fields that are not JSON, or that not every reader would read as they were;
    the envelope is the journal's.
    """
    have = event.__dict__
    own = {name: have[name] for name in event.fields}
    check(own)
    return to_json({"t": event.tag, **{name: have[name] for name in ENVELOPE}, **own})[:-1]


def link(prev: str, body: bytes) -> str:
    """SHA-256 over the previous line's link (its 43 characters) and this line's bytes before `,"h":"`; base64url."""
    digest = sha256(prev.encode() + body).digest()
    return b2a_base64(digest, newline=False)[:43].translate(_URLSAFE).decode()


_URLSAFE = bytes.maketrans(b"+/", b"-_")


def chain(lines: bytes, prev: str, sha256: Callable[[bytes], Digest] = sha256) -> tuple[int, int, str]:
    """(lines, bytes, link of the last) of the part of `lines` whose every link fits; `prev` is the link before it."""
    good, size, last = 0, 0, prev.encode()
    for line in lines.split(b"\n")[:-1]:
        made = b2a_base64(sha256(last + line[:-51]).digest(), newline=False)[:43].translate(_URLSAFE)
        if line[-51:] != b',"h":"%b"}' % made:
            break
        good, size, last = good + 1, size + len(line) + 1, made
    return good, size, last.decode()


def close(body: bytes, prev: str, *, durable: int, more: int) -> tuple[bytes, str]:
    """The whole line and its link. `durable`: lines up to this `n` are known to be on disk;
    `more`: so many lines of the same write follow, which exist together or not at all.
    """
    body += b',"d":%d,"m":%d' % (durable, more) if more else b',"d":%d' % durable
    made = link(prev, body)
    return b'%b,"h":"%b"}\n' % (body, made.encode()), made


def link_of(line: bytes) -> str:
    """The link that a whole line (with its newline) carries. Malformed unless it ends as every line does."""
    if line[-END : 6 - END] != b',"h":"' or line[-3:] != b'"}\n':
        raise Malformed("does not end in a link")
    return line[6 - END : -3].decode("latin-1")


def frame_of(line: bytes) -> tuple[int, int]:
    """(durable, more) of a whole line."""
    start = line.rfind(b',"d":', 0, -END)
    durable, mark, more = line[start + 5 : -END].partition(b',"m":')
    if start < 0 or not durable.isdigit() or (mark and not more.isdigit()):
        raise Malformed("has no durable mark")
    return int(durable), int(more or b"0")


def stream_of(line: bytes) -> bytes:
    """The stream of a line, still JSON-encoded: an unescaped quote cannot be inside it."""
    start = line.find(b',"s":"') + 6
    return line[start : line.find(b'","v":', start)]


def encoded(text: str) -> bytes:
    """A string as it is within a line."""
    return to_json({"": text})[5:-2]


def number_of(line: bytes) -> int:
    """The `n` of a line, which follows its tag. Malformed where it does not."""
    start = line.find(b'","n":') + 6
    number = line[start : line.find(b",", start)]
    if start < 6 or not number.isdigit():  # noqa: PLR2004 - not found
        raise Malformed("has no number")
    return int(number)


def time_of(line: bytes) -> int:
    """The `ts` of a line, which follows its number. Malformed where it does not."""
    start = line.find(b',"ts":') + 6
    try:
        return int(line[start : line.index(b",", start)])
    except ValueError:
        raise Malformed("has no time") from None


def parse(line: bytes) -> dict[str, Any]:
    """The JSON object of one line. Malformed for anything else."""
    try:
        text = line.decode()
        found, end = _scan(text, 0)
    except (ValueError, StopIteration, RecursionError) as error:
        raise Malformed("not JSON") from error
    if type(found) is not dict or text[end:] not in ("", "\n"):
        raise Malformed("not one JSON object")
    return found


def decode(line: bytes, schema: Schema, written: int | None = None) -> Event:
    """One line as an Event; `written`: the schema number it was written with, by default the newest.

    Unknown fields are skipped, absent ones take their default. NewerSchema for an unknown tag, Malformed otherwise.
    """
    values = parse(line)
    if written is not None and written != schema.number:
        values = schema.upcast(values, written)
    tag = values.get("t")
    kind = schema.by_tag.get(tag) if type(tag) is str else None
    if kind is None:
        raise NewerSchema(f"an event {tag!r}", schema.number)
    event = kind.__new__(kind)
    for name in FRAME:
        values.pop(name, None)
    if values.keys() == schema.keys[kind.tag]:
        event.__dict__ = values
        return event
    have = event.__dict__
    have.update(kind.defaults)
    try:
        for name in ENVELOPE:
            have[name] = values[name]
        for name in kind.fields:
            if name in values:
                have[name] = values[name]
            elif name not in have:
                raise KeyError(name)  # noqa: TRY301 - one message for both loops
    except KeyError as error:
        raise Malformed(f"{tag} without {error}") from None
    return event
