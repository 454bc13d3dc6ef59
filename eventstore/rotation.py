"""Making segments: the first, the next, and the same one anew after a failed sync. All under the lock."""

from __future__ import annotations

import errno
import os

from eventstore.codec import GENESIS, close, encode, fast_sha256
from eventstore.errors import Corrupt, JournalExists, NetworkFileSystem, NotWritable, WriteFailed
from eventstore.limits import Lifted
from eventstore.lock import Lock
from eventstore.runstate import boot_id
from eventstore.schema import HOUSEKEEPING, SegmentHeader
from eventstore.segments import (
    FORMAT,
    LOCK,
    name_of,
    open_segment,
    segment_numbers,
    sync_directory,
    write_all,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from eventstore.cursor import Cursor
    from eventstore.event import Actor, Event
    from eventstore.schema import Schema

_TEMPORARY = "next.tmp"  # a leftover of an interrupted rotation is overwritten
_KEEP_SIZE = 1  # FALLOC_FL_KEEP_SIZE
_NO_RESERVATION = (errno.EOPNOTSUPP, errno.ENOSYS)
_NETWORK = (
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "9p",
    "ceph",
    "afs",
    "lustre",
    "gfs2",
    "ocfs2",
    "glusterfs",
    "beegfs",
)


def create(
    directory: str,
    schema: Schema,
    now: tuple[int, int],
    actor: Actor,
    *,
    deadline: float,
    segment_size: int,
) -> None:
    """A journal with nothing in it but its first header, on disk. JournalExists if there is one."""
    try:
        os.makedirs(directory, 0o700, exist_ok=True)
        os.chmod(directory, 0o700)
    except OSError as error:
        raise NotWritable(directory, os.strerror(error.errno or 0)) from None
    refuse_network(directory)
    lock = Lock(os.path.join(directory, LOCK), deadline)
    lock.acquire()
    try:
        if segment_numbers(directory):
            raise JournalExists(directory)
        lost = [name for name in ("snap", "torn", "idx", "archive") if name in os.listdir(directory)]
        if lost:
            raise Corrupt(name_of(1), 1, f"all segments are gone, {lost[0]} is there")
        uuid = os.urandom(16).hex()
        header = SegmentHeader(
            journal=uuid, schema=schema.number, fmt=FORMAT, compat=[], incompat=[], boot=boot_id(), prev={}
        )
        stamp(header, n=1, v=1, now=now, actor=actor, why="create")
        publish(directory, 1, close(encode(header), GENESIS, durable=0, more=0)[0], segment_size)
        sync_directory(os.path.dirname(os.path.abspath(directory)))
    finally:
        lock.release()
        lock.close()


def rotate(
    directory: str,
    header: SegmentHeader,
    at: Cursor,
    schema: Schema,
    segment_size: int,
    *,
    now: tuple[int, int],
    actor: Actor,
) -> None:
    """Seal the segment that ends at `at` and make the next one. WriteFailed: unless it is `doubtful`, nothing has changed."""
    file, synced = open_segment(directory, at.segment), False
    try:
        os.fdatasync(file)
        synced = True
        data = os.pread(file, at.offset, 0)
        prev: dict[str, int | str] = {
            "name": name_of(at.segment),
            "size": at.offset,
            "sha256": fast_sha256()(data).hexdigest(),
            "last": at.n,
        }
        following = SegmentHeader(
            journal=header.journal,
            schema=schema.number,
            fmt=FORMAT,
            compat=[],
            incompat=[],
            boot=boot_id(),
            prev=prev,
        )
        stamp(following, n=at.n + 1, v=next_version(header, data), now=now, actor=actor, why="rotation")
        line, _ = close(encode(following), at.h, durable=at.n, more=0)
        publish(directory, at.n + 1, line, segment_size)
        seal(file, at.offset)
    except OSError as error:
        made = os.path.exists(os.path.join(directory, name_of(at.n + 1)))
        raise WriteFailed(error.errno or 0, "a new segment", doubtful=made or not synced) from None
    finally:
        os.close(file)


def publish(directory: str, first: int, content: bytes, segment_size: int) -> None:
    """A segment that exists whole or not at all, with `segment_size` bytes of disk reserved for it."""
    temporary = os.path.join(directory, _TEMPORARY)
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
    file = os.open(temporary, flags, 0o600)
    try:
        os.fchmod(file, 0o600)
        reserve(file, segment_size)
        write_all(file, content)
        os.fsync(file)
        os.rename(temporary, os.path.join(directory, name_of(first)))
    except BaseException:
        os.unlink(temporary)
        raise
    finally:
        os.close(file)
    sync_directory(directory)


def reserve(file: int, size: int) -> None:
    """Blocks for `size` bytes, so that a full disk cannot stop the journal in the midst of a segment."""
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    call = getattr(libc, "fallocate64", None) or libc.fallocate
    call.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
    with Lifted():
        failed = call(file, _KEEP_SIZE, 0, size)
    if failed:
        number = ctypes.get_errno()
        if number not in _NO_RESERVATION:
            raise OSError(number, os.strerror(number))


def seal(file: int, size: int) -> None:
    """Read-only, and its unused reservation given back (ftruncate to the same size frees blocks behind it)."""
    os.fchmod(file, 0o400)
    writable = os.open(f"/proc/self/fd/{file}", os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.ftruncate(writable, size)
    finally:
        os.close(writable)


def next_version(header: SegmentHeader, data: bytes) -> int:
    """Version of the next housekeeping event: a segment's header has its own, and no string holds a raw newline."""
    return header.v + data.count(b'\n{"t":"%b.' % HOUSEKEEPING.encode()) + 1


def stamp(event: Event, *, n: int, v: int, now: tuple[int, int], actor: Actor, why: str) -> None:
    event.n, event.v, event.s = n, v, HOUSEKEEPING
    event.ts, event.up = now
    event.op, event.by, event.why = actor.op, actor.by, why


def refuse_network(directory: str) -> None:
    """NetworkFileSystem unless locks and flushes mean here what they mean on a local disk (by /proc/self/mountinfo)."""
    device = os.stat(directory).st_dev
    wanted = f"{os.major(device)}:{os.minor(device)}"
    with open("/proc/self/mountinfo", "rb") as mounts:
        for line in mounts.read().decode("utf-8", "surrogateescape").splitlines():
            before, _, behind = line.partition(" - ")
            kind = behind.split(" ", 1)[0]
            if before.split(" ")[2] == wanted and (kind in _NETWORK or kind.startswith("fuse.")):
                raise NetworkFileSystem(directory, kind)
