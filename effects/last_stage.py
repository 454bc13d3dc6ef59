"""The last steps of every process of a container, its first or one that joins: rights, place, program. LEAN.

Runs with the container's root as its own, and ends in the program. The order is runc's: whatever needs root
comes before the user changes.
"""

from __future__ import annotations

import errno
import os
import stat

from effects import caps, rootdir, syscalls, users
from effects.failure import StepFailed
from effects.newborn import refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from effects.init_config import StageConfig
    from effects.newborn import Report

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# Steps whose failure is the command's own: 127 where it was not found, 126 where it cannot be invoked.
NOT_INVOKED = ("exec", "user", "cwd")


def exit_code(step: str, code: int) -> int:
    """What a command ends with whose container failed at `step` with errno `code`: 125, 126 or 127."""
    if step == "exec" and code in {errno.ENOENT, errno.ENOTDIR}:
        return 127
    return 126 if step in NOT_INVOKED else 125


def run(config: StageConfig, report: Report) -> NoReturn:
    """Become the program. StepFailed with step user, cwd, capabilities or exec where that cannot be."""
    root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    if config["no_new_privileges"]:
        syscalls.prctl(syscalls.PR_SET_NO_NEW_PRIVS, 1)
    try:
        user = users.resolve(root, config["user"], config["groups"])
    except OSError as error:
        raise refused("user", error) from error
    _own_stdio(user)
    _enter(root, config["cwd"])
    _drop_rights(config, user)
    env = environment(config, user.home)
    # Nothing of ours may pass: the kernel closes them at the exec, whoever opened them and how.
    syscalls.close_range(3, flags=syscalls.CLOSE_RANGE_CLOEXEC)
    os.umask(0o022)
    report.about_to_exec()
    _exec(config["argv"], env)


def environment(config: StageConfig, home: str) -> dict[str, str]:
    """The container's variables, and docker's defaults for those that are not set."""
    defaults = {"PATH": PATH, "HOSTNAME": os.uname().nodename}
    if config["tty"]:
        defaults["TERM"] = "xterm"
    return {**defaults, "HOME": home, **config["env"]}


def _own_stdio(user: users.User) -> None:
    """/dev/stdout, opened again by its name in /proc, must be the user's own (pipes and terminals have modes)."""
    for number in range(3):
        status = os.fstat(number)
        if status.st_uid == user.uid or not (stat.S_ISFIFO(status.st_mode) or os.isatty(number)):
            continue
        os.fchown(number, user.uid, -1)


def _enter(root: int, cwd: str) -> None:
    """Make it if it is missing, go there, and prove that it lies below the root (CVE-2024-21626)."""
    try:
        handle = rootdir.make_dir(root, cwd or "/")
        os.fchdir(handle)
        os.close(handle)
        if not syscalls.getcwd().startswith(b"/"):
            raise OSError(errno.ENOENT, "lies outside the container's root", cwd)  # noqa: TRY301
    except OSError as error:
        raise refused("cwd", error) from error


def _drop_rights(config: StageConfig, user: users.User) -> None:
    try:
        keep = caps.held() if config["privileged"] else caps.mask(config["caps"])
        lacking = caps.missing(keep)
        if lacking:
            hint = " ".join(f"--cap-drop {name}" for name in lacking)
            raise OSError(errno.EPERM, f"the engine itself has no {' '.join(lacking)} to give [{hint}]")  # noqa: TRY301
        caps.drop_bounding(keep)
        os.setgroups(user.groups)
        os.setresgid(user.gid, user.gid, user.gid)
        os.setresuid(user.uid, user.uid, user.uid)
        caps.set_exactly(keep, root=user.uid == 0)
    except OSError as error:
        raise refused("capabilities", error) from error


def _exec(argv: list[str], env: dict[str, str]) -> NoReturn:
    """Find the program as execvp(3) does, in the PATH of its own environment, and run it."""
    if not argv or not argv[0]:
        raise StepFailed("exec", errno.ENOENT, "no command is given")
    program = argv[0]
    if "/" in program:
        try:
            os.execve(program, argv, env)  # noqa: S606 - no shell is the point
        except OSError as error:
            raise StepFailed("exec", error.errno or 0, _reason(error), program) from error
    denied: OSError | None = None
    for directory in env.get("PATH", PATH).split(":"):
        # A relative entry, or an empty one, would run what lies in the working directory.
        if not directory.startswith("/"):
            continue
        try:
            os.execve(f"{directory}/{program}", argv, env)  # noqa: S606
        except OSError as error:
            if error.errno not in {errno.ENOENT, errno.ENOTDIR}:
                denied = denied or error
    if denied is None:
        raise StepFailed("exec", errno.ENOENT, "not found in the container's PATH", program)
    raise StepFailed("exec", denied.errno or 0, _reason(denied), denied.filename)


def _reason(error: OSError) -> str:
    """The kernel's word, with what it means where that is not plain."""
    told = error.strerror or str(error)
    if error.errno == errno.ENOEXEC:
        return f"{told} [neither a program for this machine nor a script with #!]"
    return told
