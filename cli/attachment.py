"""What a command gets when it attaches to a container: the log files, and the way along them.

The monitor hands over the files' descriptors (`effects.control`), so that nothing is missed when they are
rotated away or removed with the container.
"""

from __future__ import annotations

import os

from cli.answers import await_packet
from cli.streams import CHUNK, Output
from effects.control import CLOSED, JSON, Connection
from machine.errors import MachineError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_BURST = 16  # chunks of one stream before everything else has its turn


class NotAttached(MachineError):
    """The monitor refused, or went before it answered."""

    def __init__(self, why: str) -> None:
        self.why = why
        super().__init__(f"cannot attach: {why}")


class Attached:
    """The monitor's "attached" answer: `tty`, the offsets `at`, and by stream the log files to read,
    oldest first, as (logical offset of the first byte, descriptor). Whoever has it closes the descriptors.
    """

    def __init__(self, message: dict[str, Any], fds: list[int]) -> None:
        self.tty: bool = message["tty"]
        self.at: dict[str, int] = message["at"]
        self.files: dict[str, list[tuple[int, int]]] = {stream: [] for stream in self.at}
        for (stream, base), fd in zip(message["files"], fds, strict=True):
            self.files[stream].append((base, fd))


def attach(
    control: Connection, *, stdin: bool, start: dict[str, int] | None = None, pid: int = 0
) -> Attached:
    """Ask for it and wait for the answer of process `pid`: from the logical offsets `start`, else from now on.

    Raises NotAttached, NoAnswer.
    """
    request: dict[str, Any] = {"op": "attach", "stdin": stdin}
    if start is not None:
        request["from"] = start
    try:
        control.send(request)
    except OSError as error:
        raise NotAttached(f"the monitor has gone ({error.strerror})") from error
    return await_attached(control, pid)


def await_attached(control: Connection, pid: int) -> Attached:
    """The answer to an attach request that was sent before. Raises NotAttached, NoAnswer."""
    while True:
        kind, message, fds = await_packet(control, "cannot attach", pid)
        if kind == CLOSED:
            raise NotAttached("the monitor has gone")
        if kind != JSON:
            continue
        if message["event"] == "attached":
            return Attached(message, fds)
        if message["event"] in ("error", "failed", "exit"):
            raise NotAttached(message.get("message", "the container has exited"))


class LogTail:
    """One stream on its way from the log files to an output. `at` is the logical offset reached in the log,
    `end` where it ends, once that is known. Of more than `max_files` unread files the oldest is given up: kept
    open, they would fill the disk. `missed` counts its bytes.
    """

    def __init__(self, name: str, files: list[tuple[int, int]], at: int, out: Output, max_files: int) -> None:
        self.name, self.files, self.at, self.out, self._max_files = name, files, at, out, max_files
        self.end: int | None = None
        self.missed = 0

    def pump(self) -> bool:
        """Write until the output takes no more or all is written; True if only a turn is over."""
        for _ in range(_BURST):
            if not self.out.flush():
                return False
            data = self._next()
            if not data:
                return False
            self.out.write(data)
        return True

    def add(self, base: int, fd: int) -> None:
        """The file that follows, as a rotation began it."""
        self.files.append((base, fd))
        if len(self.files) > self._max_files:
            os.close(self.files.pop(0)[1])
            start = self.files[0][0]
            self.missed += max(start - self.at, 0)
            self.at = max(start, self.at)

    def behind(self) -> int:
        """How many bytes are in the log and not yet written."""
        if not self.files:
            return 0
        base, fd = self.files[-1]
        return base + os.fstat(fd).st_size - self.at + len(self.out.pending)

    def _next(self) -> bytes:
        while self.files:
            base, fd = self.files[0]
            following = self.files[1][0] if len(self.files) > 1 else self.end
            size = CHUNK if following is None else min(CHUNK, following - self.at)
            data = os.pread(fd, size, self.at - base) if size > 0 else b""
            if data or len(self.files) == 1:
                self.at += len(data)
                return data
            os.close(fd)
            del self.files[0]
            self.at = self.files[0][0]
        return b""

    def close(self) -> None:
        for _, fd in self.files:
            os.close(fd)
        self.files = []
