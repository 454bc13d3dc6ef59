"""The bytes of a tar stream, from the process that reads and hashes them to the jailed one that unpacks them.

Through shared memory and not a pipe, which would copy each byte twice more: unpacking is mostly copying. A
ring of slots: the reader fills one and tells its length, the unpacker tells when it is done with it.
"""

from __future__ import annotations

import mmap
import os

from effects.tarformat import broken

SLOT = 1 << 18  # fits into a processor's cache
_SLOTS = 16
_BATCH = _SLOTS // 2  # slots given back at once: one wake-up of the reader for many
_WORD = 4


class Feed:
    """The reader's side, and until it forks the whole. `close` at the end, in the parent."""

    def __init__(self) -> None:
        self._memory = memoryview(mmap.mmap(-1, SLOT * _SLOTS))
        self._lengths, self._tell = os.pipe2(os.O_CLOEXEC)
        self._freed, self._free = os.pipe2(os.O_CLOEXEC)
        self._number = 0
        self._available = _SLOTS
        self.wanted = True

    def stream(self) -> Stream:
        """The unpacker's side, to be used in the child."""
        return Stream(self._memory, self._lengths, self._free)

    def child_fds(self) -> tuple[int, int]:
        return self._lengths, self._free

    def forked(self) -> None:
        """In the parent: let go of the child's ends, so that its death shows."""
        os.close(self._lengths)
        os.close(self._free)
        self._lengths = self._free = -1

    def slot(self) -> memoryview:
        """Room for the next piece, SLOT bytes; waits for it. `wanted` turns false when the child has ended."""
        if self.wanted and not self._available:
            self._available = len(os.read(self._freed, _SLOTS))
            self.wanted = bool(self._available)
        start = self._number % _SLOTS * SLOT
        return self._memory[start : start + SLOT]

    def send(self, length: int) -> None:
        """Hand over the slot, of which `length` bytes are filled."""
        if not self.wanted:
            return
        self._number += 1
        self._available -= 1
        try:
            os.write(self._tell, length.to_bytes(_WORD, "little"))
        except BrokenPipeError:
            self.wanted = False

    def end(self) -> None:
        """There is no more to come."""
        if self._tell >= 0:
            os.close(self._tell)
            self._tell = -1

    def close(self) -> None:
        self.end()
        for descriptor in (self._freed, self._lengths, self._free):
            if descriptor >= 0:
                os.close(descriptor)
        self._freed = self._lengths = self._free = -1


class Stream:
    """What `effects.tarheader` reads from; ArchiveError where it ends too early."""

    def __init__(self, memory: memoryview, lengths: int, free: int) -> None:
        self._memory = memory
        self._lengths = lengths
        self._free = free
        self._number = -1
        self._done = 0
        self._start = self._stop = 0
        self.position = 0

    def take(self, length: int) -> bytes:
        """The next `length` bytes."""
        start = self._start
        stop = start + length
        if stop > self._stop:
            return self._joined(length)
        self._start = stop
        self.position += length
        return bytes(self._memory[start:stop])

    def skip(self, length: int) -> None:
        self.position += length
        while length > self._stop - self._start:
            length -= self._stop - self._start
            self._next()
        self._start += length

    def copy(self, target: int, length: int) -> None:
        """Move the next `length` bytes to the file `target`."""
        self.position += length
        while length:
            if self._start == self._stop:
                self._next()
            written = os.write(target, self._memory[self._start : min(self._start + length, self._stop)])
            self._start += written
            length -= written

    def _joined(self, length: int) -> bytes:
        parts = []
        while length:
            if self._start == self._stop:
                self._next()
            parts.append(self.take(min(length, self._stop - self._start)))
            length -= len(parts[-1])
        return b"".join(parts)

    def _next(self) -> None:
        """Done with the slot, if there is one; wait for the next."""
        self._done += self._number >= 0
        if self._done == _BATCH:
            os.write(self._free, bytes(_BATCH))
            self._done = 0
        length = int.from_bytes(os.read(self._lengths, _WORD), "little")
        if not length:
            raise broken("the archive ends too early")
        self._number += 1
        self._start = self._number % _SLOTS * SLOT
        self._stop = self._start + length
