"""Is the journal what was written? Every line, seal and version is checked; each finding has its place.

Proves that nobody altered it by accident, or by hand without rewriting all that follows. Whoever may
write the files may rewrite all of it: only a head kept elsewhere (`eventstore.seal`) shows that.
"""

from __future__ import annotations

import hashlib
import os
import stat
from typing import NamedTuple

import msgspec

from eventstore.archive import all_numbers, open_any, open_source
from eventstore.codec import GENESIS, chain, fast_sha256, link_of, parse
from eventstore.errors import Corrupt, JournalError, JournalMissing, Malformed
from eventstore.schema import Repaired, SegmentHeader
from eventstore.segments import FORMAT, name_of, segment_numbers
from eventstore.tail import PIECE, whole_writes
from eventstore.torn import known_written

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


class Finding(NamedTuple):
    """One thing that is wrong, at line `line` (from 1, 0: the file as such) of a segment."""

    segment: str
    line: int
    what: str

    def __str__(self) -> str:
        return (
            f"{self.segment} line {self.line}: {self.what}" if self.line else f"{self.segment}: {self.what}"
        )


class Report(NamedTuple):
    """What was checked and found: up to line `n`, whose link is `h`.

    `torn`: bytes of an unfinished write behind it, which the next recovery will cut off and keep.
    """

    journal: str
    segments: int
    n: int
    h: str
    torn: int
    findings: list[Finding]


class Envelope(msgspec.Struct, gc=False):
    """What is checked of every line whatever its tag."""

    t: str
    n: int
    s: str
    v: int
    d: int
    m: int = 0


_envelopes = msgspec.json.Decoder(Envelope).decode_lines
_envelope = msgspec.json.Decoder(Envelope).decode


