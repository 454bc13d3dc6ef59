"""One stream's log files as one row of bytes, with what their indexes say about times.

Offsets count from the first byte that is still there. Nothing in an index can hide a byte: where it is
missing, torn or wrong, only the times of some lines are.
"""

from __future__ import annotations

import os

from effects.logindex import BASE, DATA, LOST, SIZE, index_name, log_name, read_base, read_record, unpack

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    # The time, the offset up to which bytes had come then, and how many were dropped there.
    Group = tuple[int, int, int]
    Numbered = tuple[int, tuple[bytes, int, int, int]]

_BLOCK = 1 << 16
_TRIES = 3
_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW


class Part:
    """One log file. `start` is the stream's offset of its first byte; `index` a descriptor, or -1 for none."""

    def __init__(self, fd: int) -> None:
        self.fd, self.index, self.start = fd, -1, 0
        self.damaged = False
        self.refresh()

    def refresh(self) -> None:
        """See what was written since."""
        status = os.fstat(self.fd)
        self.inode, self.size, self.changed = status.st_ino, status.st_size, status.st_mtime_ns

    @property
    def end(self) -> int:
        return self.start + self.size

    def groups(self, at: int) -> Iterator[Group]:
        """What came after the stream's offset `at`, up to the end: all bytes, each in one group."""
        reached = max(at - self.start, 0)
        for number, (tag, time, offset, count) in self._records(self._find(reached)):
            if tag == BASE and not number:
                continue
            if tag not in (DATA, LOST) or offset < reached:
                self.damaged = True
            elif offset <= self.size and (tag == LOST or offset > reached):
                reached = offset
                yield time, self.start + offset, count if tag == LOST else 0
        if reached < self.size:
            self.damaged = self.damaged or self.index < 0
            yield self.changed, self.end, 0

    def close(self) -> None:
        os.close(self.fd)
        if self.index >= 0:
            os.close(self.index)

    def _records(self, number: int) -> Iterator[Numbered]:
        while self.index >= 0:
            data = os.pread(self.index, _BLOCK, number * SIZE)
            self.damaged = self.damaged or len(data) % SIZE > 0
            records = unpack(data)
            if not records:
                return
            yield from enumerate(records, number)
            number += len(records)

    def _find(self, reached: int) -> int:
        """The first record that is about bytes from `reached` on; the first of all, for the first byte."""
        low, high = 1, os.fstat(self.index).st_size // SIZE if self.index >= 0 else 0
        if not reached:
            return 0
        while low < high:
            middle = (low + high) // 2
            record = read_record(self.index, middle)
            if record and record[2] < reached:
                low = middle + 1
            else:
                high = middle
        return low


