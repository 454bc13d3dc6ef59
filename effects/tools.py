"""Programs of the host that we have do something: nft, dnsmasq. LEAN."""

from __future__ import annotations

import errno
import os

from effects import heritage, mounts, syscalls
from effects.failure import StepFailed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import NoReturn

PACKAGES = {"nft": "nftables", "dnsmasq": "dnsmasq-base"}
_PLACES = ("/usr/sbin", "/usr/bin", "/sbin", "/bin", "/usr/local/sbin")
_ENVIRONMENT = {"PATH": ":".join(_PLACES), "LC_ALL": "C"}
_TOLD = 400  # characters of its complaint that fit into a line


def run(
    step: str,
    name: str,
    argv: Sequence[str],
    stdin: str = "",
    *,
    tmp: str = "",
    enter: Callable[[], None] | None = None,
) -> None:
    """Run the program `name` to its end; StepFailed with its first complaint where that is not 0, or where it is not installed.

    `tmp`: the directory that it sees as /tmp, in mounts of its own, whoever may get to it otherwise. `enter`: what
    its process does first, such as to move to a cgroup; it may raise OSError.
    It is killed with us: what nobody waits for any more must not be done after a successor has undone it.
    """
    program = find(step, name)
    given = os.memfd_create("stdin", os.MFD_CLOEXEC)
    reader, writer = os.pipe2(os.O_CLOEXEC)
    try:
        os.write(given, stdin.encode())
        os.lseek(given, 0, os.SEEK_SET)
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            _become(program, argv, (given, writer), parent, tmp, enter)
        os.close(writer)
        writer = -1
        said = b""
        while piece := os.read(reader, 1 << 16):
            said += piece
        _pid, status = os.waitpid(pid, 0)
    finally:
        for descriptor in (given, reader, writer):
            if descriptor >= 0:
                os.close(descriptor)
    if status:
        code = os.waitstatus_to_exitcode(status)
        message = _complaint(said) or f"{name} ended with {code}"
        raise StepFailed(step, errno.EIO, message, program)


def find(step: str, name: str) -> str:
    """The program's path. StepFailed that tells how to install it."""
    for place in _PLACES:
        if os.access(f"{place}/{name}", os.X_OK):
            return f"{place}/{name}"
    hint = f"[apt-get install {PACKAGES.get(name, name)}]"
    raise StepFailed(step, errno.ENOENT, f"{name} is not installed {hint}", name)


def _become(  # noqa: PLR0917 - all that differs from one program to another
    program: str,
    argv: Sequence[str],
    streams: tuple[int, int],
    parent: int,
    tmp: str,
    enter: Callable[[], None] | None,
) -> NoReturn:
    """In the child: the program, with nothing of ours but its three streams."""
    stdin, output = streams
    try:
        syscalls.prctl(syscalls.PR_SET_PDEATHSIG, syscalls.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)
        heritage.default_signals()
        os.dup2(stdin, 0)
        os.dup2(output, 1)
        os.dup2(output, 2)
        syscalls.close_range(3)
        if enter is not None:
            enter()
        if tmp:
            syscalls.unshare(syscalls.CLONE_NEWNS)
            mounts.part(syscalls.MS_SLAVE)
            syscalls.mount(tmp, "/tmp", None, syscalls.MS_BIND)  # noqa: S108 - a mount point that is everywhere
        os.chdir("/")
        os.umask(0o022)
        os.execve(program, list(argv), _ENVIRONMENT)  # noqa: S606 - no shell is the point
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        os.write(2, f"{where}{error.strerror}".encode(errors="replace"))
    finally:
        os._exit(127)


def _complaint(said: bytes) -> str:
    """The first line that tells something, without the name of its input."""
    for line in said.decode(errors="replace").splitlines():
        if line.strip():
            return line.strip().removeprefix("dnsmasq: ")[:_TOLD]
    return ""
