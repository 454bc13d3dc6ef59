"""What is done once per boot, or after a failed write: cut what was torn, keep it, say so. Under the lock."""

from __future__ import annotations

import os
import stat

from eventstore.archive import open_source
from eventstore.codec import END, GENESIS, chain, close, encode, fast_sha256, link_of
from eventstore.errors import Corrupt, JournalMissing, Malformed, WriteFailed
from eventstore.rotation import next_version, publish, refuse_network, stamp
from eventstore.schema import Repaired
from eventstore.segments import header_of, name_of, open_segment, segment_numbers, sync_directory, write_all
from eventstore.tail import whole_writes
from eventstore.torn import known_written, whole_lines

TYPE_CHECKING = False
if TYPE_CHECKING:
    from eventstore.event import Actor
    from eventstore.schema import Schema, SegmentHeader


def recover(
    directory: str, schema: Schema, now: tuple[int, int], actor: Actor, *, accept_loss: bool = False
) -> tuple[int, int]:
    """Walk the last segment; cut and keep what is torn. (n of the last line, all on disk now; the segment).

    `actor`: who and which command the journal shall name for it.
    Corrupt if bytes are damaged that somebody was told are written: those are cut only with `accept_loss`.
    """
    refuse_network(directory)
    numbers = segment_numbers(directory)
    if not numbers:
        raise JournalMissing(directory)
    last = numbers[-1]
    try:
        file = open_segment(directory, last, os.O_RDWR | os.O_APPEND)
        try:
            header = header_of(file, last, schema)
            if not os.fstat(file).st_mode & stat.S_IWUSR:
                raise Corrupt(name_of(last), 1, "is sealed, and the segment behind it is missing")
            before = _link_before(directory, header)
            return _recover_segment(
                directory, file, header, actor, before=before, now=now, accept_loss=accept_loss
            ), last
        finally:
            os.close(file)
    except OSError as error:
        raise WriteFailed(error.errno or 0, "the repair of a torn end") from None


def _link_before(directory: str, header: SegmentHeader) -> str:
    """The link of the line before a segment, from the file that its header says it was made behind."""
    prev = header.prev
    if not prev:
        return GENESIS
    name, size = str(prev.get("name")), prev.get("size")
    try:
        source = open_source(directory, int(name.partition(".")[0]))
    except (FileNotFoundError, ValueError):
        raise Corrupt(name, 1, "the segment is missing") from None
    with source:
        if source.size != size:
            raise Corrupt(name, 1, f"has {source.size} bytes, sealed were {size}")
        source.make_read_only()  # a crash may have come between the rotation's rename and this
        try:
            return link_of(source.read(END, source.size - END))
        except Malformed as error:
            raise Corrupt(name, 1, f"its last line {error}") from None


def _recover_segment(
    directory: str,
    file: int,
    header: SegmentHeader,
    actor: Actor,
    *,
    before: str,
    now: tuple[int, int],
    accept_loss: bool,
) -> int:
    first = header.n
    data = os.pread(file, os.fstat(file).st_size, 0)
    good, size, _ = chain(data, before, fast_sha256())
    if not good:
        raise Corrupt(name_of(first), 1, "the header does not follow the line before it")
    end = whole_writes(data[:size])
    n = first + data.count(b"\n", 0, end) - 1
    os.fdatasync(file)
    if end == len(data):
        return n
    if _only_newline_missing(data, end):
        write_all(file, b"\n")
        data += b"\n"
        n += data.count(b"\n", end)
        end = len(data)
    known = known_written(file, end, n, link_of(data[end - END : end]))
    if known > n and not accept_loss:
        raise Corrupt(name_of(first), n - first + 2, f"damaged, though lines up to {known} were written")
    rest = data[end:]
    kept = _keep(directory, n + 1, now[0], rest) if rest else ""
    repaired = _repaired(name_of(first), end, rest, kept)
    version = next_version(header, data[:end])
    stamp(repaired, n=n + 1, v=version, now=now, actor=actor, why="user" if accept_loss else "recovery")
    os.ftruncate(file, end)
    write_all(file, close(encode(repaired), link_of(data[end - END : end]), durable=n, more=0)[0])
    os.fsync(file)
    return n + 1


def _repaired(segment: str, offset: int, rest: bytes, kept: str) -> Repaired:
    digest = fast_sha256()(rest).hexdigest()
    lines = len(whole_lines(rest))
    return Repaired(segment=segment, offset=offset, length=len(rest), sha256=digest, lines=lines, kept=kept)


def _only_newline_missing(data: bytes, end: int) -> bool:
    """Whether what is behind `end` would be complete events with one more newline: then none of them is cut off."""
    rest = data[end:] + b"\n"
    return chain(rest, link_of(data[end - END : end]))[1] == len(rest) == whole_writes(rest)


def _keep(directory: str, n: int, ts: int, rest: bytes) -> str:
    """The name, relative to the journal, of the file that now has the bytes that will be cut off."""
    torn = os.path.join(directory, "torn")
    os.makedirs(torn, 0o700, exist_ok=True)
    name = f"{n:020d}-{ts}"
    file = os.open(os.path.join(torn, name), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        write_all(file, rest)
        os.fsync(file)
    finally:
        os.close(file)
    sync_directory(torn)
    sync_directory(directory)
    return f"torn/{name}"


def write_anew(directory: str, schema: Schema, now: tuple[int, int], actor: Actor, segment_size: int) -> None:
    """After a failed sync: the last segment's bytes in a new file under the same name, synced as a whole.

    The kernel marks pages clean after a failed write-back, so a second fsync of the old file would
    prove nothing. Where the pages are gone the chain breaks, and what was not acknowledged is cut.
    """
    last = segment_numbers(directory)[-1]
    try:
        file = open_segment(directory, last)
        try:
            data = os.pread(file, os.fstat(file).st_size, 0)
        finally:
            os.close(file)
        publish(directory, last, data, segment_size)
    except OSError as error:
        raise WriteFailed(
            error.errno or 0, "an earlier sync failed, and a copy of the segment as well"
        ) from None
    recover(directory, schema, now, actor)
