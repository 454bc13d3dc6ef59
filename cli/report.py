"""What went wrong, as one line on stderr and an exit code."""

from __future__ import annotations

import errno
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

BROKEN_PIPE = 141  # as a shell shows a program that SIGPIPE ended
ENGINE_FAILED = 125
INTERRUPTED = 130  # 128 + SIGINT

# What the world can do to us; any other errno is our own mistake and deserves its traceback.
WORLDLY = frozenset(
    {
        *(errno.ENOENT, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.ELOOP),
        *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM),
        *(
            errno.EAGAIN,
            errno.ENAMETOOLONG,
            errno.EEXIST,
            errno.ENOTEMPTY,
            errno.EBUSY,
            errno.EPIPE,
            errno.ECONNRESET,
        ),
        *(
            errno.ENXIO,
            errno.ENODEV,
            errno.ESTALE,
            errno.ETXTBSY,
            errno.ENOEXEC,
            errno.EXDEV,
            errno.ECONNREFUSED,
            errno.ETIMEDOUT,
        ),
    }
)


def exit_code_of(error: BaseException) -> int | None:
    """The exit code of a failure that is the world's or the user's; None for a bug of ours.

    Our own errors know theirs; so do click's.
    """
    code = getattr(error, "exit_code", None)
    if isinstance(code, int):
        return code
    if (isinstance(error, OSError) and error.errno in WORLDLY) or isinstance(error, MemoryError):
        return ENGINE_FAILED
    return None


def line_of(error: BaseException) -> str:
    """The message for people: one line, without the errno, with the path that it was about."""
    if isinstance(error, OSError) and error.strerror:
        paths = [
            os.fsdecode(name) for name in (error.filename, error.filename2) if isinstance(name, (str, bytes))
        ]
        if not paths and isinstance(error, FileNotFoundError) and _is_nowhere():
            return "the current directory has been removed [cd to one that is there]"
        return ": ".join([" and ".join(paths), error.strerror] if paths else [error.strerror])
    return "out of memory" if isinstance(error, MemoryError) else str(error)


def _is_nowhere() -> bool:
    """Whether a relative path means nothing here: getcwd(2) fails with ENOENT, and names no file."""
    try:
        os.getcwd()
    except FileNotFoundError:
        return True
    return False


def echo(text: object = "") -> None:
    """One line on stdout, at once; bytes that were not UTF-8 go out as they came in."""
    put(f"{text}\n")


def put(text: str) -> None:
    """Text on stdout, at once. An OSError says whose it is: else people look for the full disk in the engine's root."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except OSError as error:
        raise OSError(error.errno, error.strerror, "stdout") from None


def say(text: str) -> None:
    """One line on stderr, with what could steer a terminal escaped; if nobody can hear it, so be it."""
    from cli.escape import safe

    try:
        sys.stderr.write(f"mydocker: {safe(text)}\n")
        sys.stderr.flush()
    except OSError:
        pass


def output_is_gone() -> bool:
    """Whether the reader of our standard output has closed it, as `| head` does."""
    import select

    poll = select.poll()
    poll.register(1, 0)
    return any(events & (select.POLLERR | select.POLLHUP) for _, events in poll.poll(0))


def guarded(run: Callable[[], Any]) -> int:
    """Run a command, and make of whatever becomes of it one line and an exit code. Only a bug raises."""
    try:
        return _code(run())
    except SystemExit as end:
        return _code(end.code)
    except KeyboardInterrupt:
        sys.stderr.write("\n")  # closes the line on which the terminal showed ^C
        say("interrupted")
        return INTERRUPTED
    except Exception as error:
        if isinstance(error, BrokenPipeError) and output_is_gone():
            return BROKEN_PIPE
        code = exit_code_of(error)
        if code is None:
            raise
        say(line_of(error))
        return code


def _code(result: Any) -> int:
    """A command's result as an exit code: None is success."""
    return result & 0xFF if isinstance(result, int) else 0 if result is None else 1


def flush(code: int) -> int:
    """Send what is still buffered on its way, and return the exit code that this leaves."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        return BROKEN_PIPE
    except OSError as error:
        if not code:  # else it was told: what could not be written is still there
            say(f"stdout: {error.strerror}")
        return code or ENGINE_FAILED
    return code
