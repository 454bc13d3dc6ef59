"""The journal's one lock: flock on a file of its own, so that it dies with its holder, with a deadline."""

from __future__ import annotations

import errno
import fcntl
import os
import time

from eventstore.errors import LockTimeout, NotWritable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_YIELDS = 20  # the first tries only let others run: the lock is normally held for some 20 us
_FIRST_PAUSE, _LONGEST_PAUSE = 50e-6, 2e-3  # seconds


class Lock:
    """An flock, not a POSIX lock: those are dropped as soon as the process closes any descriptor of the file."""

    def __init__(self, path: str, deadline: float) -> None:
        self.path = path
        self.deadline = deadline
        self.file = -1  # what else is in it: see `eventstore.runstate`

    def find(self) -> bool:
        """Have the file open, if it is there."""
        if self.file < 0:
            try:
                self._open(0)
            except FileNotFoundError:
                return False
        return True

    def _open(self, create: int = os.O_CREAT) -> None:
        try:
            self.file = os.open(self.path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | create, 0o600)
        except OSError as error:
            if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM, errno.ELOOP, errno.EISDIR):
                raise NotWritable(self.path, os.strerror(error.errno)) from None
            raise

    def acquire(self, meanwhile: Callable[[], object] = lambda: None) -> None:
        """Take it within `deadline` seconds or raise LockTimeout, which names the holder.

        Tries again and again, because a waiting flock(2) has no deadline; between two tries it does
        `meanwhile`, so that the wait is of use and less is left to do under the lock.
        """
        if self.file < 0:
            self._open()
        tries, until, pause = 0, 0.0, _FIRST_PAUSE
        while not self._try():
            now = time.monotonic()
            until = until or now + self.deadline
            if now > until:
                raise LockTimeout(self.path, self.deadline, self.holder())
            tries += 1
            meanwhile()
            if tries < _YIELDS:
                os.sched_yield()
            else:
                time.sleep(pause)
                pause = min(pause * 1.1, _LONGEST_PAUSE)

    def _try(self) -> bool:
        try:
            fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        if os.fstat(self.file).st_nlink:
            return True
        os.close(self.file)  # someone deleted it: another file has that name now, or soon
        self._open()
        return False

    def release(self) -> None:
        """Unlock at once, also where a child has inherited the descriptor."""
        fcntl.flock(self.file, fcntl.LOCK_UN)

    def close(self) -> None:
        if self.file >= 0:
            os.close(self.file)
            self.file = -1

    def identity(self) -> tuple[int, int]:
        """(device, inode) of the journal's directory: tells a journal from its copy."""
        found = os.stat(os.path.dirname(self.path))
        return found.st_dev, found.st_ino

    def holder(self) -> int:
        """Pid of the process that has it, 0 if /proc/locks does not tell (another pid namespace)."""
        inode = f":{os.fstat(self.file).st_ino}"
        with open("/proc/locks", "rb") as locks:
            for line in locks.read().decode().splitlines():
                words = line.split()  # 1: FLOCK ADVISORY WRITE 812 fe:00:1234 0 EOF
                if words[1] == "FLOCK" and words[5].endswith(inode):
                    return max(int(words[4]), 0)
        return 0
