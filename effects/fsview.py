"""Directory descriptors of a container's file system, from outside of it, that nothing on the host ever sees.

Each is an O_PATH handle of a detached mount, or of the running container's own root (to list it, open "."
below it): no path of the host leads there, so nothing is left behind when its holder dies, and no name is
resolved twice.
"""

from __future__ import annotations

import _socket
import errno
import os
import select
import struct

from effects import identity, jail, mounts, syscalls
from effects.failure import StepFailed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from effects.identity import Identity

_VIEW = mounts.SAFE | mounts.RDONLY
_OPTION_PAGE = 4095  # bytes of options that mount(2) takes


def overlay_view(lower: Sequence[str]) -> int:
    """A read-only view of the directories `lower`, uppermost first: a stopped container's upper and layers."""
    if len(lower) == 1:  # overlay wants two, or an upper
        return _read_only(syscalls.open_tree(syscalls.AT_FDCWD, lower[0], syscalls.OPEN_TREE_CLONE))
    return _made_apart(lambda: _read_only(_mount_lower(lower)), "mount a view")


def overlay_rw_view(lower: Sequence[str], upper: str, work: str) -> int:
    """The file system of a stopped container, to be written to. The caller holds the container's lock.

    EBUSY while another mount has the same upper.
    """

    def make() -> int:
        _private_namespace()
        try:
            handle = mounts.overlay(lower, upper, work)
        except OSError as error:
            # The path that mount(2) had was a descriptor's.
            raise OSError(error.errno, error.strerror, upper) from None
        return _clone(handle, mounts.SAFE)

    return _made_apart(make, "mount for writing")


def running_view(pidfd: int) -> int:
    """A running container's own file system, read-only, without what is mounted in it: no volumes, /proc, /dev."""

    def make() -> int:
        syscalls.setns(pidfd, syscalls.CLONE_NEWNS)
        return _read_only(syscalls.open_tree(syscalls.AT_FDCWD, "/", syscalls.OPEN_TREE_CLONE))

    return _made_apart(make, "view the container", keep=(pidfd,))


def root_handle(process: Identity) -> int:
    """A handle (O_PATH) of the process's root directory, as it sees it; ESRCH if it is gone.

    The pid cannot have been used again: the pidfd, opened first, is of this process and still lives after.
    """
    pidfd = identity.open_identity(process)
    if pidfd is None:
        raise StepFailed("view the container", errno.ESRCH, "its first process is gone")
    try:
        root = os.open(f"/proc/{process['pid']}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        if poll.poll(0):
            os.close(root)
            raise StepFailed("view the container", errno.ESRCH, "its first process has just ended")
        return root
    finally:
        os.close(pidfd)


def _made_apart(make: Callable[[], int], label: str, *, keep: tuple[int, ...] = ()) -> int:
    """The descriptor that `make` opens in a forked child, whose namespaces die with it."""
    here, there = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_STREAM)
    try:

        def work() -> None:
            rights = struct.pack("i", make())
            there.sendmsg([b"."], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, rights)])

        jail.Child(work, label=label, keep=(there.fileno(), *keep)).wait()
        room = _socket.CMSG_LEN(struct.calcsize("i"))
        _, rights, _, _ = here.recvmsg(1, room, _socket.MSG_CMSG_CLOEXEC)
        return int(struct.unpack("i", rights[0][2])[0])
    finally:
        here.close()
        there.close()


def _private_namespace() -> None:
    syscalls.unshare(syscalls.CLONE_NEWNS)
    # Else what is mounted here would appear on a host whose mounts are shared, as systemd makes them.
    mounts.part(syscalls.MS_PRIVATE)


def _mount_lower(lower: Sequence[str]) -> int:
    """A detached overlay without upper, with the same rules as the container's own (`mounts.overlay`)."""
    _private_namespace()
    flags = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
    names = [f"/proc/self/fd/{os.open(path, flags)}" for path in lower]  # closed by the child's end
    options = f"lowerdir={':'.join(names)},redirect_dir=nofollow,metacopy=off"
    if len(options) > _OPTION_PAGE:
        raise OSError(errno.E2BIG, f"{len(lower)} layers are more than one mount can name")
    syscalls.mount("overlay", names[0], "overlay", syscalls.MS_RDONLY, options)
    return _clone(os.open(lower[0], flags), 0)


def _clone(handle: int, attributes: int) -> int:
    """A detached copy of the mount whose root `handle` is."""
    copy = syscalls.open_tree(handle, "", syscalls.OPEN_TREE_CLONE | syscalls.AT_EMPTY_PATH)
    if attributes:
        mounts.set_attributes(copy, attributes)
    return copy


def _read_only(mount: int) -> int:
    try:
        mounts.set_attributes(mount, _VIEW)
    except OSError:
        os.close(mount)
        raise
    return mount
