"""What went wrong, as one line on stderr and an exit code."""

from __future__ import annotations

import errno
import os
import sys

BROKEN_PIPE = 141  # as a shell shows a program that SIGPIPE ended
ENGINE_FAILED = 125

# What the world can do to us; any other errno is our own mistake and deserves its traceback.
WORLDLY = frozenset(
    {
        *(errno.ENOENT, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.ELOOP),
        *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM),
        *(errno.ENAMETOOLONG, errno.EEXIST, errno.ENOTEMPTY, errno.EBUSY, errno.EPIPE, errno.ECONNRESET),
        *(
            errno.ENXIO,
            errno.ENODEV,
            errno.ESTALE,
            errno.ETXTBSY,
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
    if isinstance(error, OSError) and error.errno in WORLDLY:
        return ENGINE_FAILED
    return None


def line_of(error: BaseException) -> str:
    """The message for people: one line, without the errno, with the path that it was about."""
    if isinstance(error, OSError) and error.strerror:
        paths = [
            os.fsdecode(name) for name in (error.filename, error.filename2) if isinstance(name, (str, bytes))
        ]
        return ": ".join([" and ".join(paths), error.strerror] if paths else [error.strerror])
    return str(error)


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
