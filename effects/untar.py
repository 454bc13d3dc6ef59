"""Extracts a tar stream into the current directory. Only ever called in a jail: see `effects.jail`.

There the kernel keeps every path inside, wherever symbolic links point. What is left to do here is to
never write through what lies in the way, to give each file exactly what its header says and in the one
order that keeps it (chown clears setuid and capabilities, writing changes times), and to stay in bounds.
"""

from __future__ import annotations

import errno
import os
import stat

from effects import syscalls
from effects.tarformat import (
    BLOCKDEV,
    CHARACTER,
    DIRECTORY,
    FIFO,
    HARDLINK,
    REGULAR,
    SYMLINK,
    Entry,
    broken,
)
from effects.tarheader import Reader
from effects.tarplace import CAPABILITY, NO_XATTR, DirectoryTimes, hands_down, is_kept_xattr, make_parents
from effects.tarrules import Rules
from effects.tarstream import Stream

__all__ = ["Rules", "extract"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_SPECIAL = stat.S_ISUID | stat.S_ISGID
_MAX_TOLD = 20  # what was left out, told by name; the rest is counted


def extract(stream: Stream, rules: Rules) -> dict[str, Any]:
    """Unpack the stream into "."; {"entries", "bytes", "config" (text or None), "skipped" (sentences)}.

    ArchiveError for an archive that is broken or out of bounds, OSError for what the file system says.
    """
    return _Extraction(stream, rules).run()


class _Extraction:
    def __init__(self, stream: Stream, rules: Rules) -> None:
        self._stream = stream
        self._rules = rules
        self._entries = self._bytes = self._untold = 0
        self._skipped: list[str] = []
        self._top: bytes | None = None
        self._times = DirectoryTimes()
        self._parent = b""
        # A directory that hands down its group or an ACL: then what we create is not as we asked for.
        self._inherits = rules.merge or hands_down(".")
        self._makers: dict[bytes, Callable[[Entry, bytes], None]] = {
            REGULAR: self._file,
            HARDLINK: self._hardlink,
            SYMLINK: self._symlink,
            CHARACTER: self._node,
            BLOCKDEV: self._node,
            FIFO: self._node,
            DIRECTORY: self._directory,
        }

    def run(self) -> dict[str, Any]:
        reader = Reader(self._stream)
        while (entry := reader.next()) is not None:
            self._admit(entry)
            path = self._path(entry.name)
            if self._rules.single:
                path = self._below_top(entry, path)
            if not self._rules.links:
                self._refuse_links(entry, path)
            self._times.keep_parent(path)
            self._makers[entry.kind](entry, path)
        self._times.set_all()
        if self._untold:
            self._skipped.append(f"and {self._untold} more")
        config = None if reader.config is None else reader.config.decode("utf-8", "surrogateescape")
        return {"entries": self._entries, "bytes": self._bytes, "config": config, "skipped": self._skipped}

    def _admit(self, entry: Entry) -> None:
        self._entries += 1
        # The apparent size: a hole costs nothing here, but all that later reads the file.
        self._bytes += entry.length
        if self._entries > self._rules.max_inodes:
            raise broken(f"more than {self._rules.max_inodes} files", entry.name)
        if self._bytes > self._rules.max_bytes:
            raise broken(f"more than {self._rules.max_bytes} bytes when unpacked", entry.name)

    def _path(self, name: bytes) -> bytes:
        """The name below ".", without leading, doubled and trailing slashes; b"" is "." itself."""
        parts = [part for part in name.split(b"/") if part not in {b"", b"."}]
        if b".." in parts:
            raise broken("name with '..' in it", name)
        return b"/".join(parts)

    def _below_top(self, entry: Entry, path: bytes) -> bytes:
        first, _, rest = path.partition(b"/")
        if self._top is None:
            self._top = first
            kind = "directory" if entry.kind == DIRECTORY else "other"
            if self._rules.top_kind not in {"", kind}:
                raise self._wrong_kind(kind)
        if self._top == b"":
            rest = path
        elif first != self._top:
            raise broken("name outside of what was asked for", entry.name)
        if not self._rules.top:
            return path
        return self._rules.top + b"/" + rest if rest else self._rules.top

    def _wrong_kind(self, kind: str) -> OSError:
        name = os.fsdecode(self._rules.top)
        if kind == "directory":
            return OSError(errno.ENOTDIR, "cannot copy a directory to a file", name)
        return OSError(errno.ENOENT, "the directory to copy a file to must exist", name)

    def _file(self, entry: Entry, path: bytes) -> None:
        descriptor = self._create(entry, path)
        try:
            if entry.sparse is None:
                if entry.size:
                    self._stream.copy(descriptor, entry.size)
            else:
                for offset, length in entry.sparse:
                    os.lseek(descriptor, offset, os.SEEK_SET)
                    self._stream.copy(descriptor, length)
                os.ftruncate(descriptor, entry.length)
            self._own(entry, descriptor)
            mode = self._mode(entry)
            if mode & 0o7000 or self._inherits:
                os.fchmod(descriptor, mode)
            if entry.xattrs:
                self._set_xattrs(entry, descriptor)
            os.utime(descriptor, ns=(entry.mtime, entry.mtime))
        finally:
            os.close(descriptor)

    def _create(self, entry: Entry, path: bytes) -> int:
        mode = entry.mode & 0o777
        try:
            return os.open(path, _NEW, mode)
        except OSError as error:
            self._make_way(error, entry, path)
        return os.open(path, _NEW, mode)

    def _directory(self, entry: Entry, path: bytes) -> None:
        here = path or b"."
        existing = not path
        if path:
            try:
                os.mkdir(path, entry.mode & 0o1777)
            except FileExistsError as error:
                existing = stat.S_ISDIR(os.lstat(path).st_mode)
                if not existing:
                    self._make_way(error, entry, path)
                    os.mkdir(path, entry.mode & 0o1777)
            except FileNotFoundError as error:
                self._make_way(error, entry, path)
                os.mkdir(path, entry.mode & 0o1777)
        elif self._rules.merge:
            return  # the directory that is copied into is not itself copied
        self._dress(entry, here, existing=existing)

    def _dress(self, entry: Entry, path: bytes, *, existing: bool) -> None:
        """Owner, mode, attributes of a directory; its time comes when its last child is there."""
        # By descriptor: in a live container somebody may put a link in its place meanwhile.
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            self._own(entry, descriptor)
            mode = self._mode(entry)
            if mode & _SPECIAL or existing or self._inherits:
                os.fchmod(descriptor, mode)
            if entry.xattrs:
                self._set_xattrs(entry, descriptor)
            if mode & stat.S_ISGID:
                self._inherits = True
        finally:
            os.close(descriptor)
        self._times.add(path, entry.mtime)

    def _symlink(self, entry: Entry, path: bytes) -> None:
        if not entry.link:
            raise broken("symbolic link to nothing", entry.name)
        try:
            os.symlink(entry.link, path)
        except OSError as error:
            self._make_way(error, entry, path)
            os.symlink(entry.link, path)
        self._finish_special(entry, path)

    def _node(self, entry: Entry, path: bytes) -> None:
        """A FIFO or a device; not a char 0:0, by which overlay would hide what lies below."""
        if entry.kind != FIFO and (self._rules.plain or (entry.kind == CHARACTER and entry.device == (0, 0))):
            self._leave_out(entry, "a device")
            return
        kinds = {FIFO: stat.S_IFIFO, CHARACTER: stat.S_IFCHR, BLOCKDEV: stat.S_IFBLK}
        mode, device = kinds[entry.kind] | (entry.mode & 0o1777), os.makedev(*entry.device)
        try:
            os.mknod(path, mode, device)
        except OSError as error:
            self._make_way(error, entry, path)
            os.mknod(path, mode, device)
        self._finish_special(entry, path)

    def _finish_special(self, entry: Entry, path: bytes) -> None:
        uid, gid = self._rules.owner or (entry.uid, entry.gid)
        if uid or gid or self._inherits:
            os.chown(path, uid, gid, follow_symlinks=False)
        os.utime(path, ns=(entry.mtime, entry.mtime), follow_symlinks=False)

    def _hardlink(self, entry: Entry, path: bytes) -> None:
        target = self._path(entry.link)
        if self._rules.single:
            target = self._below_top(entry, target)
        if not target:
            raise broken("hard link to a directory", entry.name)
        try:
            os.link(target, path, follow_symlinks=False)
        except OSError as error:
            if isinstance(error, FileNotFoundError) and not os.path.lexists(target):
                raise broken(
                    f"hard link to {os.fsdecode(entry.link)!r}, which is not there", entry.name
                ) from None
            if isinstance(error, FileExistsError) and os.path.samestat(os.lstat(target), os.lstat(path)):
                return
            self._make_way(error, entry, path)
            os.link(target, path, follow_symlinks=False)

    def _make_way(self, error: OSError, entry: Entry, path: bytes) -> None:
        """Answer a failed creation: make the missing parents, or remove what lies there; else raise."""
        if isinstance(error, FileNotFoundError):
            make_parents(path)
            return
        if not isinstance(error, FileExistsError):
            raise error
        if not path:
            raise broken(f"{_noun(entry)} in the place of the top directory", entry.name)
        if not stat.S_ISDIR(os.lstat(path).st_mode):
            if entry.kind == DIRECTORY and self._rules.merge:
                raise OSError(errno.ENOTDIR, "a directory would replace what is none", os.fsdecode(path))
            os.unlink(path)
            return
        if self._rules.merge:
            raise OSError(errno.EISDIR, f"{_noun(entry)} would replace a directory", os.fsdecode(path))
        try:
            os.rmdir(path)
        except OSError:
            raise broken(f"{_noun(entry)} would replace a directory that is not empty", entry.name) from None
        self._times.forget(path)

    def _own(self, entry: Entry, descriptor: int) -> None:
        uid, gid = self._rules.owner or (entry.uid, entry.gid)
        if uid or gid or self._inherits:
            os.fchown(descriptor, uid, gid)

    def _mode(self, entry: Entry) -> int:
        return entry.mode & ~_SPECIAL if self._rules.plain else entry.mode

    def _set_xattrs(self, entry: Entry, descriptor: int) -> None:
        assert entry.xattrs is not None
        for name, value in entry.xattrs.items():
            if not is_kept_xattr(name) or (self._rules.plain and name == CAPABILITY):
                continue
            try:
                os.setxattr(descriptor, name, value)
            except OSError as error:
                # A file system without them (user.* on tmpfs before Linux 6.6) is told, not fatal.
                if error.errno not in NO_XATTR:
                    raise
                self._leave_out(entry, f"attribute {name}")

    def _leave_out(self, entry: Entry, what: str) -> None:
        if len(self._skipped) < _MAX_TOLD:
            self._skipped.append(f"{os.fsdecode(entry.name)}: {what}")
        else:
            self._untold += 1

    def _refuse_links(self, entry: Entry, path: bytes) -> None:
        parent = os.path.dirname(path)
        if parent == self._parent:
            return
        try:
            os.close(
                syscalls.openat2(syscalls.AT_FDCWD, parent, os.O_PATH, resolve=syscalls.RESOLVE_NO_SYMLINKS)
            )
        except FileNotFoundError:
            return  # the missing parents will be made, and are directories then
        except OSError as error:
            if error.errno != errno.ELOOP:
                raise
            raise broken("name below a symbolic link", entry.name) from None
        self._parent = parent


def _noun(entry: Entry) -> str:
    nouns = {REGULAR: "a file", DIRECTORY: "a directory", SYMLINK: "a symbolic link", HARDLINK: "a hard link"}
    return nouns.get(entry.kind, "a device or FIFO")
