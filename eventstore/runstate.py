"""What a journal must know only until the next boot: recovered, durable up to, a sync failed, the last segment.

One file of 96 bytes in the run directory, normally on a tmpfs. Lost while processes run (someone
emptied /run), it is made again by a recovery, which is always safe.
"""

from __future__ import annotations

import os
import struct

from eventstore.errors import ForeignHost, NotWritable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from eventstore.lock import Lock

_MAGIC = b"mdrun\0\0\1"
_HEAD = struct.Struct("=8s36s4xQQ")  # magic, boot id, device and inode of the journal's directory
_STATE = struct.Struct("=Q?7xQ")
_DURABLE = 64  # u64: lines up to this number are on disk
_FAILED = 72  # one byte: a sync failed and its segment was not yet written anew
_ACTIVE = 80  # u64: number of the first line of the segment that is written to; 0 while the next is made
_SIZE = 96


def boot_id() -> str:
    """The kernel's id of this boot, 36 characters (random(4))."""
    file = os.open("/proc/sys/kernel/random/boot_id", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(file, 36).decode()
    finally:
        os.close(file)


class RunState:
    """The file of one journal, open. All but `raise_durable` and `set_failed` are called under the journal's lock."""

    def __init__(self, run_dir: str, uuid: str) -> None:
        self.path = os.path.join(run_dir, f"journal-{uuid}")
        self.boot = boot_id()
        self.opened = 0  # how often a file was found; another one means that somebody has recovered
        self._file = -1

    def current(self, lock: Lock) -> bool:
        """Whether the journal was recovered in this boot. ForeignHost if it was another copy of it."""
        if self._file >= 0 and os.fstat(self._file).st_nlink:
            return True
        self.close()
        try:
            self._file = os.open(self.path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
            self.opened += 1
        except FileNotFoundError:
            return False
        head = os.pread(self._file, _SIZE, 0)
        if len(head) == _SIZE:
            magic, boot, *owner = _HEAD.unpack_from(head)
            if magic == _MAGIC and boot.decode("latin-1") == self.boot:
                if tuple(owner) == lock.identity():
                    return True
                self.close()
                raise ForeignHost(self.path)
        self.close()
        return False

    def create(self, lock: Lock, durable: int, active: int) -> None:
        """Say that the journal is recovered, on disk up to line `durable`, and written to in segment `active`."""
        self.close()
        temporary = self.path + ".tmp"
        flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            os.makedirs(os.path.dirname(self.path), 0o700, exist_ok=True)
            self._file = os.open(temporary, flags, 0o600)
            head = _HEAD.pack(_MAGIC, self.boot.encode(), *lock.identity())
            os.write(self._file, head + _STATE.pack(durable, False, active))
            os.ftruncate(self._file, _SIZE)
            os.rename(temporary, self.path)
        except OSError as error:
            self.close()
            raise NotWritable(self.path, os.strerror(error.errno or 0)) from None

    def read(self) -> tuple[int, bool, int]:
        """(durable, failed, active)."""
        found = os.pread(self._file, _SIZE - _DURABLE, _DURABLE)
        return _STATE.unpack_from(found)

    def raise_durable(self, n: int) -> bool:
        """After a sync: lines up to `n` are on disk. False if another process's sync failed meanwhile.

        Not under the lock: two may write at once and the lower win, which is true as well.
        """
        durable, failed, _ = self.read()
        if n > durable and not failed:
            os.pwrite(self._file, n.to_bytes(8, "little"), _DURABLE)
        return not failed

    def set_active(self, segment: int) -> None:
        os.pwrite(self._file, segment.to_bytes(8, "little"), _ACTIVE)

    def set_failed(self, failed: bool) -> None:
        os.pwrite(self._file, b"\1" if failed else b"\0", _FAILED)

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
