"""Mounts of a namespace of our own: detached, and attached by descriptor, so that no path is resolved twice. LEAN."""

from __future__ import annotations

import errno
import os

from effects import syscalls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

NOSUID, NODEV, NOEXEC = syscalls.MOUNT_ATTR_NOSUID, syscalls.MOUNT_ATTR_NODEV, syscalls.MOUNT_ATTR_NOEXEC
RDONLY = syscalls.MOUNT_ATTR_RDONLY
SAFE = NOSUID | NODEV | NOEXEC

# tmpfs options that are the mount's own attributes: (set, clear).
_ATTRIBUTES = {
    "ro": (RDONLY, 0),
    "rw": (0, RDONLY),
    "nosuid": (NOSUID, 0),
    "suid": (0, NOSUID),
    "nodev": (NODEV, 0),
    "dev": (0, NODEV),
    "noexec": (NOEXEC, 0),
    "exec": (0, NOEXEC),
    "noatime": (syscalls.MOUNT_ATTR_NOATIME, 0),
    "atime": (0, syscalls.MOUNT_ATTR_NOATIME),
    "nodiratime": (syscalls.MOUNT_ATTR_NODIRATIME, 0),
    "diratime": (0, syscalls.MOUNT_ATTR_NODIRATIME),
    "relatime": (0, syscalls.MOUNT_ATTR_NOATIME),
    "async": (0, 0),
}
# What overlayfs says of a file system that cannot hold its upper layer: another overlay, or one without extended attributes.
_NO_UPPER = {
    errno.EINVAL: "the file system cannot hold an overlay's upper layer [is it one itself? name a root elsewhere]"
}
_OPTION_PAGE = 4095  # bytes of options that mount(2) takes
_MESSAGES = 4096


def part(propagation: int) -> bool:
    """First of all in a new mount namespace: nothing that is mounted there reaches the host. Whether this is a chroot.

    `propagation`: MS_PRIVATE, or MS_SLAVE, with which what the host unmounts is unmounted there too. In a chroot whose
    directory is no mount of its own, "/" is no mount point (mount(2): EINVAL), and the mount that it lies on is out of reach;
    from the root of the namespace, to which setns(2) leads, it is not.
    """
    try:
        syscalls.mount(None, "/", None, syscalls.MS_REC | propagation)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
    else:
        return False
    flags = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
    root, cwd = os.open("/", flags), os.open(".", flags)
    enter_top()
    syscalls.mount(None, "/", None, syscalls.MS_REC | propagation)
    os.fchdir(root)
    os.chroot(".")
    os.fchdir(cwd)
    for descriptor in (root, cwd):
        os.close(descriptor)
    return True


def enter_top() -> None:
    """Make the root of our own mount namespace our root, and working, directory: out of every chroot."""
    pidfd = os.pidfd_open(os.getpid())
    syscalls.setns(pidfd, syscalls.CLONE_NEWNS)
    os.close(pidfd)


def filesystem(fstype: str, options: Iterable[tuple[str, str | None]], attributes: int) -> int:
    """A detached mount of a new file system; an option without value is a flag.

    OSError tells the kernel's own words about a refused option where it has any.
    """
    context = syscalls.fsopen(fstype)
    try:
        syscalls.fsconfig_string(context, "source", fstype)
        for key, value in options:
            if value is None:
                syscalls.fsconfig_flag(context, key)
            else:
                syscalls.fsconfig_string(context, key, value)
        syscalls.fsconfig_cmd(context, syscalls.FSCONFIG_CMD_CREATE)
        return syscalls.fsmount(context, attributes)
    except OSError as error:
        told = _messages(context)
        raise OSError(error.errno, f"{error.strerror}: {told}" if told else error.strerror, fstype) from error
    finally:
        os.close(context)


def tmpfs(options: str) -> int:
    """A detached tmpfs with docker's defaults (nosuid, nodev, noexec) and then `options`, as -o has them."""
    attributes, own = SAFE, []
    for option in filter(None, options.split(",")):
        key, equals, value = option.partition("=")
        if option in _ATTRIBUTES:
            on, off = _ATTRIBUTES[option]
            attributes = (attributes & ~off) | on
        else:
            own.append((key, value if equals else None))
    return filesystem("tmpfs", own, attributes)


