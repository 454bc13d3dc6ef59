"""What extraction has to know of the place it extracts into: times, parents, inheritance, attributes."""

from __future__ import annotations

import errno
import os
import stat

CAPABILITY = "security.capability"
NO_XATTR = frozenset({errno.EOPNOTSUPP, errno.EPERM})

_GONE = (FileNotFoundError, NotADirectoryError)
_MAX_PENDING = 8 << 20  # bytes of directory names whose times are still to be set


class DirectoryTimes:
    """Times of directories, set when nothing more is made in them; bounded, whatever the archive's size.

    Names are kept until they are too many; then all times are set, and before the next thing is made in a
    directory its time, right by then, is read back and kept again.
    """

    def __init__(self) -> None:
        self._known = True  # all times that we have to keep are in the table
        self._times: dict[bytes, int] = {}
        self._size = 0

    def add(self, path: bytes, mtime: int) -> None:
        if self._size > _MAX_PENDING:
            # Before: what is added now must still be here when something is made in it.
            self.set_all()
        self._times[path] = mtime
        self._size += len(path) + 100

    def keep_parent(self, path: bytes) -> None:
        """To be called before anything is made at `path`."""
        if self._known:
            return
        parent = os.path.dirname(path) or b"."
        if parent in self._times:
            return
        try:
            self.add(parent, os.stat(parent).st_mtime_ns)
        except _GONE:
            return  # it will be made, and has no time of its own

    def forget(self, path: bytes) -> None:
        self._times.pop(path, None)

    def set_all(self) -> None:
        for path, mtime in self._times.items():
            try:
                os.utime(path, ns=(mtime, mtime))
            except _GONE:
                continue  # in a live container somebody may take away what we made
        self._times.clear()
        self._size = 0
        self._known = False


def is_kept_xattr(name: str) -> bool:
    """Attributes that travel in archives: file capabilities and the user's own; never overlay's."""
    return name == CAPABILITY or (name.startswith("user.") and not name.startswith("user.overlay."))


def hands_down(path: str) -> bool:
    if os.lstat(path).st_mode & stat.S_ISGID:
        return True
    try:
        return "system.posix_acl_default" in os.listxattr(path)
    except OSError as error:
        if error.errno not in NO_XATTR:
            raise
        return False


def make_parents(path: bytes) -> None:
    """The missing directories above `path`, as root's own, 0755."""
    parts = path.split(b"/")[:-1]
    for number in range(1, len(parts) + 1):
        parent = b"/".join(parts[:number])
        try:
            os.mkdir(parent, 0o755)
        except FileExistsError:
            if not os.path.isdir(parent):
                raise
