"""Who settles a subject: one byte per subject in ROOT/locks, held by an open file description. LEAN.

OFD locks (fcntl(2), "Open file description locks") die with the last descriptor, whoever holds it, and can
be handed to another process with the descriptor: there is no gap between a command and its monitor.
The file is never deleted; it carries no data.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
import time

# From <asm-generic/fcntl.h>; struct flock on 64-bit Linux: type, whence, start, len, pid.
_F_OFD_GETLK, _F_OFD_SETLK = 36, 37
_FLOCK = "hhxxxxqqixxxx"


class LockTimeout(OSError):
    """The subject's settler did not let go in time; `filename` is the subject's id."""


def offset(subject_id: str) -> int:
    """The byte of a subject: the first 15 hex digits of its id; words such as `firewall` by their bytes."""
    try:
        return int(subject_id[:15], 16)
    except ValueError:
        return (1 << 60) + int.from_bytes(subject_id.encode()[:7], "big")


class Locks:
    """The locks of one root."""

    def __init__(self, root: str) -> None:
        self._path = f"{root}/locks"

    def take(self, subject_id: str) -> int | None:
        """A descriptor that holds the subject's lock until it and all its copies are closed; None if held.

        Each call opens the file anew: an OFD lock belongs to the open, not to the process.
        """
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            flock = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, offset(subject_id), 1, 0)
            fcntl.fcntl(fd, _F_OFD_SETLK, flock)
        except OSError as error:
            os.close(fd)
            if error.errno in (errno.EAGAIN, errno.EACCES):
                return None
            raise
        return fd

    def wait(self, subject_id: str, seconds: float) -> int:
        """`take`, tried until the deadline; LockTimeout after it.

        Polled: a lock wait in the kernel (F_OFD_SETLKW) has no deadline, and a signal would be needed to end it.
        """
        end = time.monotonic() + seconds
        pause = 0.001
        while True:
            fd = self.take(subject_id)
            if fd is not None:
                return fd
            if time.monotonic() >= end:
                raise LockTimeout(errno.ETIMEDOUT, "its settler holds the lock", subject_id)
            time.sleep(pause)
            pause = min(pause * 2, 0.05)

    def is_held(self, subject_id: str) -> bool:
        """Whether a settler lives, as of the call. Writes nothing, so a read-only disk can be asked, too."""
        try:
            fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            return False
        try:
            flock = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, offset(subject_id), 1, 0)
            found = fcntl.fcntl(fd, _F_OFD_GETLK, flock)  # what stands in the way, or F_UNLCK as its type
        finally:
            os.close(fd)
        return bool(struct.unpack(_FLOCK, found)[0] != fcntl.F_UNLCK)
