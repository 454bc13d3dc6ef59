"""Settings for all tests: how long hypothesis searches, repeatable runs, and a network namespace of their own."""

from __future__ import annotations

import fcntl
import gc
import os
import resource
import signal
import socket
import struct
import sys
import threading
from collections.abc import Iterator

import pytest
from hypothesis import settings

from effects import syscalls
from effects import syscalls_process as kernel
from tests import cgroups

# A shared or slow machine is no failure: the suite as a whole is timed, not an example.
settings.register_profile("default", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.register_profile("long", deadline=None, max_examples=5_000)
# A shell that starts us in the background has these ignored, and all our children would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
for ignored in (signal.SIGQUIT, signal.SIGHUP):
    if signal.getsignal(ignored) is signal.SIG_IGN:
        signal.signal(ignored, signal.SIG_DFL)

FILES = 20_000  # that may be open
ENDING = 10  # seconds for a thread that was told to end
settings.load_profile("long" if os.environ.get("MYDOCKER_TEST_ALL") else "default")


def pytest_sessionstart() -> None:
    """Engines that tests start make links, addresses and rules: never among the machine's own. Nor do tests mount anything
    there, and what others mount meanwhile is not taken for something that a container left. The caller's umask and his limit
    of open files, 1024 in most shells, are his.

    The kernel drops the namespaces, and all that is in them, with the last of our processes. /sys/class/net goes on
    showing the old one, as sysfs shows the network of whoever mounted it: `socket.if_nameindex` shows ours.
    """
    os.umask(0o022)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(
        resource.RLIMIT_NOFILE, (FILES if hard == resource.RLIM_INFINITY else min(FILES, hard), hard)
    )
    if os.geteuid() != 0:
        return
    kernel.unshare(kernel.CLONE_NEWNET | kernel.CLONE_NEWNS)
    syscalls.mount(None, "/", None, syscalls.MS_REC | syscalls.MS_PRIVATE)
    set_up("lo")


def pytest_collection_finish() -> None:
    """What was collected lives as long as we do: whoever looks for garbage, `alone` above all, need not look at it (0.1 s)."""
    gc.collect()
    gc.freeze()


def set_up(device: str) -> None:
    """`ip link set DEVICE up` (netdevice(7)), without the tool."""
    up, get, put = 0x1, 0x8913, 0x8914  # IFF_UP, SIOCGIFFLAGS, SIOCSIFFLAGS of linux/if.h and sockios.h
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as door:
        request = struct.pack("16sh14x", device.encode(), 0)
        (flags,) = struct.unpack_from("h", fcntl.ioctl(door, get, request), 16)
        fcntl.ioctl(door, put, struct.pack("16sh14x", device.encode(), flags | up))


@pytest.fixture(scope="session", autouse=True)
def no_cgroup_stays() -> Iterator[None]:
    """A namespace of the network goes with our processes; cgroups stay until somebody removes them."""
    yield
    assert cgroups.left() == []


@pytest.fixture(autouse=True)
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Thousands of tests share one process: none may feel what another left in it.

    The umask that commands set; dead children; descriptors of files in a test's own directory, on disk or in memory, which a killed
    process would have left open too. No other descriptor may be left, and no thread: to a test that counts them, or
    that forks, they would be strangers. And nothing that watches over imports: what is loaded next is another test's.
    """
    own = (f"{tmp_path_factory.getbasetemp()}/", "/dev/shm/")
    before, threads, importers = _descriptors(), threading.enumerate(), list(sys.meta_path)
    umask = os.umask(0o022)
    os.umask(umask)
    _reap()
    yield
    os.umask(umask)
    if _left(before, own):
        gc.collect()  # objects in cycles own some: they would close a number that is somebody else's by then
        for fd in _left(before, own):
            os.close(fd)
    others = set(threading.enumerate()) - set(threads)
    for thread in others:
        thread.join(ENDING)
    assert [thread for thread in others if thread.is_alive()] == []
    assert sys.meta_path == importers
    if _left(before):
        gc.collect()
        assert [f"{fd}: {_descriptors().get(fd)}" for fd in _left(before)] == []


def _left(before: dict[int, str], places: tuple[str, ...] = ("",)) -> list[int]:
    return [fd for fd, path in _descriptors().items() if before.get(fd) != path and path.startswith(places)]


def _reap() -> None:
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return


def _descriptors() -> dict[int, str]:
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            found[int(name)] = os.readlink(f"/proc/self/fd/{name}")
        except FileNotFoundError:
            continue  # the listing's own
    return found
