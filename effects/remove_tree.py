"""Remove a directory tree and nothing else: by descriptors, never through a link or into a mount. LEAN."""

from __future__ import annotations

import errno
import os

from effects import syscalls
from effects.failure import StepFailed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

_DEEPEST = 64  # descriptors held at once; a container can nest directories without end
_BATCH = 4096
_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# The kernel itself says EXDEV where a name is a mount, also one of the same device (a bind mount).
_RESOLVE = syscalls.RESOLVE_NO_XDEV | syscalls.RESOLVE_NO_SYMLINKS | syscalls.RESOLVE_BENEATH


def remove_tree(path: str) -> None:
    """Remove `path` (absolute) and all below it; no error if it is gone.

    EBUSY where a mount lies at or below it, with the mount's path: what is in the mount is not touched.
    """
    above, _, name = path.rpartition("/")
    assert path.startswith("/"), path
    assert name, path
    try:
        parent = os.open(above or "/", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        _remove(parent, name, path, None, 0)
    finally:
        os.close(parent)


def _remove(parent: int, name: str, path: str, top: int | None, depth: int) -> None:
    try:
        os.unlink(name, dir_fd=parent)
    except FileNotFoundError:
        return
    except IsADirectoryError:
        _remove_dir(parent, name, path, top, depth)
    except OSError as error:
        _tell(error, path)


def _remove_dir(parent: int, name: str, path: str, top: int | None, depth: int) -> None:
    try:
        directory = syscalls.openat2(parent, name, _FLAGS, resolve=_RESOLVE)
    except FileNotFoundError:
        return
    except OSError as error:
        _tell(error, path)
    try:
        _empty(directory, path, directory if top is None else top, depth)
    finally:
        os.close(directory)
    try:
        os.rmdir(name, dir_fd=parent)
    except FileNotFoundError:
        return
    except OSError as error:
        _tell(error, path)


def _empty(directory: int, path: str, top: int, depth: int) -> None:
    while batch := _batch(directory):
        for name, is_dir in batch:
            if not is_dir:
                _remove(directory, name, f"{path}/{name}", top, depth)
            elif depth < _DEEPEST:
                _remove_dir(directory, name, f"{path}/{name}", top, depth + 1)
            else:
                _lift(directory, name, f"{path}/{name}", top)


def _batch(directory: int) -> list[tuple[str, bool]]:
    """Some entries; read anew after each batch, since a directory that shrinks may hide some meanwhile."""
    found = []
    with os.scandir(directory) as entries:
        for entry in entries:
            found.append((entry.name, entry.is_dir(follow_symlinks=False)))
            if len(found) == _BATCH:
                break
    return found


def _lift(directory: int, name: str, path: str, top: int) -> None:
    """Move what lies too deep to the top of the tree, where it will be found again."""
    number = 0
    while True:
        try:
            syscalls.renameat2(directory, name, top, f".deep-{number}", syscalls.RENAME_NOREPLACE)
        except FileExistsError:
            number += 1
        except OSError as error:
            _tell(error, path)
        else:
            return


def _tell(error: OSError, path: str) -> NoReturn:
    if error.errno in {errno.EXDEV, errno.EBUSY}:
        message = "a mount lies here: nothing is removed through a mount"
        raise StepFailed("remove tree", errno.EBUSY, message, path) from error
    raise StepFailed("remove tree", error.errno or 0, error.strerror or str(error), path) from error
