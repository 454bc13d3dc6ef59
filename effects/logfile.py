"""One stream's log: bytes go from the container's FIFO into a file without passing through us. LEAN.

The files of a stream, in the container's log directory: `stdout` is being written, `stdout.1` came before
it, `stdout.2` before that; beside each its index (`effects.logindex`). Logical offsets count all bytes since
the container was made, across rotations and across restarts of the monitor; dropped bytes do not count.

splice(2) moves a byte from the pipe to the page cache in one step: the death of this process at any moment
loses none and doubles none, and the next one goes on at the file's end. The kernel refuses to splice into a
file opened with O_APPEND, so the end is kept here; the container's lock makes us the only writer.
"""

from __future__ import annotations

import errno
import os
import time

from effects.logindex import IndexWriter, base_of, index_name, log_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

MAX_SIZE, KEEP = 64 << 20, 3
_STEP = 1 << 20  # at most this much in one take, so that the other stream has its turn
_CHUNK = 1 << 16
_SMALL_INDEX = 4096  # a page, which even the index of a tiny log may fill
# What the log's disk may answer. The container must go on, so its bytes are dropped and counted.
_LOSSES = frozenset(
    (
        errno.ENOSPC,
        errno.EDQUOT,
        errno.EIO,
        errno.EFBIG,  # the caller's ulimit -f
        errno.EROFS,
        errno.ENOENT,  # somebody removed the directory
        errno.ESTALE,
        errno.ENOMEM,
        errno.EMFILE,
        errno.ENFILE,
    )
)


class Turn:
    """Shared by the writers of one container: whoever moved bytes last.

    A writer begins a new index record when the other one has moved meanwhile, however short ago, so that
    the order of stdout and stderr can be told from their indexes.
    """

    last: LogWriter | None = None


