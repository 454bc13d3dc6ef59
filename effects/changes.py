"""What a container changed in its image: its upper directory against the layers below it.

Overlayfs marks what is deleted by a character device 0/0 (a whiteout), and a directory that was deleted and
made anew by the attribute trusted.overlay.opaque (Documentation/filesystems/overlayfs.rst). All is read by descriptors,
never through a symbolic link: the names are the container's.
"""

from __future__ import annotations

import errno
import os
import stat

from effects import syscalls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

ADDED, CHANGED, DELETED = "A", "C", "D"

_RESOLVE = syscalls.RESOLVE_BENEATH | syscalls.RESOLVE_NO_SYMLINKS | syscalls.RESOLVE_NO_MAGICLINKS
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_GONE = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP}  # taken away, or replaced, since it was listed
_OPAQUE = "trusted.overlay.opaque"


def changes(upper: str, lower: Sequence[str], own: Collection[str] = ()) -> list[tuple[str, str]]:
    """(ADDED, CHANGED or DELETED; absolute path) of each change, a directory before what is in it.

    lower   the layers' directories, uppermost first
    own     absolute paths that the engine mounts over: their mount points, made where the image had none, are no
            changes, unless something lies in them

    A directory is changed when its mode, owner or time is, or anything in it. Of a deleted tree only the
    top is told, as docker does. OSError where a directory cannot be read.
    """
    handles: list[int] = []
    try:
        for path in (upper, *lower):
            handles.append(os.open(path, _DIRECTORY | os.O_CLOEXEC))  # noqa: PERF401 - those before a failure must be closed
        comparison = _Comparison(handles[0], handles[1:], {path.strip("/") for path in own})
        comparison.run()
    finally:
        for handle in handles:
            os.close(handle)
    told = comparison.told()
    return [(told[path], f"/{path}") for path in sorted(told, key=lambda path: path.split("/"))]


class _Comparison:
    """Paths are relative, without a slash before or behind; the root is ""."""

    def __init__(self, upper: int, layers: list[int], own: set[str]) -> None:
        self._upper, self._layers = upper, layers
        self._own = own | {above for path in own for above in _above(path)}
        self._found: dict[str, str] = {}
        self._mount_points: set[str] = set()  # of ours, and of their parents, what was made for them
        self._newer: set[str] = set()  # directories of which nothing but the time is another

    def run(self) -> None:
        """Directory by directory: how deep they are nested costs neither stack nor descriptors."""
        waiting = [("", tuple(range(len(self._layers))))]
        while waiting:
            waiting += self._directory(*waiting.pop())

    def told(self) -> dict[str, str]:
        """Path -> kind."""
        for path in self._newer:
            # Making a mount point in a directory gave it a new time.
            if not any(made.rpartition("/")[0] == path for made in self._mount_points):
                self._found[path] = CHANGED
        for path in list(self._found):
            for above in _above(path):
                if above in self._found:
                    break  # and what that lies in has had, or will have, its own turn
                self._found[above] = ADDED if above in self._mount_points else CHANGED
        return self._found

    def _directory(self, path: str, having: tuple[int, ...]) -> list[tuple[str, tuple[int, ...]]]:
        """Compare one directory of the upper with what the layers `having` it show there; its subdirectories."""
        here = _open(self._upper, path)
        if here < 0:
            return []
        lowers: list[tuple[int, int]] = []
        try:
            for index in having:
                handle = _open(self._layers[index], path)
                if handle >= 0:
                    lowers.append((index, handle))
            names = os.listdir(here)
            if _is_opaque(here):
                for name in _visible(lowers) - set(names):
                    self._found[_join(path, name)] = DELETED
            return [below for name in names for below in self._entry(here, path, name, lowers)]
        finally:
            for handle in (here, *(handle for _, handle in lowers)):
                os.close(handle)

    def _entry(
        self, here: int, parent: str, name: str, lowers: list[tuple[int, int]]
    ) -> Iterator[tuple[str, tuple[int, ...]]]:
        """Compare one name; if it is a directory, its path and the layers that show one there."""
        now = _stat(here, name)
        if now is None:
            return
        path = _join(parent, name)
        before, having = _lookup(lowers, name)
        if _is_whiteout(now):
            if before is not None:
                self._found[path] = DELETED
            return
        if before is None:
            if path in self._own:
                self._mount_points.add(path)
            else:
                self._found[path] = ADDED
        elif not (stat.S_ISDIR(now.st_mode) and stat.S_ISDIR(before.st_mode)) or _rights(now) != _rights(
            before
        ):
            self._found[path] = CHANGED
        elif now.st_mtime_ns != before.st_mtime_ns:
            self._newer.add(path)
        if stat.S_ISDIR(now.st_mode):
            yield path, having


def _lookup(lowers: list[tuple[int, int]], name: str) -> tuple[os.stat_result | None, tuple[int, ...]]:
    """(what the image shows as `name`, the layers of which a directory of that name is seen)."""
    shown, having = None, []
    for index, handle in lowers:
        state = _stat(handle, name)
        if state is None:
            continue
        if _is_whiteout(state):
            break
        shown = shown or state
        if not stat.S_ISDIR(state.st_mode):
            break
        having.append(index)
        if _hides_below(handle, name):
            break
    return shown, tuple(having)


def _visible(lowers: list[tuple[int, int]]) -> set[str]:
    """The names that the image shows in a directory."""
    names = {name for _, handle in lowers for name in os.listdir(handle)}
    return {name for name in names if _lookup(lowers, name)[0] is not None}


def _hides_below(parent: int, name: str) -> bool:
    handle = _open(parent, name)
    if handle < 0:
        return False
    try:
        return _is_opaque(handle)
    finally:
        os.close(handle)


def _is_opaque(directory: int) -> bool:
    try:
        return os.getxattr(directory, _OPAQUE) == b"y"
    except OSError as error:
        if error.errno in {errno.ENODATA, errno.EOPNOTSUPP}:
            return False
        raise


def _is_whiteout(state: os.stat_result) -> bool:
    return stat.S_ISCHR(state.st_mode) and state.st_rdev == 0


def _rights(state: os.stat_result) -> tuple[int, int, int]:
    return state.st_mode, state.st_uid, state.st_gid


def _stat(directory: int, name: str) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=directory, follow_symlinks=False)
    except OSError as error:
        if error.errno in _GONE:
            return None
        raise


def _open(root: int, path: str) -> int:
    """A directory below `root`; -1 if there is none any more."""
    try:
        return syscalls.openat2(root, path or ".", _DIRECTORY, resolve=_RESOLVE)
    except OSError as error:
        if error.errno in _GONE:
            return -1
        raise


def _above(path: str) -> Iterator[str]:
    """The directories that a path lies in, but the root."""
    while path := path.rpartition("/")[0]:
        yield path


def _join(parent: str, name: str) -> str:
    return f"{parent}/{name}" if parent else name
