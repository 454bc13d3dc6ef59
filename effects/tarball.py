"""Writes a directory tree as a pax tar: by descriptors from the top, never through a symbolic link.

Each directory is opened below the root by openat2 with RESOLVE_BENEATH and RESOLVE_NO_SYMLINKS, so that a
tree which changes meanwhile can give a wrong answer, but never one from outside. Mount points are known by
RESOLVE_NO_XDEV, bind mounts of the same file system too.
"""

from __future__ import annotations

import errno
import json
import os
import stat

from effects import syscalls, tarblock
from effects.failure import StepFailed
from effects.tarblock import Member
from effects.tarformat import BLOCKDEV, CHARACTER, DIRECTORY, FIFO, HARDLINK, PATH_MAX, REGULAR, SYMLINK
from effects.tarwriter import Writer, attributes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

_RESOLVE = (
    syscalls.RESOLVE_BENEATH
    | syscalls.RESOLVE_NO_SYMLINKS
    | syscalls.RESOLVE_NO_MAGICLINKS
    | syscalls.RESOLVE_NO_XDEV
)
_KINDS = {stat.S_IFLNK: SYMLINK, stat.S_IFCHR: CHARACTER, stat.S_IFBLK: BLOCKDEV, stat.S_IFIFO: FIFO}
# linux/magic.h: proc, sysfs, devpts, cgroup, cgroup2, mqueue, debugfs, tracefs, securityfs, bpf, binfmt_misc
_INVENTED = {
    *(0x9FA0, 0x62656572, 0x1CD1, 0x27E0EB, 0x63677270, 0x19800202),
    *(0x64626720, 0x74726163, 0x73636673, 0xCAFE4A11, 0x42494E4D),
}
_GONE = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP}  # taken away, or replaced, since it was listed


class Packed:
    """size: bytes of the stream;  entries: members;  skipped: sentences about what was left out."""

    def __init__(self, size: int, entries: int, skipped: list[str]) -> None:
        self.size, self.entries, self.skipped = size, entries, skipped


def pack(
    root_fd: int,
    out_fd: int,
    *,
    grafts: Iterable[tuple[str, int]] = (),
    exclude: Iterable[str] = (),
    config: dict[str, Any] | None = None,
    top: bytes = b"",
    cross_mounts: bool = False,
    progress: Callable[[int], object] | None = None,
) -> Packed:
    """Write what `root_fd` (a directory, or the one file) holds.

    top       what all names begin with; b"": a directory is "./", and its content stands at the top
    grafts    (path within, descriptor of a directory or file): written at that path, in the place of what is
              there; so a volume gets into a commit
    exclude   paths within of which only the empty directory or file is written
    cross_mounts  a mount point is a directory like any other, unless the kernel invents what it holds (/proc);
              without it is empty
    config    recorded in a global header, which `effects.archive.unpack` gives back
    progress  is told the bytes written so far

    Sorted by name, files of a directory before its subdirectories; the same tree gives the same bytes.
    Sockets and overlay's whiteouts are left out. OSError for what cannot be read or written.
    """
    writer = Writer(out_fd, progress)
    if config is not None:
        text = json.dumps(config, sort_keys=True, separators=(",", ":"))
        writer.put(tarblock.global_config(text.encode()))
    walk = _Walk(writer, top, cross_mounts=cross_mounts)
    walk.run(root_fd, {_key(path): fd for path, fd in grafts}, {_key(path) for path in exclude})
    writer.put(tarblock.END)
    writer.flush()
    return Packed(writer.written, walk.entries, walk.skipped)


def _key(path: str) -> bytes:
    return b"/".join(part for part in os.fsencode(path).split(b"/") if part not in {b"", b"."})


