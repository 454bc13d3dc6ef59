"""A container's file tree, built inside its own mount namespace before it pivots into it. LEAN.

Every mount is detached first and then attached by descriptor, and every place is found from a handle of
the new root by openat2: no name in a hostile image or volume leads anywhere else.
"""

from __future__ import annotations

import errno
import os
import stat

from effects import devnodes, masks, mounts, rootdir, syscalls, terminal
from effects.newborn import refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from effects.init_config import InitConfig

INIT = "/dev/init"  # where --init finds its program
# One for each own network namespace, as docker sets them: ports and ping without rights.
_SYSCTLS = (
    ("net/ipv4/ip_unprivileged_port_start", b"0"),
    ("net/ipv4/ping_group_range", b"0 2147483647"),
)
_OWN_PROC = syscalls.RESOLVE_BENEATH | syscalls.RESOLVE_NO_XDEV | syscalls.RESOLVE_NO_SYMLINKS


class Rootfs:
    """The steps that make the tree, to be called in this order; each raises OSError where it fails.

    `mounts` lists what was attached so far, as container paths in order.
    """

    def __init__(self, config: InitConfig) -> None:
        self.config = config
        self.mounts: list[str] = []
        self._chrooted = False  # whether the engine's root is no mount point
        self.root = self._dev = self._proc = self._null = -1
        self._user: list[tuple[str, int]] = []  # (target, detached mount), parents first
        self._files: list[tuple[str, int]] = []

    def make_private(self) -> None:
        """First of all: from here on nothing that is mounted or unmounted reaches the host, nor the other way."""
        self._chrooted = mounts.part(syscalls.MS_PRIVATE)

    def open_sources(self) -> None:
        """Copy what comes from the host before the container's tree is there to be found among it."""
        config = self.config
        for volume in config["volumes"]:
            target = _checked(volume["target"])
            try:
                self._user.append((target, mounts.clone(volume["source"], read_only=volume["ro"])))
            except OSError as error:
                raise refused(f"volume {target}", error) from error
        for entry in config["tmpfs"]:
            target = _checked(entry["target"])
            try:
                self._user.append((target, mounts.tmpfs(entry["options"])))
            except OSError as error:
                raise refused(f"tmpfs {target}", error) from error
        self._user.sort(key=lambda mount: mount[0].split("/"))
        covered = {target for target, _mount in self._user}
        for path, source in config["files"].items():
            # A volume of the user's own at this very place wins.
            if path not in covered:
                self._files.append((path, mounts.clone(source, read_only=config["read_only"])))
        if config["init"]:
            self._files.append((INIT, mounts.clone(config["init"], read_only=True)))

    def mount_overlay(self) -> None:
        config = self.config
        volatile = config["auto_remove"]
        self.root = mounts.overlay(config["lower"], config["upper"], config["work"], volatile=volatile)
        self.mounts.append("/")

    def mount_proc(self) -> None:
        self._proc = mounts.filesystem("proc", (), mounts.SAFE)
        self._attach_own(self._proc, "/proc")

    def set_sysctls(self) -> None:
        """Through the handle of our own /proc, before anything can lie over it (CVE-2025-52881)."""
        if self.config["network"] in {"host", "container"}:
            return
        for name, value in _SYSCTLS:
            control = syscalls.openat2(self._proc, f"sys/{name}", os.O_WRONLY, resolve=_OWN_PROC)
            os.write(control, value)
            os.close(control)

    def mount_dev(self) -> None:
        self._dev = devnodes.tmpfs()
        self._null = devnodes.open_null(self._dev)
        if self.config["privileged"]:
            devnodes.copy_host_nodes(self._dev)
        self._attach_own(self._dev, "/dev")
        for name in devnodes.attach_own(self._dev, self.config["shm_size"]):
            self.mounts.append(f"/dev/{name}")

    def mount_sys(self) -> None:
        attributes = mounts.SAFE if self.config["privileged"] else mounts.SAFE | mounts.RDONLY
        mount = mounts.filesystem("sysfs", (), attributes)
        self._attach_own(mount, "/sys")
        os.close(mount)

    def mount_user(self) -> None:
        """Volumes and tmpfs, parents before children; then single files."""
        for target, mount in self._user:
            try:
                self._attach_user(mount, target)
            except OSError as error:
                raise refused(f"mount {target}", error) from error
        for path, mount in self._files:
            self._attach_user(mount, path)

    def open_terminal(self) -> tuple[int, int]:
        """(master, slave) of a pty of the container's own devpts, the slave bound over /dev/console."""
        pts = rootdir.open_in(self._dev, "pts")
        master, slave = terminal.open_pair("ptmx", pts)
        os.close(pts)
        console = rootdir.make_file(self._dev, "console")
        mount = mounts.clone_of(slave, read_only=False)
        mounts.attach(mount, console)
        os.close(mount)
        os.close(console)
        self.mounts.append("/dev/console")
        return master, slave

    def open_null(self) -> int:
        """For reading: the container's own null, since what the host's /dev/null is could be changed through it."""
        return os.open(f"/proc/self/fd/{self._null}", os.O_RDONLY | os.O_CLOEXEC)

    def mask(self) -> None:
        if self.config["privileged"]:
            return
        self.mounts += masks.protect(self.root)
        self.mounts += masks.hide(self.root, self._null)

    def make_cwd(self) -> None:
        """While the root can be written: with read_only the last stage could not make it any more."""
        if self.config["read_only"]:
            os.close(rootdir.make_dir(self.root, self.config["cwd"] or "/"))

    def pivot(self) -> None:
        """Make the tree the root of this namespace, and let go of the host's."""
        if self.config["read_only"]:
            # Not recursive: /dev, volumes and tmpfs stay as they are.
            syscalls.mount_setattr(self.root, "", syscalls.AT_EMPTY_PATH, set_=mounts.RDONLY)
        if self._chrooted:
            mounts.enter_top()  # pivot_root(2) takes no root that is no mount point
        os.fchdir(self.root)
        # Both in one place (pivot_root(2), NOTES): the old root lies over the new one, and is taken off it.
        syscalls.pivot_root(".", ".")
        syscalls.umount2(".", syscalls.MNT_DETACH)
        os.chdir("/")
        for descriptor in (self._dev, self._proc, self._null):
            os.close(descriptor)

    def mount_cgroup(self) -> None:
        """The version 2 tree as this process's own cgroup namespace shows it; after the pivot.

        Nothing where version 1 has the controllers: what is shown there would be the host's.
        """
        config = self.config
        if not config["cgroup2"] or config["joins"]:
            return
        attributes = mounts.SAFE if config["privileged"] else mounts.SAFE | mounts.RDONLY
        mount = mounts.filesystem("cgroup2", (), attributes)
        target = rootdir.open_in(self.root, "/sys/fs/cgroup")
        mounts.attach(mount, target)
        os.close(mount)
        os.close(target)
        self.mounts.append("/sys/fs/cgroup")

    def _attach_own(self, mount: int, path: str) -> None:
        """On a directory of that very name: an image whose /dev is a link or a file is refused."""
        try:
            flags = os.O_PATH | os.O_DIRECTORY
            target = rootdir.open_in(self.root, path, flags, resolve=syscalls.RESOLVE_NO_SYMLINKS)
        except FileNotFoundError:
            target = rootdir.make_dir(self.root, path)
        except OSError as error:
            if error.errno != errno.ELOOP:
                raise
            raise OSError(errno.ELOOP, "the image has a symbolic link there", path) from error
        mounts.attach(mount, target)
        os.close(target)
        self.mounts.append(path)

    def _attach_user(self, mount: int, path: str) -> None:
        is_dir = stat.S_ISDIR(os.fstat(mount).st_mode)
        target = rootdir.make_dir(self.root, path) if is_dir else rootdir.make_file(self.root, path)
        self._require_harmless(target, path)
        mounts.attach(mount, target)
        os.close(target)
        os.close(mount)
        self.mounts.append(path)

    def _require_harmless(self, target: int, path: str) -> None:
        """Links in the image may lead even a good name to places that nothing may cover."""
        status, root = os.fstat(target), os.fstat(self.root)
        if status.st_dev == os.fstat(self._proc).st_dev:
            raise OSError(errno.EINVAL, "leads into /proc", path)
        if (status.st_dev, status.st_ino) == (root.st_dev, root.st_ino):
            raise OSError(errno.EINVAL, "leads to the container's root", path)


def _checked(target: str) -> str:
    """The path without `.`, `..` and doubled slashes. EINVAL for what may not be covered (CVE-2019-19921)."""
    clean = os.path.normpath(target)
    if not target.startswith("/") or clean in {"/", "//"}:
        raise OSError(errno.EINVAL, "cannot be mounted over", target)
    if clean == "/proc" or clean.startswith("/proc/"):
        raise OSError(errno.EINVAL, "nothing can be mounted in /proc", target)
    return clean