def clone(source: str, *, read_only: bool) -> int:
    """A detached copy of what lies at `source`, with all mounts below it; `read_only` means them all."""
    flags = syscalls.OPEN_TREE_CLONE | syscalls.AT_RECURSIVE
    return _made_read_only(syscalls.open_tree(syscalls.AT_FDCWD, source, flags), read_only)


def clone_of(handle: int, *, read_only: bool) -> int:
    """A detached copy of the tree that `handle` is on."""
    flags = syscalls.OPEN_TREE_CLONE | syscalls.AT_RECURSIVE | syscalls.AT_EMPTY_PATH
    return _made_read_only(syscalls.open_tree(handle, "", flags), read_only)


def _made_read_only(mount: int, read_only: bool) -> int:
    if read_only:
        try:
            set_attributes(mount, RDONLY)
        except OSError:
            os.close(mount)
            raise
    return mount


def set_attributes(mount: int, attributes: int) -> None:
    """On the mount and all below it (mount_setattr(2), Linux 5.12)."""
    flags = syscalls.AT_EMPTY_PATH | syscalls.AT_RECURSIVE
    syscalls.mount_setattr(mount, "", flags, set_=attributes)


def attach(mount: int, target: int) -> None:
    """Put the detached mount where `target` is a handle of, whatever its path leads to by now."""
    flags = syscalls.MOVE_MOUNT_F_EMPTY_PATH | syscalls.MOVE_MOUNT_T_EMPTY_PATH
    syscalls.move_mount(mount, "", target, "", flags)


def overlay(lower: Sequence[str], upper: str, work: str, *, volatile: bool = False) -> int:
    r"""Mount an overlay over `upper` itself and return a handle of its root. `lower`: uppermost first.

    `volatile`: nothing of it is synced to the disk, not even at its end, when the kernel would sync the whole file system
    below, whoever has written there (kernel, filesystems/overlayfs.rst, "Volatile mount"; Linux 5.10). For an
    upper directory that is thrown away.

    mount(2), with every directory named by a descriptor: one way for all kernels (fsconfig takes 255
    bytes of `lowerdir`, `lowerdir+` is of Linux 6.8), no `:`, `,` or `\\` to escape, room for some 200
    layers, and /proc/mounts inside shows no path of the host.
    """
    flags = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
    handles: list[int] = []
    try:
        for path in (*lower, upper, work):
            handles.append(os.open(path, flags))  # noqa: PERF401 - those before a failure must be closed
        names = [f"/proc/self/fd/{handle}" for handle in handles]
        # index=on: a second overlay on the same upper is refused (EBUSY), and hard links keep their identity.
        # No redirects, so that an upper directory means the same to every kernel and every reader.
        options = f"lowerdir={':'.join(names[:-2])},upperdir={names[-2]},workdir={names[-1]}"
        options += ",index=on,redirect_dir=nofollow,metacopy=off"
        if volatile:
            options += ",volatile"
            _forget_volatile(handles[-1])
        if len(options) > _OPTION_PAGE:
            raise OSError(errno.E2BIG, f"{len(lower)} layers are more than one mount can name")
        try:
            syscalls.mount("overlay", names[-2], "overlay", 0, options)
        except OSError as error:
            raise OSError(error.errno, _NO_UPPER.get(error.errno or 0, error.strerror), upper) from None
        return os.open(upper, flags)
    finally:
        for handle in handles:
            os.close(handle)


def _forget_volatile(work: int) -> None:
    """Let it be mounted again, which the kernel refuses after a volatile mount: the host may have crashed since.

    Then nothing here would be mounted again.
    """
    for remove, name in ((os.unlink, "volatile/dirty"), (os.rmdir, "volatile")):
        try:
            remove(f"work/incompat/{name}", dir_fd=work)
        except FileNotFoundError:
            continue  # it is the first mount, or a kernel that marks it by the directory alone


def _messages(context: int) -> str:
    """What the kernel wrote into a file system context, one message after the other."""
    told: list[str] = []
    while True:
        try:
            message = os.read(context, _MESSAGES)
        except OSError:  # ENODATA: that was all; and a message is never worth an error of its own
            return "; ".join(told)
        if not message:
            return "; ".join(told)
        told.append(message.decode(errors="replace").strip().removeprefix("e "))
