"""What stands where a directory should be: looked for only where it could not be opened or made."""

from __future__ import annotations

import errno
import os
import stat

from eventstore.errors import JournalError, JournalMissing, NoDirectory, NotReadable

_IN_THE_WAY = "not a directory [move it away"


def obstacle(path: str) -> tuple[str, str]:
    """(the first part of the way to `path` that is no directory, what it is and what to do); ("", "") where there is none."""
    way = ""
    for name in os.path.abspath(path).split("/")[1:]:
        way += f"/{name}"
        try:
            found = os.lstat(way).st_mode
            if stat.S_ISLNK(found):
                if not stat.S_ISDIR(os.stat(way).st_mode):
                    return way, f"a link to {os.readlink(way)}, {_IN_THE_WAY}"
            elif not stat.S_ISDIR(found):
                return way, f"{'a file' if stat.S_ISREG(found) else 'something else'}, {_IN_THE_WAY}"
        except FileNotFoundError:
            if not os.path.islink(way):
                return "", ""
            return way, f"a link to {os.readlink(way)}, where nothing is [make or mount that"
        except OSError as error:
            return (way, f"a link to itself, {_IN_THE_WAY}") if error.errno == errno.ELOOP else ("", "")
    return "", ""


def unopened(directory: str, error: OSError) -> JournalError | OSError:
    """What to raise where the journal's `directory` could not be listed."""
    path, what = obstacle(directory)
    if what:
        return NoDirectory("open the journal", path, what)
    if isinstance(error, FileNotFoundError):
        return JournalMissing(directory)
    if isinstance(error, PermissionError):
        return NotReadable(directory, error.errno or 0)
    return error


def make_directory(path: str) -> None:
    """One of mode 0700, and those above it, unless it is there. NoDirectory where something else is; OSError."""
    try:
        os.makedirs(path, 0o700, exist_ok=True)
    except OSError as error:
        where, what = obstacle(path)
        if not what:
            raise
        raise NoDirectory("make a directory", where, what) from error
