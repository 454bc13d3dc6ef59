"""Everything that can be wrong with a journal: one class a cause, each with its data and one clear line."""

from __future__ import annotations

import errno
import os

READ_ONLY = "mount it read-write; what only reads goes on working"


class JournalError(Exception):
    """Base of all. `exit_code` is the engine's own failure (podman's and docker's 125)."""

    exit_code = 125


class JournalMissing(JournalError):
    def __init__(self, directory: str) -> None:
        super().__init__(f"no journal in {directory}: nothing was ever recorded there")
        self.directory = directory


class NoDirectory(JournalError):
    """`path`, which should be a directory or leads to one, is `what`."""

    def __init__(self, attempted: str, path: str, what: str) -> None:
        super().__init__(f"cannot {attempted}: {path} is {what}, or name another root]")
        self.path = path


class JournalExists(JournalError):
    def __init__(self, directory: str) -> None:
        super().__init__(f"there is a journal in {directory} already")
        self.directory = directory


class Malformed(JournalError):
    """A line that is no event; whoever knows the place raises Corrupt instead."""


class Corrupt(JournalError):
    """Acknowledged bytes are not what was written. `line` counts from 1 within the segment."""

    def __init__(self, segment: str, line: int, what: str) -> None:
        super().__init__(f"journal damaged: {segment} line {line}: {what}")
        self.segment = segment
        self.line = line
        self.what = what


class StaleCursor(JournalError):
    """A cursor points to a line that this journal does not have: read it again from its start."""

    def __init__(self, segment: str, offset: int, what: str) -> None:
        super().__init__(f"position {segment}:{offset} is not in the journal: {what}")
        self.segment = segment
        self.offset = offset


class NewerSchema(JournalError):
    """Written by a newer version of the program, which alone may go on with it."""

    def __init__(self, found: str, known: int) -> None:
        super().__init__(f"the journal has {found}, this version knows schema {known}: use the newer version")
        self.found = found
        self.known = known


class UnknownFormat(JournalError):
    """The file format itself is one this program cannot read, or may read but not write."""

    def __init__(self, what: str) -> None:
        super().__init__(f"unknown journal format: {what}")


class LockTimeout(JournalError):
    """`holder` is the pid that has the journal's lock, or 0 where the kernel does not tell."""

    def __init__(self, path: str, seconds: float, holder: int) -> None:
        by = f"process {holder}" if holder else "an unknown process"
        super().__init__(f"{path} is locked by {by} since more than {seconds:g} s")
        self.holder = holder


class WriteFailed(JournalError):
    """Not acknowledged. Nothing of it is in the journal, except after a failed sync, where it may be.

    `doubtful`: even what was written before may not be on disk, though the kernel will not say so again.
    """

    def __init__(self, number: int, what: str, *, doubtful: bool = False) -> None:
        super().__init__(f"cannot write to the journal: {what}: {os.strerror(number)}")
        self.errno = number
        self.doubtful = doubtful


class NotWritable(JournalError):
    def __init__(self, path: str, why: str) -> None:
        hint = f" [{READ_ONLY}]" if why == os.strerror(errno.EROFS) else ""
        super().__init__(f"{path} cannot be written: {why}{hint}")
        self.path = path


class NotReadable(JournalError):
    def __init__(self, path: str, number: int) -> None:
        super().__init__(f"{path} cannot be read: {os.strerror(number)}")
        self.path = path
        self.errno = number


class NetworkFileSystem(JournalError):
    def __init__(self, path: str, kind: str) -> None:
        super().__init__(f"{path} is on {kind}: a journal needs the locks and flushes of a local file system")
        self.kind = kind


class AheadOfJournal(JournalError):
    """A decision was applied to the projection and then not written: open the journal again."""

    def __init__(self) -> None:
        super().__init__("the state in memory is ahead of the journal after a failed append: open it again")


class ArchiveBusy(JournalError):
    def __init__(self, folder: str) -> None:
        super().__init__(f"another process writes to {folder} just now")


class EventTooLarge(JournalError):
    def __init__(self, tag: str, size: int, limit: int) -> None:
        super().__init__(f"event {tag} has {size} bytes, the limit of a line is {limit}")
