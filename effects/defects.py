"""Defects of ours, where nobody would see their tracebacks: in a file of the root, for whoever reports them. LEAN."""

from __future__ import annotations

import os
import sys
import time

_FILE = "defects.txt"
_ROOM = 1 << 20  # bytes; what would come behind is left out


def path(root: str) -> str:
    return f"{root}/{_FILE}"


def note(root: str, who: str) -> None:
    """Append the exception at hand. What cannot be written is lost: there is nobody left to tell."""
    import traceback  # never but now

    text = "".join(traceback.format_exception(*sys.exc_info()))
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    try:
        file = os.open(
            path(root), os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600
        )
        try:
            if os.fstat(file).st_size < _ROOM:
                os.write(file, f"{stamp} {who}, process {os.getpid()}\n{text}\n".encode())
        finally:
            os.close(file)
    except OSError:
        return


def hint(root: str) -> str:
    """What to add to a message about a process that has died; "" where nothing was ever noted."""
    return f" [{path(root)} may tell why]" if os.path.exists(path(root)) else ""
