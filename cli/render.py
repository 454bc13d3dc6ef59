"""What commands print: the series' tables, JSON lines, templates, sizes, ages, local time; never a raw escape."""

from __future__ import annotations

import time

from cli.escape import json_line, safe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from typing import Any

MIN_CELL, GAP = 12, 3  # of Go's tabwriter as the series sets it
_SECOND = 1_000_000_000
_MINUTE, _HOUR = 60, 3600  # s
_DAY, _YEAR = 24, 365 * 24  # h
_DECIMAL = ("B", "kB", "MB", "GB", "TB", "PB", "EB")
_BINARY = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")


class Column:
    """A column: the field's name in templates and JSON, and its heading."""

    __slots__ = ("field", "heading")

    def __init__(self, field: str, heading: str) -> None:
        self.field, self.heading = field, heading


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Lines in the series' form: each cell but the last is padded to the widest and 3, and to 12 at least."""
    *padded, last = map(_safe_column, zip(headings, *rows, strict=True))
    return list(map("".join, zip(*map(_padded, padded), last, strict=True)))


def _safe_column(column: Sequence[str]) -> Sequence[str]:
    return column if "".join(column).isprintable() else [safe(cell) for cell in column]


def _padded(column: Sequence[str]) -> list[str]:
    if "".join(column).isascii():
        width = max(MIN_CELL, max(map(len, column)) + GAP)
        return [cell.ljust(width) for cell in column]
    width = max(MIN_CELL, *(_width(cell) + GAP for cell in column))
    return [_pad(cell, width) for cell in column]


def _pad(cell: str, width: int) -> str:
    return cell + " " * (width - _width(cell))


def _width(text: str) -> int:
    """Columns on a terminal: East Asian wide characters take two, combining ones none."""
    if text.isascii():
        return len(text)
    from unicodedata import combining, east_asian_width

    return sum(0 if combining(char) else 2 if east_asian_width(char) in "WF" else 1 for char in text)


def listing(
    rows: Iterable[Mapping[str, Any]],
    columns: Sequence[Column],
    form: str = "",
    *,
    fields: Sequence[str] = (),
) -> Iterator[str]:
    """Lines for `--format`: "" or "table" (the columns), "json", "table TEMPLATE" with headings, or TEMPLATE.

    A row maps field names to values; `fields` are those that have no column. InvalidValue names the
    fields where a template asks for another.
    """
    known = [column.field for column in columns] + list(fields)
    if form in ("", "table"):
        shown = [column.field for column in columns]
        yield from table(
            [column.heading for column in columns], ([_cell(row[field]) for field in shown] for row in rows)
        )
    elif form == "json":
        yield from (json_line({key: row[key] for key in known}) for row in rows)
    else:
        yield from _templated(rows, columns, form, known)


def _templated(
    rows: Iterable[Mapping[str, Any]], columns: Sequence[Column], form: str, known: Sequence[str]
) -> Iterator[str]:
    from cli.template import Template

    with_headings = form.startswith("table ")
    template = Template(form.removeprefix("table "), known)
    lines = (template.fill(row) for row in rows)
    if not with_headings:
        yield from lines
        return
    titles = {field: field.upper() for field in known} | {column.field: column.heading for column in columns}
    headings = template.fill(titles, plain=True).split("\t")
    cells = ((line.split("\t") + [""] * len(headings))[: len(headings)] for line in lines)
    yield from table(headings, cells)


def _cell(value: object) -> str:
    return value if isinstance(value, str) else "" if value is None else str(value)


def cut(text: str, width: int) -> str:
    """At most `width` characters of it, the last three of which are dots where some are missing."""
    return text if len(text) <= width else f"{text[: width - 3]}..."


def human_size(count: int) -> str:
    """Bytes in powers of 1000 and three digits, as docker's image sizes: 4.26MB."""
    return _scaled(count, 1000, _DECIMAL, digits=3)


def binary_size(count: int) -> str:
    """Bytes in powers of 1024 and four digits, as docker's memory: 5MiB, 1.465GiB."""
    return _scaled(count, 1024, _BINARY, digits=4)


def _scaled(count: int, base: int, units: Sequence[str], *, digits: int) -> str:
    power = 0
    while power < len(units) - 1 and float(f"{count / base**power:.{digits}g}") >= base:
        power += 1
    # Twice: "1e+03" is what three digits make of the largest numbers.
    return f"{float(f'{count / base**power:.{digits}g}'):g}{units[power]}"


def age(duration: int) -> str:
    """Nanoseconds in docker's words, "3 hours"; negative (a clock set back) counts as none."""
    seconds = max(duration, 0) // _SECOND
    minutes, hours = seconds // 60, (seconds + 1800) // 3600
    steps = [
        (seconds < 1, "Less than a second"),
        (seconds == 1, "1 second"),
        (seconds < _MINUTE, f"{seconds} seconds"),
        (minutes == 1, "About a minute"),
        (seconds < _HOUR, f"{minutes} minutes"),
        (hours == 1, "About an hour"),
        (hours < 2 * _DAY, f"{hours} hours"),
        (hours < 14 * _DAY, f"{hours // _DAY} days"),
        (hours < 60 * _DAY, f"{hours // _DAY // 7} weeks"),
        (hours < 2 * _YEAR, f"{hours // _DAY // 30} months"),
    ]
    return next((words for true, words in steps if true), f"{seconds // 3600 // _YEAR} years")


def local_time(moment: int) -> str:
    """Nanoseconds since the epoch as `2006-01-02 15:04:05` where we are."""
    try:
        return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(moment // _SECOND))
    except (OverflowError, ValueError, OSError):  # a year that the C library cannot say
        return f"@{moment // _SECOND}"


def documents(found: Sequence[dict[str, Any]], form: str | None) -> list[str]:
    """What `inspect` prints: one JSON text, for `json` in one line, or with a template a line for each."""
    if form is not None and form != "json":
        from cli.template import Template

        template = Template(form)
        return [template.fill(document) for document in found]
    import json  # lists do without

    return [json.dumps(found, separators=(",", ":")) if form else json.dumps(found, indent=4)]
