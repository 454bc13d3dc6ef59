"""The two directions of `cp`, with docker's rules for names; every path is resolved by descriptor, once.

Inside a container a path means what it means to the container's processes: openat2 with RESOLVE_IN_ROOT,
so that no link and no race leads out of it (CVE-2018-15664). What comes out is extracted by a jailed child
that has the destination directory as its root.
"""

from __future__ import annotations

import errno
import os
import stat

from effects import archive, rootdir
from effects.tarball import Packed, pack
from effects.untar import Rules

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Opener = Callable[[str, int], int]
    Progress = Callable[[int], object]

_MOST_LINKS = 40  # as the kernel's own MAXSYMLINKS
_DIRECTORY = os.O_PATH | os.O_DIRECTORY


def copy_out(
    root_fd: int, path: str, out_fd: int, *, follow: bool = False, progress: Progress | None = None
) -> Packed:
    """Write `path` of the container as a tar stream whose one top member has the path's last name.

    A symbolic link is copied as such, unless `follow` or a slash behind it says otherwise; of `dir/.` (and
    of the root) the content stands at the top. Mounts below it are copied, the kernel's own (/proc) are not.
    """
    absolute = _absolute(path)
    source = _source(absolute, _inside(root_fd), follow=follow)
    try:
        top = _top(absolute, os.path.normpath(absolute))
        return pack(source, out_fd, top=top, cross_mounts=True, progress=progress)
    finally:
        os.close(source)


def pack_host(path: str, out_fd: int, *, follow: bool = False, progress: Progress | None = None) -> Packed:
    """The same for a path of the host."""
    if not path:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
    source = _source(path, _on_host, follow=follow)
    try:
        top = _top(path, os.path.abspath(path))
        return pack(source, out_fd, top=top, cross_mounts=True, progress=progress)
    finally:
        os.close(source)


def copy_in(
    root_fd: int,
    path: str,
    in_fd: int,
    *,
    into: bool = False,
    keep_owner: bool = False,
    progress: Progress | None = None,
) -> archive.Unpacked:
    """Extract a tar stream at `path` of the container.

    As `copy_out` and `pack_host` make it: its top member goes into an existing directory, takes the place
    of an existing file, or gets the name of what does not exist yet. With `into`: any archive, into a directory that
    exists. Files are root's, with `keep_owner` the archive's uid and gid.
    """
    opener, inside = _inside(root_fd), _absolute(path)
    directory, top, top_kind = _existing(inside, opener) if into else _place(inside, opener)
    owner = None if keep_owner else (0, 0)
    rules = Rules(merge=True, owner=owner, single=not into, top=top, top_kind=top_kind)
    try:
        return archive.extract(in_fd, root_fd, rules, cwd_fd=directory, progress=progress)
    finally:
        os.close(directory)


def extract_to_host(
    in_fd: int, destination: str, *, keep_rights: bool = False, progress: Progress | None = None
) -> archive.Unpacked:
    """Extract what `copy_out` wrote at `destination` on the host, by the same rules of names.

    Nothing outside of the destination's directory can be reached, and inside it no symbolic link is gone
    through. Files are the caller's own, without setuid, setgid and capabilities, and devices are left out,
    unless `keep_rights`.
    """
    if not destination:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), destination)
    directory, top, top_kind = _place(destination, _on_host)
    owner = None if keep_rights else (os.getuid(), os.getgid())
    rules = Rules(
        merge=True, owner=owner, plain=not keep_rights, links=False, single=True, top=top, top_kind=top_kind
    )
    try:
        return archive.extract(in_fd, directory, rules, progress=progress)
    finally:
        os.close(directory)


def _absolute(path: str) -> str:
    return "/" + path.lstrip("/")


def _inside(root_fd: int) -> Opener:
    return lambda path, flags: rootdir.open_in(root_fd, path, flags)


def _on_host(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC)


def _top(path: str, clean: str) -> bytes:
    """The last name of `clean`, the path without dots; none where the path asks for a directory's content."""
    return b"" if os.path.basename(path) == "." else os.fsencode(os.path.basename(clean))


def _source(path: str, opener: Opener, *, follow: bool) -> int:
    parent, name = _split(path)
    if follow or name in {"", ".", ".."}:
        # A slash or dot behind it asks for a directory, as the kernel has it (path_resolution(7)).
        return opener(path, os.O_PATH)
    directory = opener(parent, _DIRECTORY)
    try:
        return os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from None
    finally:
        os.close(directory)


def _place(path: str, opener: Opener) -> tuple[int, bytes, str]:
    """(directory, name in it for what is copied, what that must be) as `untar.Rules` has the latter two.

    Links at the end of the path are followed by hand, since the last of them may lead to what is not there yet.
    """
    wanted = path
    for _ in range(_MOST_LINKS):
        bare = path.rstrip("/")
        parent, name = _split(bare)
        if name in {"", ".", ".."}:
            return _existing(path, opener)
        directory = opener(parent, _DIRECTORY)
        try:
            state = os.stat(name, dir_fd=directory, follow_symlinks=False)
            if stat.S_ISDIR(state.st_mode):
                return _within(directory, name), b"", ""
            if not stat.S_ISLNK(state.st_mode):
                if path != bare:
                    raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), wanted)
                return os.dup(directory), os.fsencode(name), "other"
            target = os.readlink(name, dir_fd=directory)
            path = (target if target.startswith("/") else f"{parent}/{target}") + path[len(bare) :]
        except FileNotFoundError:
            return os.dup(directory), os.fsencode(name), "directory" if path != bare else ""
        finally:
            os.close(directory)
    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), wanted)


def _existing(path: str, opener: Opener) -> tuple[int, bytes, str]:
    return opener(path, _DIRECTORY), b"", ""


def _within(directory: int, name: str) -> int:
    return os.open(name, _DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)


def _split(path: str) -> tuple[str, str]:
    """(parent, name); the parent of a bare name is "."."""
    parent, slash, name = path.rpartition("/")
    return (parent or "/" if slash else "."), name
