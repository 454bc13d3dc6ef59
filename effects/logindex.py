"""The side index of a log file: when which of its bytes came, as records of 32 bytes. LEAN.

A log file holds the container's bytes and nothing else; all that is known about them lies beside it.
A record is `tag, 0, time, offset, count`: 4 bytes of text, then little-endian 32, 64, 64 and 64 bits.

BASE  the first record: `offset` is the logical offset (of all bytes since the container was made) of the
      file's first byte, `count` the inode number of the file, which tells whose index this is when a
      rotation was cut between two renames; `time` when the file was begun
DATA  the bytes up to `offset`, counted from the file's start, had come within 5 ms after `time`
LOST  `count` bytes that should follow `offset` were dropped, since the disk took no more

Times are nanoseconds since the epoch. A record lies within one sector and one page, so it is there
or not: what a power cut leaves is told by its tag, or by an offset that runs backwards or past the file.
"""

from __future__ import annotations

import errno
import os
import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    Record = tuple[bytes, int, int, int]  # tag, time, offset, count

BASE, DATA, LOST = b"BASE", b"DATA", b"LOST"
STREAMS = ("stdout", "stderr")
_LAYOUT = struct.Struct("<4sIQQQ")
SIZE = _LAYOUT.size
_NEVER = -(1 << 62)
# Movements this close together share one record, so that a flood does not swell the index.
_GROUP_NS = 5_000_000


def log_name(stream: str, age: int) -> str:
    """The name of a stream's log file in the log directory; age 0 is the one being written."""
    return f"{stream}.{age}" if age else stream


def index_name(stream: str, age: int) -> str:
    return log_name(stream, age) + ".idx"


def pack(tag: bytes, time: int, offset: int, count: int = 0) -> bytes:
    return _LAYOUT.pack(tag, 0, time, offset, count)


def unpack(data: bytes) -> list[Record]:
    """All whole records in `data`, well formed or not."""
    whole = len(data) // SIZE * SIZE
    return [(tag, time, offset, count) for tag, _, time, offset, count in _LAYOUT.iter_unpack(data[:whole])]


def read_record(fd: int, number: int) -> Record | None:
    """The record of this number, from 0; None past the index's end."""
    data = os.pread(fd, SIZE, number * SIZE)
    return unpack(data)[0] if len(data) == SIZE else None


def read_base(fd: int) -> Record | None:
    """The first record, if it is what it should be."""
    first = read_record(fd, 0)
    return first if first and first[0] == BASE else None


def base_of(name: str, dir_fd: int) -> tuple[int, int] | None:
    """The inode number of the log that an index belongs to, and the logical offset where that log begins;
    None if there is no such index or it does not say.
    """
    try:
        fd = os.open(name, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW, dir_fd=dir_fd)
    except FileNotFoundError:
        return None
    try:
        first = read_base(fd)
    finally:
        os.close(fd)
    return (first[3], first[2]) if first else None


class IndexWriter:
    """The index of the log file that is being written, kept true to it after every movement of bytes.

    `base` is the logical offset of the file's first byte, `end` the size of the index in bytes.
    Any method may raise the OSError of a full or broken disk; times are lost then, and nothing else.
    """

    def __init__(self, name: str, dir_fd: int, *, base: int, log_fd: int) -> None:
        """Opens or begins the index of the open log; `base` counts where the index itself cannot tell."""
        log = os.fstat(log_fd)
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        self._fd = os.open(name, flags, 0o600, dir_fd=dir_fd)
        try:
            os.fchmod(self._fd, 0o600)  # whatever the umask
            self.base = self._begin(base, log)
            self._recover(log)
        except OSError:
            self.close()
            raise

    def _begin(self, base: int, log: os.stat_result) -> int:
        first = read_base(self._fd)
        if first is None:
            os.ftruncate(self._fd, 0)
            self._put(0, pack(BASE, log.st_mtime_ns, base, log.st_ino))
            return base
        if first[3] != log.st_ino:  # the directory was copied
            self._put(0, pack(BASE, first[1], first[2], log.st_ino))
        return first[2]

    def _recover(self, log: os.stat_result) -> None:
        """Drop records of bytes that a power cut took; note bytes that came just before a death."""
        count = max(os.fstat(self._fd).st_size // SIZE, 1)
        covered = 0
        while count > 1:
            last = read_record(self._fd, count - 1)
            if last and last[0] in (DATA, LOST) and last[2] <= log.st_size:
                covered = last[2]
                break
            count -= 1
        os.ftruncate(self._fd, count * SIZE)
        self.end = count * SIZE
        self._group = _NEVER
        if covered < log.st_size:
            self.note(log.st_mtime_ns, log.st_size)

    def note(self, time: int, offset: int, *, fresh: bool = False) -> None:
        """The log is `offset` bytes long by now: stretches the last record if it is young enough and
        `fresh` does not ask for one of its own.
        """
        if not fresh and 0 <= time - self._group < _GROUP_NS:
            self._put(self.end - SIZE, pack(DATA, self._group, offset))
            return
        self._append(pack(DATA, time, offset))
        self._group = time

    def lost(self, time: int, offset: int, count: int) -> None:
        self._append(pack(LOST, time, offset, count))
        self._group = _NEVER

    def close(self) -> None:
        os.close(self._fd)

    def _append(self, record: bytes) -> None:
        self._group = _NEVER
        self._put(self.end, record)
        self.end += SIZE

    def _put(self, at: int, record: bytes) -> None:
        if os.pwrite(self._fd, record, at) != SIZE:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), f"index record at {at}")