class Stream:
    """The log files of `name` ("stdout" or "stderr") in the directory, oldest first, as long as they are kept."""

    def __init__(self, dir_fd: int, name: str) -> None:
        self.name, self._dir = name, dir_fd
        self.parts: list[Part] = []
        self.missed = 0  # bytes rotated away before they could be read
        found = self._open_newer_than(None)
        self._adopt(found)
        self._give_indexes(found)

    @property
    def end(self) -> int:
        return self.parts[-1].end if self.parts else 0

    @property
    def damaged(self) -> bool:
        return any(part.damaged for part in self.parts)

    def grow(self) -> None:
        """See what was written since, and in which new files."""
        last = self.parts[-1] if self.parts else None
        newer = self._open_newer_than(last.inode if last else None)
        if last:
            last.refresh()  # now that its successor is known, if it has one: then it grows no more
        self._adopt(newer)
        self._give_indexes({})
        if last and newer:
            self.missed += _gap(last, self.parts[-len(newer)])

    def read(self, at: int, size: int) -> bytes:
        """Bytes from the offset on, all in one file: fewer than `size` at its end, none at the stream's."""
        for part in reversed(self.parts):
            if part.start <= at < part.end:
                return os.pread(part.fd, min(size, part.end - at), at - part.start)
        return b""

    def groups(self, at: int) -> Iterator[Group]:
        """As `Part.groups`, for all files."""
        for part in self.parts:
            if part.end >= at:
                yield from part.groups(at)

    def line_start(self, at: int, floor: int = 0) -> int:
        """Where the line begins that the byte before `at` is in; `at` itself after a newline."""
        return self._after_newline(at, 1, floor)[0]

    def lines_back(self, count: int, end: int, floor: int) -> tuple[int, int]:
        """Where the last `count` lines of what lies between `floor` and `end` begin, and how many there are."""
        if end <= floor or count <= 0:
            return end, 0
        ended = self.read(end - 1, 1) == b"\n"
        start, missing = self._after_newline(end, count + ended, floor)
        return start, count - max(missing - 1, 0)

    def since(self, time: int) -> int:
        """Where the first line begins whose end came at `time` or later."""
        at = 0
        for part in self.parts:
            if part.changed >= time:
                at = part.start
                for when, end, _ in part.groups(at):
                    if when >= time:
                        return self.line_start(at)
                    at = end
        return self.end

    def until(self, time: int) -> int:
        """Where the first line begins whose end came after `time`."""
        for part in self.parts:
            if part.changed > time:
                at = part.start
                for when, end, _ in part.groups(at):
                    if when > time:
                        return self.line_start(at)
                    at = end
        return self.end

    def close(self) -> None:
        for part in self.parts:
            part.close()
        self.parts = []

    def _after_newline(self, end: int, nth: int, floor: int) -> tuple[int, int]:
        """The offset after the nth newline before `end`, counted backwards, and 0; or `floor` and how many lack."""
        while end > floor:
            block = self._block_before(end, floor)
            found = block.count(b"\n")
            if found >= nth:
                at = len(block)
                for _ in range(nth):
                    at = block.rindex(b"\n", 0, at)
                return end - len(block) + at + 1, 0
            nth -= found
            end -= len(block)
        return floor, nth

    def _block_before(self, end: int, floor: int) -> bytes:
        for part in reversed(self.parts):
            if part.start < end:
                at = max(end - _BLOCK, part.start, floor)
                block = os.pread(part.fd, end - at, at - part.start)
                # A file cut short by somebody else: as if it had ended in zeros.
                return block.ljust(end - at, b"\0")
        raise AssertionError("no file holds that offset")

    def _adopt(self, parts: dict[int, Part]) -> None:
        for part in parts.values():
            part.start = self.end
            self.parts.append(part)

    def _open_newer_than(self, inode: int | None) -> dict[int, Part]:
        """The files begun after the one with this inode number, oldest first, by age; all without one.

        From the newest to the oldest: a rotation meanwhile then shows a file twice, not one too few.
        """
        found: dict[int, Part] = {}
        for age in self._ages(""):
            try:
                part = Part(os.open(log_name(self.name, age), _FLAGS, dir_fd=self._dir))
            except FileNotFoundError:
                continue
            if part.inode == inode:
                part.close()
                break
            if any(part.inode == other.inode for other in found.values()):
                part.close()
            else:
                found[age] = part
        return dict(reversed(found.items()))

    def _ages(self, suffix: str) -> list[int]:
        """Ages that files called `name[.age]suffix` may have, newest first."""
        ages = []
        for entry in os.listdir(self._dir):
            name = entry.removesuffix(suffix)
            age = name.removeprefix(f"{self.name}.")
            if entry.endswith(suffix) and name == self.name:
                ages.append(0)
            elif entry.endswith(suffix) and age != name and age.isascii() and age.isdigit():
                ages.append(int(age))
        # Their neighbours too: in the midst of a rotation an age is missing for a moment.
        return sorted({age + step for age in ages for step in (-1, 0, 1)} - {-1})

    def _give_indexes(self, beside: dict[int, Part]) -> None:
        """To each file the index that names its inode number; failing that, to those in `beside`, which are
        by age, the one next to it that names no other's (the directory was copied).

        The writer begins a file, then its index, then it writes: once there are bytes, there is an index.
        """
        known = {part.inode for part in self.parts}
        lacking = {part.inode: part for part in self.parts if part.index < 0}
        spare: dict[int, int] = {}
        for _ in range(_TRIES):  # a rotation may rename them under our eyes
            for age in self._ages(".idx") if lacking else ():
                try:
                    fd = os.open(index_name(self.name, age), _FLAGS, dir_fd=self._dir)
                except FileNotFoundError:
                    continue
                inode = (read_base(fd) or (BASE, 0, 0, 0))[3]
                if inode in lacking:
                    lacking.pop(inode).index = fd
                elif age in beside and age not in spare and inode not in known:
                    spare[age] = fd
                else:
                    os.close(fd)
        for age, fd in spare.items():
            if beside[age].index < 0:
                beside[age].index = fd
            else:
                os.close(fd)


def _gap(older: Part, newer: Part) -> int:
    """How many bytes came between two files that should follow each other."""
    bases = [read_base(part.index) if part.index >= 0 else None for part in (older, newer)]
    if bases[0] is None or bases[1] is None:
        return 0
    return max(bases[1][2] - bases[0][2] - older.size, 0)
