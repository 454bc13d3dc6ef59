"""A container's first process, from the clone to its exec: the one way to make one. LEAN.

`spawn_init` is called by a single-threaded process (the monitor) that stays outside. The child makes its
world in the order of STEPS, joins its cgroups, says that it is ready, and waits at the gate; released, it gives
up its rights and runs the program. Any step that fails is told with its errno, and nothing goes on.
"""

from __future__ import annotations

import _socket
import fcntl
import os

from effects import cgroup_entry, heritage, last_stage, netns, newborn, syscalls, terminal
from effects.newborn import refused
from effects.rootfs import INIT, Rootfs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

    from effects.init_config import InitConfig
    from effects.newborn import Newborn, Report

_NAMESPACES = syscalls.CLONE_NEWNS | syscalls.CLONE_NEWPID | syscalls.CLONE_NEWUTS | syscalls.CLONE_NEWIPC
_OTHERS = ("host", "container")  # networks that somebody else has made, and set up
# linux/sockios.h, linux/if.h: struct ifreq is a name of 16 bytes, then flags in a union of 24.
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 1
_LOOPBACK = b"lo".ljust(16, b"\0")


def spawn_init(config: InitConfig) -> Newborn:
    """Clone the container's first process; its cgroups must be there. StepFailed if it cannot be.

    Then `wait_ready()` -> {"mounts": container paths in order}, with a tty `terminal` the pty's master;
    `release()`; `wait_exec()`. Its end is for the caller to wait for (pidfd).
    """
    flags = _NAMESPACES | (0 if config["network"] in _OTHERS else syscalls.CLONE_NEWNET)
    cgroup = cgroup_entry.open_cgroup(config["cgroup2"])
    network = -1
    try:
        if config["network"] == "container":
            network = netns.open_namespace(config["netns"], "network")
        init = _Init(config, network)
        return newborn.bear(init.live, flags=flags, cgroup=cgroup, keep=[network] if network >= 0 else [])
    finally:
        for descriptor in (cgroup, network):
            if descriptor >= 0:
                os.close(descriptor)


class _Init:
    """The child's own memory between its steps."""

    def __init__(self, config: InitConfig, network: int) -> None:
        self._config = config
        self._network = network  # a network namespace to enter; -1: none
        self._rootfs = Rootfs(config)
        self._stdin = -1
        self._outputs: list[int] = []
        self._joins: list[int] = []
        self._master = -1

    def live(self, report: Report) -> NoReturn:
        for step, act in self._steps():
            try:
                act()
            except OSError as error:
                raise refused(step, error) from error
        report.ready({"mounts": self._rootfs.mounts}, self._master)
        if self._master >= 0:
            os.close(self._master)
        report.wait_gate()
        config = self._config
        if config["init"]:
            config["argv"] = [INIT, "--", *config["argv"]]
        last_stage.run(config, report)

    def _steps(self) -> tuple[tuple[str, Callable[[], object]], ...]:
        rootfs = self._rootfs
        return (
            ("session", os.setsid),
            ("private mounts", rootfs.make_private),
            ("stdio", self._open_stdio),
            ("cgroup", self._open_joins),
            ("network", self._enter_network),
            ("mount sources", rootfs.open_sources),
            ("overlay", rootfs.mount_overlay),
            ("mount /proc", rootfs.mount_proc),
            ("loopback", self._raise_loopback),
            ("sysctl", rootfs.set_sysctls),
            ("mount /dev", rootfs.mount_dev),
            ("mount /sys", rootfs.mount_sys),
            ("mounts", rootfs.mount_user),
            ("stdio", self._take_stdio),
            ("masked paths", rootfs.mask),
            ("cwd", rootfs.make_cwd),
            ("oom_score_adj", heritage.reset_oom_score),
            ("pivot_root", rootfs.pivot),
            ("hostname", self._set_hostname),
            ("keyring", lambda: heritage.leave_keyring(self._config["id"])),
            ("cgroup", self._join_cgroups),
            ("mount /sys/fs/cgroup", rootfs.mount_cgroup),
        )

    def _open_stdio(self) -> None:
        """FIFOs for reading and writing: never a SIGPIPE, and no wait for the other end."""
        if self._config["tty"]:
            return
        paths = self._config["stdio"]
        if paths["stdin"]:
            # Reading only, so that it ends when the monitor closes its own end; O_NONBLOCK: open without waiting.
            self._stdin = os.open(paths["stdin"], os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            os.set_blocking(self._stdin, True)
        self._outputs = [os.open(paths[name], os.O_RDWR | os.O_CLOEXEC) for name in ("stdout", "stderr")]

    def _take_stdio(self) -> None:
        if self._config["tty"]:
            self._master, slave = self._rootfs.open_terminal()
            terminal.take(slave)
            return
        stdin = self._stdin if self._stdin >= 0 else self._rootfs.open_null()
        for number, descriptor in enumerate((stdin, *self._outputs)):
            os.dup2(descriptor, number, inheritable=True)
            os.close(descriptor)

    def _open_joins(self) -> None:
        self._joins = cgroup_entry.open_joins(self._config["joins"])

    def _join_cgroups(self) -> None:
        cgroup_entry.join(self._joins)
        # Only now, since its root is where this process is at this moment.
        syscalls.unshare(syscalls.CLONE_NEWCGROUP)

    def _enter_network(self) -> None:
        """Before /sys is mounted, which shows the devices of the namespace that its mounter is in."""
        if self._network >= 0:
            syscalls.setns(self._network, syscalls.CLONE_NEWNET)
            os.close(self._network)

    def _raise_loopback(self) -> None:
        if self._config["network"] in _OTHERS:
            return
        control = _socket.socket(_socket.AF_INET, _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC)
        request = fcntl.ioctl(control, _SIOCGIFFLAGS, _LOOPBACK + bytes(24))
        flags = int.from_bytes(request[16:18], "little") | _IFF_UP
        fcntl.ioctl(control, _SIOCSIFFLAGS, _LOOPBACK + flags.to_bytes(2, "little") + bytes(22))
        control.close()

    def _set_hostname(self) -> None:
        syscalls.sethostname(self._config["hostname"])