class _Walk:
    def __init__(self, writer: Writer, top: bytes, *, cross_mounts: bool) -> None:
        self._writer = writer
        self._top = top
        self._cross_mounts = cross_mounts
        self._grafts: dict[bytes, int] = {}
        self._exclude: set[bytes] = set()
        self._links: dict[tuple[int, int], tuple[bytes, int]] = {}
        self.entries = 0
        self.skipped: list[str] = []

    def run(self, root_fd: int, grafts: dict[bytes, int], exclude: set[bytes]) -> None:
        self._grafts, self._exclude = grafts, exclude
        self._tree(b"", root_fd)
        # A graft whose place the tree lacks; its parents are made by whoever unpacks.
        while self._grafts:
            path = min(self._grafts)
            self._tree(path, self._grafts.pop(path))

    def _tree(self, path: bytes, root_fd: int) -> None:
        """What `root_fd` is, at `path`; the directories below it that wait their turn are only names."""
        if not stat.S_ISDIR(os.fstat(root_fd).st_mode):
            self._root_file(path, root_fd)
            return
        waiting = [b""]
        while waiting:
            below = waiting.pop()
            here = _join(path, below)
            graft = self._grafts.pop(here, None)
            if graft is not None:
                self._tree(here, graft)
            else:
                waiting += [_join(below, name) for name in reversed(self._directory(root_fd, below, here))]

    def _directory(self, root_fd: int, below: bytes, here: bytes) -> list[bytes]:
        """Write a directory and the files in it; its subdirectories' names."""
        if len(here) >= PATH_MAX:
            message = f"a path of more than {PATH_MAX - 1} bytes cannot be unpacked again"
            raise StepFailed("pack", errno.ENAMETOOLONG, message, os.fsdecode(here[:100]) + "...")
        descriptor, mounted = _open(
            root_fd, below or b".", os.O_RDONLY | os.O_DIRECTORY, cross=self._cross_mounts
        )
        if descriptor < 0:
            return []
        try:
            state = os.fstat(descriptor)
            member = self._member(here, DIRECTORY, state)
            self._put(member, attributes(descriptor) if not mounted else [])
            if mounted or here in self._exclude:
                return []
            with os.scandir(descriptor) as listing:
                found = sorted((os.fsencode(item.name), item) for item in listing)
            return [name for name, item in found if self._is_tree(here, name, item, directory=descriptor)]
        finally:
            os.close(descriptor)

    def _is_tree(self, here: bytes, name: bytes, item: os.DirEntry[str], *, directory: int) -> bool:
        """True for what is a tree of its own; anything else is written now."""
        path = _join(here, name)
        if path in self._grafts or item.is_dir(follow_symlinks=False):
            return True
        try:
            state = item.stat(follow_symlinks=False)
            if not stat.S_ISREG(state.st_mode):
                link = os.readlink(name, dir_fd=directory) if stat.S_ISLNK(state.st_mode) else b""
                self._special(path, state, link)
                return False
        except OSError as error:
            if error.errno not in {*_GONE, errno.EINVAL}:  # EINVAL: no longer a symbolic link
                raise
            return False
        descriptor, mounted = _open(directory, name, os.O_RDONLY, cross=self._cross_mounts)
        if descriptor >= 0:
            try:
                self._file(path, descriptor, empty=mounted or path in self._exclude)
            finally:
                os.close(descriptor)
        return False

    def _root_file(self, path: bytes, descriptor: int) -> None:
        """The same for a descriptor, O_PATH or readable."""
        state = os.fstat(descriptor)
        if not stat.S_ISREG(state.st_mode):
            link = os.readlink(b"", dir_fd=descriptor) if stat.S_ISLNK(state.st_mode) else b""
            self._special(path, state, link)
            return
        readable = os.open(f"/proc/self/fd/{descriptor}", os.O_RDONLY | os.O_CLOEXEC)
        try:
            self._file(path, readable, empty=path in self._exclude)
        finally:
            os.close(readable)

    def _file(self, path: bytes, descriptor: int, *, empty: bool) -> None:
        state = os.fstat(descriptor)
        if not stat.S_ISREG(state.st_mode):
            return  # replaced since it was listed
        member = self._member(path, REGULAR, state)
        if empty:
            self._put(member, [])
        elif not self._again(path, state):
            member.size = state.st_size
            self.entries += 1
            self._writer.file(descriptor, member, occupied=state.st_blocks * 512)

    def _special(self, path: bytes, state: os.stat_result, link: bytes) -> None:
        kind = _KINDS.get(stat.S_IFMT(state.st_mode))
        if kind is None:
            self.skipped.append(f"{os.fsdecode(path)}: a socket")
            return
        member = self._member(path, kind, state)
        if kind in {CHARACTER, BLOCKDEV}:
            member.device = (os.major(state.st_rdev), os.minor(state.st_rdev))
            if kind == CHARACTER and member.device == (0, 0):
                return  # overlay's mark of a deleted file
        member.link = link
        if not self._again(path, state):
            self._put(member, [])

    def _again(self, path: bytes, state: os.stat_result) -> bool:
        """Write a hard link, if this inode has been written before."""
        if state.st_nlink == 1:
            return False
        inode = (state.st_dev, state.st_ino)
        first, left = self._links.pop(inode, (b"", state.st_nlink))
        if left > 1:
            self._links[inode] = (first or self._name(path), left - 1)
        if not first:
            return False
        member = self._member(path, HARDLINK, state)
        member.link = first
        self._put(member, [])
        return True

    def _name(self, path: bytes) -> bytes:
        return _join(self._top, path)

    def _member(self, path: bytes, kind: bytes, state: os.stat_result) -> Member:
        name = self._name(path)
        return Member(
            (name or b".") + b"/" if kind == DIRECTORY else name,
            kind,
            mode=stat.S_IMODE(state.st_mode),
            uid=state.st_uid,
            gid=state.st_gid,
            mtime=state.st_mtime_ns,
        )

    def _put(self, member: Member, records: list[tuple[bytes, bytes]]) -> None:
        self.entries += 1
        self._writer.put(tarblock.member(member, records))


def _join(above: bytes, name: bytes) -> bytes:
    return above + b"/" + name if above and name else above or name


def _open(directory: int, name: bytes, flags: int, *, cross: bool) -> tuple[int, bool]:
    """(descriptor, whether it is a mount point not to be crossed, and so O_PATH); -1 for what has gone."""
    # O_NONBLOCK: what was listed as a file may be a FIFO by now.
    flags |= os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        try:
            return syscalls.openat2(directory, name, flags, resolve=_RESOLVE), False
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
        anywhere = _RESOLVE & ~syscalls.RESOLVE_NO_XDEV
        handle = syscalls.openat2(directory, name, os.O_PATH | os.O_NOFOLLOW, resolve=anywhere)
        if not cross or syscalls.filesystem_type(handle) in _INVENTED:
            return handle, True
        os.close(handle)
        return syscalls.openat2(directory, name, flags, resolve=anywhere), False
    except OSError as error:
        # ENXIO: a socket, or a device without a driver, in the place of a file.
        if error.errno not in {*_GONE, errno.ENXIO}:
            raise
        return -1, False
