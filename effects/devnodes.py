"""A container's /dev: a tmpfs with the standard nodes and links, its pts, shm and mqueue. LEAN."""

from __future__ import annotations

import errno
import os
import stat

from effects import mounts, rootdir, syscalls
from effects.devices import NODES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_LINKS = (
    ("ptmx", "pts/ptmx"),
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
)
# gid 5: tty, as in docker
_PTS = (("newinstance", None), ("ptmxmode", "0666"), ("mode", "0620"), ("gid", "5"))
_NULL = (1, 3)
# Of a privileged container's host devices, what the container has of its own.
_OWN = {"pts", "shm", "mqueue", "fd", "console", "ptmx", "stdin", "stdout", "stderr"}


def tmpfs() -> int:
    """A detached /dev, filled; not nodev, and not noexec (programs map /dev/zero executable)."""
    attributes = mounts.NOSUID | syscalls.MOUNT_ATTR_STRICTATIME
    dev = mounts.filesystem("tmpfs", (("mode", "0755"), ("size", "65536k")), attributes)
    for name, major, minor in NODES:
        os.mknod(name, stat.S_IFCHR | 0o666, os.makedev(major, minor), dir_fd=dev)
    for name, target in _LINKS:
        os.symlink(target, name, dir_fd=dev)
    for name in ("pts", "shm", "mqueue"):
        os.mkdir(name, 0o755, dir_fd=dev)
    return dev


def attach_own(dev: int, shm_size: int) -> list[str]:
    """Mount pts, shm and mqueue into the attached /dev; the names mounted."""
    shm = (("mode", "1777"), ("size", str(shm_size)))
    parts = (
        ("pts", "devpts", _PTS, mounts.NOSUID | mounts.NOEXEC),
        ("shm", "tmpfs", shm, mounts.SAFE),
        ("mqueue", "mqueue", (), mounts.SAFE),
    )
    for name, fstype, options, attributes in parts:
        mount = mounts.filesystem(fstype, options, attributes)
        target = rootdir.open_in(dev, name)
        mounts.attach(mount, target)
        os.close(target)
        os.close(mount)
    return [name for name, *_rest in parts]


def open_null(dev: int) -> int:
    """A handle of the null that was made in `tmpfs`, to mask files with."""
    null = rootdir.open_in(dev, "null", resolve=syscalls.RESOLVE_NO_SYMLINKS)
    require_null(null)
    return null


def require_null(handle: int) -> None:
    """ENODEV unless it is the kernel's null: a mask from anything else shows that (CVE-2025-31133)."""
    status = os.fstat(handle)
    if not stat.S_ISCHR(status.st_mode) or (os.major(status.st_rdev), os.minor(status.st_rdev)) != _NULL:
        raise OSError(errno.ENODEV, "not the kernel's null device", "/dev/null")


def copy_host_nodes(dev: int) -> None:
    """For a privileged container: every device node of the host's /dev, with its mode and owner."""
    for path, status in _host_nodes("/dev", ""):
        directory = os.path.dirname(path)
        if directory:
            os.close(rootdir.make_dir(dev, directory))
        try:
            os.mknod(path, status.st_mode, status.st_rdev, dir_fd=dev)
        except FileExistsError:
            continue
        os.chown(path, status.st_uid, status.st_gid, dir_fd=dev, follow_symlinks=False)


def _host_nodes(host: str, below: str) -> Iterator[tuple[str, os.stat_result]]:
    """(path below /dev, its lstat) of every node, directories of other file systems left out."""
    own = os.stat(host).st_dev
    with os.scandir(f"{host}/{below}") as entries:
        for entry in entries:
            name = f"{below}{entry.name}"
            status = entry.stat(follow_symlinks=False)
            if name in _OWN or status.st_dev != own:
                continue
            if stat.S_ISDIR(status.st_mode):
                yield from _host_nodes(host, f"{name}/")
            elif stat.S_ISCHR(status.st_mode) or stat.S_ISBLK(status.st_mode):
                yield name, status
