"""Pseudo-terminals made inside a container: the master for the engine, the other end for its process. LEAN."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import struct

# asm-generic/ioctls.h
TIOCSCTTY = 0x540E
TIOCSWINSZ = 0x5414
TIOCGPTPEER = 0x5441
TIOCSPTLCK = 0x40045431
_PTMX = (5, 2)  # Documentation/admin-guide/devices.txt
_FLAGS = os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC | os.O_NONBLOCK


def open_pair(path: str, directory: int | None = None) -> tuple[int, int]:
    """(master, slave) of a new pty, made by opening `path`, a ptmx of the container's own devpts.

    What the container may have put there instead is refused (CVE-2025-52565): only the kernel's own ptmx
    is character device 5:2. The slave is opened by the master and by no path.
    """
    master = os.open(path, _FLAGS, dir_fd=directory)
    try:
        _require_ptmx(master, path)
        fcntl.ioctl(master, TIOCSPTLCK, b"\0\0\0\0")
        slave = fcntl.ioctl(master, TIOCGPTPEER, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
        os.set_blocking(master, True)
    except OSError:
        os.close(master)
        raise
    return master, slave


def _require_ptmx(descriptor: int, path: str) -> None:
    status = os.fstat(descriptor)
    if not stat.S_ISCHR(status.st_mode) or (os.major(status.st_rdev), os.minor(status.st_rdev)) != _PTMX:
        raise OSError(errno.ENODEV, "not the kernel's ptmx", path)


def resize(master: int, rows: int, columns: int) -> None:
    """Set the size; the foreground processes hear SIGWINCH if it is another one."""
    fcntl.ioctl(master, TIOCSWINSZ, struct.pack("4H", rows, columns, 0, 0))


def take(slave: int) -> None:
    """Make it the controlling terminal of this session, which we lead, and our 0, 1 and 2."""
    fcntl.ioctl(slave, TIOCSCTTY, 0)
    for number in range(3):
        os.dup2(slave, number, inheritable=True)
    if slave > 2:  # noqa: PLR2004 - stderr
        os.close(slave)
