"""Paths below a root that somebody hostile may have filled: the kernel keeps them inside. LEAN."""

from __future__ import annotations

import errno
import os

from effects import syscalls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

# Absolute links and `..` end at the root; links of /proc that lead anywhere are refused (openat2(2)).
INSIDE = syscalls.RESOLVE_IN_ROOT | syscalls.RESOLVE_NO_MAGICLINKS
_MOST_LINKS = 40  # as the kernel's own MAXSYMLINKS
_MODE_DIRECTORY, _MODE_FILE = 0o755, 0o644


def open_in(root: int, path: str, flags: int = os.O_PATH, *, resolve: int = 0) -> int:
    """A descriptor of `path` as a process with `root` as its root would find it."""
    return syscalls.openat2(root, path, flags, resolve=INSIDE | resolve)


def make_dir(root: int, path: str) -> int:
    """A handle (O_PATH) of the directory `path`, made with its parents where missing. ENOTDIR for a file."""
    handle = _ensure(root, path, lambda name, parent: os.mkdir(name, _MODE_DIRECTORY, dir_fd=parent))
    try:
        return os.open(".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=handle)
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from error
    finally:
        os.close(handle)


def make_file(root: int, path: str) -> int:
    """A handle (O_PATH) of `path`, made empty with its parents where missing; it may be anything but a link."""
    return _ensure(root, path, _make_file)


def _make_file(name: str, parent: int) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    os.close(os.open(name, flags, _MODE_FILE, dir_fd=parent))


def _ensure(root: int, path: str, make_last: Callable[[str, int], None]) -> int:
    """Open `path`; as long as a part of it is missing, make the first that is.

    A link to nowhere is followed and what it names is made, as the container would see it, so an image's
    /etc/resolv.conf -> ../run/systemd/resolve/stub-resolv.conf works. Every part is made relative to a handle of its
    parent, and never through a link, whoever exchanges directories for links meanwhile.
    """
    links = 0
    while True:
        try:
            return open_in(root, path)
        except FileNotFoundError:
            parent, before, name, rest = _first_missing(root, path)
        try:
            if rest:
                os.mkdir(name, _MODE_DIRECTORY, dir_fd=parent)
            else:
                make_last(name, parent)
        except FileExistsError:
            links += 1
            if links > _MOST_LINKS:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path) from None
            path = _behind_link(parent, name, before, rest) or path
        finally:
            os.close(parent)


def _first_missing(root: int, path: str) -> tuple[int, str, str, str]:
    """(handle of the deepest parent that is there, its path, the missing name in it, what follows)."""
    parts = [part for part in path.split("/") if part not in {"", "."}]
    parent = os.open(".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=root)
    for i in range(len(parts)):
        try:
            child = open_in(root, "/".join(parts[: i + 1]))
        except FileNotFoundError:
            return parent, "/".join(parts[:i]), parts[i], "/".join(parts[i + 1 :])
        except OSError:
            os.close(parent)
            raise
        os.close(parent)
        parent = child
    # It has appeared since: the last name again, so that the caller meets it as one that exists.
    return parent, "/".join(parts[:-1]), ".", ""


def _behind_link(parent: int, name: str, before: str, rest: str) -> str | None:
    """The path with the dangling link `name` replaced by its target; None if it is no link."""
    try:
        target = os.readlink(name, dir_fd=parent)
    except OSError as error:
        if error.errno in {errno.EINVAL, errno.ENOENT}:
            return None
        raise
    # `before` may itself lead through links: the kernel resolves the target's `..` from where they lead.
    parts = (target, rest) if target.startswith("/") else (before, target, rest)
    return "/".join(part for part in parts if part)