def _envelope_of(line: bytes) -> Envelope:
    try:
        return _envelope(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return msgspec.convert(parse(line), Envelope)  # msgspec takes no lone surrogates, which we do


def verify(directory: str, progress: Callable[[int, int], None] = lambda _done, _all: None) -> Report:
    """Check everything, archived segments included. JournalMissing, NotReadable; damage is in the report."""
    numbers = all_numbers(directory)
    if not numbers:
        raise JournalMissing(directory)
    check = _Check(directory)
    if numbers[0] != 1:
        check.find(name_of(1), 0, f"missing, with all lines before {numbers[0]}")
    live = segment_numbers(directory)
    for done, first in enumerate(numbers):
        progress(done, len(numbers))
        check.segment(first, last=first == numbers[-1] and first in live)
    progress(len(numbers), len(numbers))
    return Report(check.journal, len(numbers), check.n, check.h, check.torn, check.findings)


class _Check:
    """Goes through the segments in order; after a finding it goes on with what the line itself says."""

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self.findings: list[Finding] = []
        self.journal = ""
        self.torn = 0
        self.h = GENESIS
        self.n = 0
        self.more = 0
        self.versions: dict[str, int] = {}
        self._gap = False  # lines are missing: streams may go on at any version, the chain at any link
        self._name = ""
        self._line = 0
        self._seal: dict[str, object] | None = None  # what the next header must say

    def find(self, name: str, line: int, what: str) -> None:
        self.findings.append(Finding(name, line, what))

    def _here(self, what: str) -> None:
        if not self.findings or self.findings[-1][:2] != (
            self._name,
            self._line,
        ):  # the first reason is enough
            self.find(self._name, self._line, what)

    def segment(self, first: int, *, last: bool) -> None:
        self._name, self._line = name_of(first), 0
        try:
            file = open_any(self.directory, first)
        except Corrupt as error:
            self.find(self._name, 0, error.what)
            self._seal, self.n = None, 0
            self._after_gap()
            return
        try:
            self._lines_of(file, first, last=last)
        finally:
            os.close(file)

    def _after_gap(self) -> None:
        self._gap = True
        self.versions.clear()
        self.h, self.more = "", 0

    def _lines_of(self, file: int, first: int, *, last: bool) -> None:
        size = os.fstat(file).st_size
        if self.n and self.n + 1 != first:
            self.find(name_of(self.n + 1), 0, "missing, or the segment before it was cut")
        if self.n + 1 != first:
            self.n, self._seal = first - 1, None
            self._after_gap()
        if last and not os.fstat(file).st_mode & stat.S_IWUSR:
            self._here("is sealed, and the segment behind it is missing")
        end = self._before_torn(file, first, size) if last else size
        digest, offset = fast_sha256()(b""), 0
        while offset < end:
            piece = os.pread(file, min(PIECE, end - offset), offset)
            whole = piece.rfind(b"\n") + 1
            if not whole:
                piece = os.pread(file, end - offset, offset)
                whole = piece.rfind(b"\n") + 1
            if not whole:
                break
            digest.update(piece[:whole])
            self._lines(piece[:whole])
            offset += whole
        if offset < end or self.more:
            self._line += 1
            self._here("the segment does not end with a whole write")
        self._seal = {"name": self._name, "size": size, "sha256": digest.hexdigest(), "last": self.n}

    def _before_torn(self, file: int, first: int, size: int) -> int:
        """Where the unfinished write begins, if all that is wrong with the last segment may be one."""
        data = os.pread(file, size, 0)
        end = whole_writes(data[: chain(data, self.h, fast_sha256())[1]])
        n = first - 1 + data.count(b"\n", 0, end)
        if not end or known_written(file, end, n, link_of(data[:end])) > n:
            return size
        self.torn = size - end
        return end

    def _lines(self, lines: bytes) -> None:
        """The usual case at full speed; only a piece with something wrong is looked at line by line."""
        good, _, h = chain(lines, self.h, fast_sha256())
        try:
            envelopes = _envelopes(lines)
        except (msgspec.DecodeError, UnicodeDecodeError):
            envelopes = []
        if good and good == len(envelopes):
            raw = lines.split(b"\n") if self._line == 0 or b'{"t":"journal.' in lines else []
            for number, envelope in enumerate(envelopes):
                self._line += 1
                self._event(envelope, raw[number] if raw else b"")
            self.h = h
            return
        for line in lines.split(b"\n")[:-1]:
            self._line += 1
            self._one(line + b"\n")

    def _one(self, line: bytes) -> None:
        try:
            h = link_of(line)
            fits = chain(line, self.h)[0] == 1
            self.h = h
        except Malformed as error:
            self._here(str(error))
            self.h, self.n = "", self.n + 1
            return
        if not fits and self.h:
            self._here("the chain breaks here")
        try:
            self._event(_envelope_of(line), line)
        except (msgspec.ValidationError, Malformed) as error:
            self._here(f"not an event: {error}")
            self.n += 1

    def _event(self, event: Envelope, line: bytes) -> None:
        if event.n != self.n + 1:
            self._here(f"has number {event.n}, expected {self.n + 1}")
        self.n = event.n
        expected = self.versions.get(event.s, event.v - 1 if self._gap else 0) + 1
        if event.v != expected:
            self._here(f"version {event.v} of {event.s}, expected {expected}")
        self.versions[event.s] = event.v
        if event.d >= event.n:
            self._here(f"says that line {event.d} was on disk before it was written")
        if self.more and event.m != self.more - 1:
            self._here(f"{self.more} lines of the write before it are missing")
        self.more = event.m
        if event.t == SegmentHeader.tag or self._line == 1:
            self._header(event, line)
        elif event.t == Repaired.tag:
            self._repair(parse(line))

    def _header(self, event: Envelope, line: bytes) -> None:
        if event.t != SegmentHeader.tag or self._line != 1:
            self._here("a segment's header is its first line, and only that")
            return
        try:
            header = parse(line)
            journal, prev = header["journal"], header["prev"]
            known = header["fmt"] <= FORMAT and not header["incompat"]
        except (Malformed, KeyError, TypeError):
            self._here("not a segment's header")
            return
        if not known:
            self._here(f"format {header['fmt']} {header['incompat']} is unknown")
        self.journal = self.journal or journal
        if journal != self.journal:
            self._here(f"belongs to journal {journal}")
        if self._seal is not None and prev != self._seal:
            wrong = [key for key, value in self._seal.items() if prev.get(key) != value]
            self.find(str(self._seal["name"]), 0, f"is not as it was sealed: {', '.join(wrong)} differ")

    def _repair(self, repaired: dict[str, Any]) -> None:
        if not repaired["length"]:
            return  # only a newline was missing
        try:
            with open(os.path.join(self.directory, repaired["kept"]), "rb") as file:
                kept = hashlib.sha256(file.read()).hexdigest()
        except OSError:
            kept = ""
        if kept != repaired["sha256"]:
            self._here(f"the bytes that this repair cut off are not in {repaired['kept']}")


def link_at(directory: str, n: int) -> str | None:
    """The link of line `n`, or None if there is no such line."""
    numbers = [first for first in all_numbers(directory) if first <= n]
    if not numbers:
        return None
    try:
        with open_source(directory, numbers[-1]) as source:
            lines = source.read(source.size, 0).split(b"\n")[:-1]
        return link_of(lines[n - numbers[-1]] + b"\n")
    except (JournalError, IndexError):
        return None
