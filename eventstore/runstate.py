"""What a journal must know only until the next boot: recovered, durable up to, a sync failed, the last segment.

96 bytes in the file of the journal's lock, and nowhere else: writers who went by two of them would each believe that
nobody else rotates. Lost while processes run, they are made again by a recovery, which is always safe; they are
never synced, since those of another boot mean nothing.
"""

from __future__ import annotations

import os
import struct

from eventstore.errors import NotWritable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from eventstore.lock import Lock

_MAGIC = b"mdlock\0\1"
_HEAD = struct.Struct("=8s36s4xQQ")  # magic, boot id, device and inode of the journal's directory
_STATE = struct.Struct("=Q?7xQ")
_DURABLE = 64  # u64: lines up to this number are on disk
_FAILED = 72  # one byte: a sync failed and its segment was not yet written anew
_ACTIVE = 80  # u64: number of the first line of the segment that is written to; 0 while the next is made
_RECOVERY = 88  # eight random bytes of the recovery that made them
_SIZE = 96


def boot_id() -> str:
    """The kernel's id of this boot, 36 characters (random(4))."""
    file = os.open("/proc/sys/kernel/random/boot_id", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(file, 36).decode()
    finally:
        os.close(file)


class RunState:
    """That of one journal. All but `raise_durable` and `set_failed` are called under its lock.

    They are written in place: on a full disk there may be no room for another file.
    """

    def __init__(self, lock: Lock) -> None:
        self.lock = lock
        self.boot = boot_id()
        # How many recoveries it saw the outcome of; another one means that somebody has recovered.
        self.found = 0
        self._known = b""  # head and recovery, as they were last seen

    def current(self) -> bool:
        """Whether the journal was recovered in this boot, here: what a copy has of its original means nothing."""
        if not self.lock.find():
            return False
        found = os.pread(self.lock.file, _SIZE, 0)
        if len(found) < _SIZE:
            return False
        known = found[:_DURABLE] + found[_RECOVERY:]
        if known == self._known:
            return True
        magic, boot, *owner = _HEAD.unpack_from(found)
        if magic != _MAGIC or boot.decode("latin-1") != self.boot or tuple(owner) != self.lock.identity():
            return False
        self._known = known
        self.found += 1
        return True

    def create(self, durable: int, active: int) -> None:
        """Say that the journal is recovered, on disk up to line `durable`, and written to in segment `active`."""
        head = _HEAD.pack(_MAGIC, self.boot.encode(), *self.lock.identity())
        recovery = os.urandom(_SIZE - _RECOVERY)
        try:
            os.pwrite(self.lock.file, head + _STATE.pack(durable, False, active) + recovery, 0)
        except OSError as error:
            raise NotWritable(self.lock.path, os.strerror(error.errno or 0)) from None
        self._known = head + recovery

    def read(self) -> tuple[int, bool, int]:
        """(durable, failed, active)."""
        found = os.pread(self.lock.file, _STATE.size, _DURABLE)
        return _STATE.unpack_from(found)

    def raise_durable(self, n: int) -> bool:
        """After a sync: lines up to `n` are on disk. False if another process's sync failed meanwhile.

        Not under the lock: two may write at once and the lower win, which is true as well.
        """
        durable, failed, _ = self.read()
        if n > durable and not failed:
            os.pwrite(self.lock.file, n.to_bytes(8, "little"), _DURABLE)
        return not failed

    def set_active(self, segment: int) -> None:
        os.pwrite(self.lock.file, segment.to_bytes(8, "little"), _ACTIVE)

    def set_failed(self, failed: bool) -> None:
        os.pwrite(self.lock.file, b"\1" if failed else b"\0", _FAILED)