class LogWriter:
    """Moves bytes into the log files of one stream, and never blocks or fails on their account.

    `lost` counts the bytes dropped so far. `on_new_file`, if set, is called with the writer after each
    rotation. The index takes at most half of `max_size` (or a page): a container that writes bytes one by one and
    5 ms apart has its log rotated earlier.
    """

    def __init__(
        self,
        directory: str,
        stream: str,
        max_size: int = MAX_SIZE,
        keep: int = KEEP,
        turn: Turn | None = None,
    ) -> None:
        self.stream, self.keep, self.lost = stream, keep, 0
        self.on_new_file: Callable[[LogWriter], None] | None = None
        self._max_size, self._max_index = max_size, max(max_size // 2, _SMALL_INDEX)
        self._turn = turn or Turn()
        self._log, self._index = -1, None
        self._base = self._size = self._untold = 0
        self._can_splice = True
        self._dir = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self._pair_indexes()
            self._base = self._end_of_older()
            self._open()
        except OSError as error:
            if error.errno not in _LOSSES:
                self.close()
                raise

    _index: IndexWriter | None

    @property
    def end(self) -> int:
        """The logical offset after the last byte in the log."""
        return self._base + self._size

    def take(self, fd: int) -> int:
        """Move what a non-blocking FIFO holds, up to 1 MiB, into the log; or drop it if the disk takes none.

        Returns the number of bytes taken out of the FIFO; 0 if it is empty.
        """
        try:
            room = self._room()
            if not self._can_splice:
                return self.write(os.read(fd, _CHUNK))
            moved = os.splice(fd, self._log, room, offset_dst=self._size, flags=os.SPLICE_F_NONBLOCK)
        except BlockingIOError:
            return 0
        except OSError as error:
            if error.errno in _LOSSES:
                return self._drop(fd)
            if error.errno != errno.EINVAL or not self._can_splice:
                raise
            self._can_splice = False  # a file system without splice
            return self.take(fd)
        self._note(moved)
        return moved

    def write(self, data: bytes) -> int:
        """Append bytes that were read elsewhere (a terminal). Returns len(data), dropped or not."""
        rest = memoryview(data)
        while rest:
            try:
                room = self._room()  # first: it may open another file
                moved = os.pwrite(self._log, rest[:room], self._size)
            except OSError as error:
                if error.errno not in _LOSSES:
                    raise
                self._lose(len(rest))
                break
            self._note(moved)
            rest = rest[moved:]
        return len(data)

    def open_from(self, offset: int | None = None) -> list[tuple[int, int]]:
        """The logical offset of the first byte, and a new read-only descriptor, of each file from the one
        that holds logical `offset` (or the oldest there is) to the current one; only that without `offset`.
        """
        found: list[tuple[int, int]] = []
        base = self.end
        try:
            for age in range(self.keep):
                fd = self._open_log(age)
                base -= os.fstat(fd).st_size
                found.insert(0, (base, fd))
                if offset is None or base <= offset:
                    break
        except FileNotFoundError:
            return found
        except OSError:
            for _, fd in found:
                os.close(fd)
            raise
        return found

    def close(self) -> None:
        if self._dir >= 0:
            self._tell_loss(time.time_ns(), self._size)
            self._close_file()
            os.close(self._dir)
            self._dir = -1

    def _note(self, moved: int) -> None:
        if not moved:
            return
        now = time.time_ns()
        self._size += moved
        fresh = self._turn.last is not self
        self._turn.last = self
        self._tell_loss(now, self._size - moved)
        try:
            index = self._index or self._open_index()
            index.note(now, self._size, fresh=fresh)
        except OSError as error:
            if error.errno not in _LOSSES:
                raise  # else: no room for the index; the next record covers these bytes too

    def _tell_loss(self, now: int, offset: int) -> None:
        """Record what was dropped at this place in the file; if even that finds no room, next time."""
        if not self._untold or not self._index:
            return
        try:
            self._index.lost(now, offset, self._untold)
            self._untold = 0
        except OSError as error:
            if error.errno not in _LOSSES:
                raise

    def _drop(self, fd: int) -> int:
        dropped = 0
        while dropped < _STEP:
            try:
                count = len(os.read(fd, _CHUNK))
            except BlockingIOError:
                break
            if not count:
                break
            dropped += count
        self._lose(dropped)
        return dropped

    def _lose(self, count: int) -> None:
        self.lost += count
        self._untold += count

    def _room(self) -> int:
        """How much may be moved now; makes room by opening or rotating first."""
        if self._log < 0:
            self._open()
            self._tell_new_file()
        elif self._size >= self._max_size or (self._index and self._index.end >= self._max_index):
            self._rotate()
            self._open()
            self._tell_new_file()
        return min(max(self._max_size - self._size, 1), _STEP)

    def _tell_new_file(self) -> None:
        if self.on_new_file:
            self.on_new_file(self)

    def _rotate(self) -> None:
        for age in range(self.keep - 1, 0, -1):
            self._rename(log_name(self.stream, age - 1), log_name(self.stream, age))
            try:
                self._rename(index_name(self.stream, age - 1), index_name(self.stream, age))
            except OSError as error:
                if error.errno not in _LOSSES:
                    raise  # else: `_pair_indexes` does it at the next start
        if self.keep == 1:
            self._unlink(log_name(self.stream, 0))
            self._unlink(index_name(self.stream, 0))
        self._close_file()
        self._base, self._size = self.end, 0

    def _rename(self, old: str, new: str) -> None:
        try:
            os.rename(old, new, src_dir_fd=self._dir, dst_dir_fd=self._dir)
        except FileNotFoundError:
            return  # nothing that old yet

    def _unlink(self, name: str) -> None:
        try:
            os.unlink(name, dir_fd=self._dir)
        except FileNotFoundError:
            return

    def _open(self) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        self._log = os.open(log_name(self.stream, 0), flags, 0o600, dir_fd=self._dir)
        os.fchmod(self._log, 0o600)  # whatever the umask
        self._size = os.fstat(self._log).st_size
        try:
            self._open_index()
        except OSError as error:
            if error.errno not in _LOSSES:
                raise

    def _open_index(self) -> IndexWriter:
        name = index_name(self.stream, 0)
        self._index = IndexWriter(name, self._dir, base=self._base, log_fd=self._log)
        self._base = self._index.base
        return self._index

    def _close_file(self) -> None:
        if self._log >= 0:
            os.close(self._log)
        if self._index:
            self._index.close()
        self._log, self._index = -1, None

    def _open_log(self, age: int) -> int:
        flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW
        return os.open(log_name(self.stream, age), flags, dir_fd=self._dir)

    def _end_of_older(self) -> int:
        """The base of a file whose index cannot tell it: where the one before it ends."""
        try:
            older = os.stat(log_name(self.stream, 1), dir_fd=self._dir, follow_symlinks=False)
        except FileNotFoundError:
            return 0
        base = base_of(index_name(self.stream, 1), self._dir)
        return older.st_size + (base[1] if base else 0)

    def _pair_indexes(self) -> None:
        """Finish a rotation that a death cut between the renames of a log and of its index."""
        ages: dict[int, int] = {}
        for age in range(self.keep):
            try:
                ages[os.stat(log_name(self.stream, age), dir_fd=self._dir, follow_symlinks=False).st_ino] = (
                    age
                )
            except FileNotFoundError:
                continue
        for age in range(self.keep - 1, -1, -1):
            base = base_of(index_name(self.stream, age), self._dir)
            if base and ages.get(base[0], age) != age:
                self._rename(index_name(self.stream, age), index_name(self.stream, ages[base[0]]))
