"""A file that appears whole or not at all, in the place of one that may be there."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

from eventstore.segments import sync_directory

_NO_UNNAMED = {errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL}  # O_TMPFILE: file systems without it (open(2))


@contextmanager
def replacing(path: str, mode: int = 0o600) -> Iterator[int]:
    """A descriptor for writing; what was written is at `path`, synced, once the block has ended without error.

    A link at `path` is followed. EEXIST where something else than a file is there. Killed meanwhile, nothing is left where
    the file system has files without a name (O_TMPFILE), else a hidden file beside.
    """
    path = os.path.realpath(path)
    if os.path.lexists(path) and not os.path.isfile(path):
        raise FileExistsError(errno.EEXIST, "something is there that is no regular file", path)
    parent, name = os.path.split(path)
    directory = os.open(parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        temporary = f".{name[:200]}.{os.urandom(6).hex()}"
        fd, is_named = _open(directory, temporary, mode)
        try:
            yield fd
            os.fsync(fd)
            if not is_named:
                os.link(f"/proc/self/fd/{fd}", temporary, dst_dir_fd=directory, follow_symlinks=True)
                is_named = True
            os.rename(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)
            is_named = False
        finally:
            os.close(fd)
            if is_named:
                os.unlink(temporary, dir_fd=directory)
        sync_directory(parent)
    finally:
        os.close(directory)


def _open(directory: int, temporary: str, mode: int) -> tuple[int, bool]:
    """(a new file's descriptor, whether it has a name)."""
    try:
        return os.open(".", os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, mode, dir_fd=directory), False
    except OSError as error:
        if error.errno not in _NO_UNNAMED:
            raise
    return os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode, dir_fd=directory), True
