"""The bytes of a tar stream as they come out of a pipe: read in large pieces, never more than asked for."""

from __future__ import annotations

import os

from effects.tarformat import broken

_BUFFER = 2 << 20
_READ = 1 << 18  # fits into a processor's cache


class PipeStream:
    """What `effects.tarformat` reads from, on a descriptor; ArchiveError where it ends too early."""

    def __init__(self, source_fd: int) -> None:
        self._fd = source_fd
        self._buffer = memoryview(bytearray(_BUFFER))
        self._start = self._stop = 0
        self.position = 0

    def take(self, length: int) -> bytes:
        """The next `length` bytes, at most the buffer's size."""
        if self._stop - self._start < length:
            self._refill(length)
        start = self._start
        self._start = start + length
        self.position += length
        return bytes(self._buffer[start : self._start])

    def skip(self, length: int) -> None:
        self.position += length
        while length > self._stop - self._start:
            length -= self._stop - self._start
            self._start = self._stop = 0
            self._refill(1)
        self._start += length

    def copy(self, target: int, length: int) -> None:
        """Move the next `length` bytes to the file `target`."""
        self.position += length
        while length:
            if self._start == self._stop:
                self._refill(1)
            # splice(2) from the pipe is no faster: it copies as well.
            written = os.write(target, self._buffer[self._start : min(self._start + length, self._stop)])
            self._start += written
            length -= written

    def _refill(self, length: int) -> None:
        have = self._stop - self._start
        self._buffer[:have] = self._buffer[self._start : self._stop]
        self._start, self._stop = 0, have
        while self._stop < length:
            got = os.readv(
                self._fd, [self._buffer[self._stop : self._stop + max(_READ, length - self._stop)]]
            )
            if got == 0:
                raise broken("the archive ends too early")
            self._stop += got
