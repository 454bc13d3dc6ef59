"""System calls on mounts and files. One function per call; no policy. LEAN."""

from __future__ import annotations

import errno
import os

from effects.libc import Structure, byref, c_uint64, call, sizeof

AT_FDCWD = -100
AT_SYMLINK_NOFOLLOW = 0x100
AT_EMPTY_PATH = 0x1000
AT_RECURSIVE = 0x8000

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC = 0x1, 0x2, 0x4, 0x8
MS_REMOUNT, MS_NOATIME, MS_BIND, MS_MOVE, MS_REC = 0x20, 0x400, 0x1000, 0x2000, 0x4000
MS_UNBINDABLE, MS_PRIVATE, MS_SLAVE, MS_SHARED = 0x20000, 0x40000, 0x80000, 0x100000
MS_RELATIME, MS_STRICTATIME = 0x200000, 0x1000000
MNT_FORCE, MNT_DETACH, MNT_EXPIRE, UMOUNT_NOFOLLOW = 1, 2, 4, 8

RESOLVE_NO_XDEV = 0x01
RESOLVE_NO_MAGICLINKS = 0x02
RESOLVE_NO_SYMLINKS = 0x04
RESOLVE_BENEATH = 0x08
RESOLVE_IN_ROOT = 0x10
RESOLVE_CACHED = 0x20

OPEN_TREE_CLONE = 1
OPEN_TREE_CLOEXEC = os.O_CLOEXEC
MOVE_MOUNT_F_SYMLINKS = 0x01
MOVE_MOUNT_F_EMPTY_PATH = 0x04
MOVE_MOUNT_T_SYMLINKS = 0x10
MOVE_MOUNT_T_EMPTY_PATH = 0x40

FSOPEN_CLOEXEC = 1
FSMOUNT_CLOEXEC = 1
FSCONFIG_SET_FLAG, FSCONFIG_SET_STRING = 0, 1
FSCONFIG_SET_FD, FSCONFIG_CMD_CREATE, FSCONFIG_CMD_RECONFIGURE = 5, 6, 7

MOUNT_ATTR_RDONLY = 0x01
MOUNT_ATTR_NOSUID = 0x02
MOUNT_ATTR_NODEV = 0x04
MOUNT_ATTR_NOEXEC = 0x08
MOUNT_ATTR_NOATIME = 0x10
MOUNT_ATTR_STRICTATIME = 0x20
MOUNT_ATTR_NODIRATIME = 0x80
MOUNT_ATTR_IDMAP = 0x100000
MOUNT_ATTR_NOSYMFOLLOW = 0x200000

RENAME_NOREPLACE, RENAME_EXCHANGE, RENAME_WHITEOUT = 1, 2, 4
FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE = 1, 2


class open_how(Structure):  # noqa: N801 - the kernel's name
    _fields_ = (("flags", c_uint64), ("mode", c_uint64), ("resolve", c_uint64))


class statfs(Structure):  # noqa: N801 - the kernel's name; we read its first field only
    _fields_ = (("f_type", c_uint64), *((f"rest{number}", c_uint64) for number in range(14)))


class mount_attr(Structure):  # noqa: N801 - the kernel's name
    _fields_ = (
        ("attr_set", c_uint64),
        ("attr_clr", c_uint64),
        ("propagation", c_uint64),
        ("userns_fd", c_uint64),
    )


def _bytes(text: str | bytes | None) -> bytes | None:
    return None if text is None else os.fsencode(text)


def mount(
    source: str | None, target: str, fstype: str | None, flags: int = 0, data: str | None = None
) -> None:
    call("mount", _bytes(source), _bytes(target), _bytes(fstype), flags, _bytes(data), path=target)


def umount2(target: str, flags: int = 0) -> None:
    call("umount2", _bytes(target), flags, path=target)


def pivot_root(new_root: str, put_old: str) -> None:
    call("pivot_root", _bytes(new_root), _bytes(put_old), path=new_root)


def openat2(dirfd: int, path: str | bytes, flags: int, *, mode: int = 0, resolve: int = 0) -> int:
    """A descriptor of `path` below `dirfd`, O_CLOEXEC. `mode` only with O_CREAT (else EINVAL)."""
    how = open_how(flags | os.O_CLOEXEC, mode, resolve)
    while True:
        try:
            return call("openat2", dirfd, _bytes(path), byref(how), sizeof(how), path=path)
        except OSError as error:
            # EAGAIN: a rename or mount elsewhere raced with our `..` (openat2(2), ERRORS): ask again.
            if error.errno not in {errno.EAGAIN, errno.EINTR}:
                raise


def open_tree(dirfd: int, path: str, flags: int) -> int:
    """A descriptor of a mount: O_PATH on it, or with OPEN_TREE_CLONE a detached copy."""
    return call("open_tree", dirfd, _bytes(path), flags | OPEN_TREE_CLOEXEC, path=path)


def move_mount(from_fd: int, from_path: str, to_fd: int, to_path: str, flags: int) -> None:
    call("move_mount", from_fd, _bytes(from_path), to_fd, _bytes(to_path), flags, path=to_path)


def mount_setattr(
    dirfd: int, path: str, flags: int, *, set_: int = 0, clear: int = 0, propagation: int = 0, userns: int = 0
) -> None:
    attributes = mount_attr(set_, clear, propagation, userns)
    call("mount_setattr", dirfd, _bytes(path), flags, byref(attributes), sizeof(attributes), path=path)


def fsopen(fstype: str) -> int:
    """A file system context, to be configured and made; reading it tells why a step failed."""
    return call("fsopen", _bytes(fstype), FSOPEN_CLOEXEC, path=fstype)


def fsconfig_string(context: int, key: str, value: str) -> None:
    call("fsconfig", context, FSCONFIG_SET_STRING, _bytes(key), _bytes(value), 0, path=value)


def fsconfig_flag(context: int, key: str) -> None:
    call("fsconfig", context, FSCONFIG_SET_FLAG, _bytes(key), None, 0, path=key)


def fsconfig_cmd(context: int, command: int) -> None:
    """`command` is FSCONFIG_CMD_CREATE or FSCONFIG_CMD_RECONFIGURE."""
    call("fsconfig", context, command, None, None, 0)


def fsmount(context: int, attributes: int = 0) -> int:
    """A detached mount of what the context made."""
    return call("fsmount", context, FSMOUNT_CLOEXEC, attributes)


def renameat2(old_dirfd: int, old: str, new_dirfd: int, new: str, flags: int = 0) -> None:
    call("renameat2", old_dirfd, _bytes(old), new_dirfd, _bytes(new), flags, path=new)


def filesystem_type(descriptor: int) -> int:
    """The magic number of the file system that it lies on (linux/magic.h); O_PATH is enough."""
    found = statfs()
    call("fstatfs", descriptor, byref(found))
    return int(found.f_type)


def syncfs(descriptor: int) -> None:
    call("syncfs", descriptor)


def fallocate(descriptor: int, mode: int, offset: int, length: int) -> None:
    call("fallocate", descriptor, mode, offset, length)
