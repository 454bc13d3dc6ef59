"""Starts this interpreter again, lean, from a handle that no container can write through. LEAN."""

from __future__ import annotations

import errno
import fcntl
import gc
import os
import sys

from effects import syscalls, vintage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

# Ahead of everything: where our packages lie, since -I and -S leave only the standard library.
_BOOTSTRAP = (
    "import sys;n=int(sys.argv[1])+2;sys.path+=sys.argv[2:n];del sys.argv[1:n]"
    ";from effects.interpreter import _enter;_enter()"
)
_NOT_MIGHTY = "this root may not make mounts [is it one of a user namespace, or of a container?]"
_HANDLE_FLAGS = syscalls.OPEN_TREE_CLONE


def handle(path: str = "") -> int:
    """A descriptor to exec this interpreter from, or the one of `path`, on a detached read-only mount of its own file.

    A container that gets hold of /proc/PID/exe of a process started from it cannot open the host's
    interpreter for writing: EROFS, whatever the file's mode (CVE-2019-5736). Costs some 10 us. Needs
    CAP_SYS_ADMIN.
    """
    try:
        # The very file that runs now, whatever has become of its name.
        descriptor = syscalls.open_tree(syscalls.AT_FDCWD, path or "/proc/self/exe", _HANDLE_FLAGS)
    except PermissionError:
        raise PermissionError(errno.EPERM, _NOT_MIGHTY) from None
    except OSError as error:
        # We run from such a handle ourselves, and a mount in no namespace cannot be cloned.
        if path or error.errno != errno.EINVAL:
            raise
        descriptor = syscalls.open_tree(syscalls.AT_FDCWD, argv0(), _HANDLE_FLAGS)
    try:
        syscalls.mount_setattr(descriptor, "", syscalls.AT_EMPTY_PATH, set_=syscalls.MOUNT_ATTR_RDONLY)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def argv0() -> str:
    """The interpreter's real path: from argv[0] it learns where its standard library lies."""
    if not sys.executable:
        raise OSError(errno.ENOENT, "this interpreter does not know its own path")
    return os.path.realpath(sys.executable)


def command(module: str, *arguments: str) -> list[str]:
    """The argument list for `main()` of `module`, which finds `arguments` in sys.argv[1:]."""
    places = _places()
    return [argv0(), "-I", "-S", "-c", _BOOTSTRAP, str(len(places)), *places, module, *arguments]


def _places() -> list[str]:
    """Where our own packages lie, and where msgspec does: the same once we are installed."""
    own = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    for place in sys.path:
        if place != own and os.path.isdir(os.path.join(place, "msgspec")):
            return [own, place]
    return [own]


def spawn(
    module: str,
    fds: Mapping[int, int] | Sequence[int],
    *arguments: str,
    env: Mapping[str, str] | None = None,
    new_session: bool = False,
    argv: Sequence[str] = (),
) -> int:
    """The pid of a fresh interpreter running `main()` of `module`, a child of ours.

    `fds` is either {its number there: our descriptor} or our descriptors for 3, 4, ... there; of 0, 1 and
    2 those not given are /dev/null. Its environment is PATH and `env`, nothing else. All signals are
    at their defaults and unblocked, whatever ours are, and it is not scheduled in real time.
    `argv`: what `command` gave for the module to another version of the program, to be started instead of ours.
    Raises vintage.Outdated where it is ours, and that is not there any more.
    """
    if not argv:
        vintage.check()
    wanted = dict(fds) if hasattr(fds, "keys") else dict(enumerate(fds, 3))
    for descriptor in _inheritable():
        os.set_inheritable(descriptor, False)  # no action: to those, a number above our limit is a bad one
    copies: list[int] = []
    try:
        actions = _placed(wanted, copies, argv[0] if argv else "")
        return os.posix_spawn(
            f"/proc/self/fd/{copies[-1]}",
            [*argv, *arguments] if argv else command(module, *arguments),
            {"PATH": PATH, **(env or {})},
            file_actions=actions,
            setsid=new_session,
            setsigmask=(),
            setsigdef=_SIGNALS,
            **_ordinary(),
        )
    except OSError as error:
        # Not the number of the handle that it was to be started from.
        raise OSError(error.errno, error.strerror, error.filename and _name(module)) from None
    finally:
        for descriptor in copies:
            os.close(descriptor)


def _placed(wanted: dict[int, int], copies: list[int], path: str) -> list[tuple[Any, ...]]:
    """The actions by which posix_spawn gives descriptors their numbers there. `copies` gets all that is opened for it,
    the handle of the interpreter, or of that of `path`, last.
    """
    actions: list[tuple[Any, ...]] = [
        (os.POSIX_SPAWN_OPEN, number, "/dev/null", os.O_RDWR, 0)
        for number in range(3)
        if number not in wanted
    ]
    # A descriptor of ours may bear a number that is wanted there for another: copy all out of the way.
    floor = max(wanted, default=2) + 1
    for number, descriptor in wanted.items():
        copies.append(fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, floor))
        actions.append((os.POSIX_SPAWN_DUP2, copies[-1], number))
    copies.append(handle(path))
    if copies[-1] < floor:
        copies.append(fcntl.fcntl(copies[-1], fcntl.F_DUPFD_CLOEXEC, floor))
    return actions


def _ordinary() -> dict[str, Any]:
    """How posix_spawn is to schedule it: in the ordinary way, where the caller is scheduled in real time.

    A cgroup of version 1 that has no share of real time takes no such process (EINVAL).
    """
    policy = os.sched_getscheduler(0) & ~os.SCHED_RESET_ON_FORK
    in_real_time = policy in (os.SCHED_FIFO, os.SCHED_RR)
    return {"scheduler": (os.SCHED_OTHER, os.sched_param(0))} if in_real_time else {}


def _inheritable() -> list[int]:
    """What our own caller left open for every program that follows; above 2."""
    found: list[int] = []
    for name in os.listdir("/proc/self/fd"):
        try:
            if int(name) > 2 and os.get_inheritable(int(name)):  # noqa: PLR2004 - stderr
                found.append(int(name))
        except OSError as error:
            # The listing shows its own descriptor, closed since.
            if error.errno != errno.EBADF:
                raise
    return found


# All that can be ignored: not SIGKILL, not SIGSTOP, not the two that glibc keeps for itself.
_SIGNALS = tuple(number for number in range(1, 65) if number not in {9, 19, 32, 33})


def _name(module: str) -> str:
    return "mydocker-" + module.rpartition(".")[2]


def _enter() -> None:
    """What `command` runs first: name the process for `ps`, then the module's `main`."""
    module = sys.argv.pop(1)
    # Else it would be called by the number of the handle that it was started from.
    syscalls.set_name(_name(module))
    gc.disable()  # to collect while modules load finds nothing and takes 2 ms
    main: Callable[[], int | None] = __import__(module, fromlist=["main"]).main
    gc.freeze()  # nor will what they brought ever be garbage
    gc.enable()
    code = main()
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    # Not through the interpreter's own end, which takes 1.4 ms.
    os._exit(code or 0)
