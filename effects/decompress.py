"""Plain bytes out of a gzip, bzip2, xz, zstd or plain file, piece by piece, told by its first bytes.

It runs in our own process, before and outside of any container's file system, and never starts a program:
what a PATH leads to is not ours (CVE-2019-14271). Memory is bounded whatever the input: no piece is larger than
`PIECE`, and a stream that asks for a larger window than the formats' own tools allow is refused.
"""

from __future__ import annotations

import os

from effects.tarformat import broken

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any, Protocol

    class Decoder(Protocol):
        """One stream of a format: as zlib's, bz2's and lzma's decompressors are."""

        @property
        def eof(self) -> bool: ...
        @property
        def unused_data(self) -> bytes: ...
        def feed(self, data: bytes) -> bytes: ...
        def pending(self) -> bool: ...


PIECE = 1 << 20
_COMPRESSED_PIECE = _PLAIN_PIECE = 1 << 18  # fits into a processor's cache
_XZ_MEMORY = 160 << 20  # xz -9 needs 65 MiB to decode; --memlimit of the xz program is off by default


class Source:
    """A compressed or plain stream, from the descriptor's present position on.

    consumed   bytes read of it so far, compressed as they are
    """

    def __init__(self, source_fd: int) -> None:
        self._fd = source_fd
        self.consumed = 0

    def pieces(self) -> Iterator[bytes | memoryview]:
        """The decompressed content, each piece good until the next; ArchiveError if it is damaged."""
        head = b""
        while len(head) < _LONGEST and (piece := self._read(_PLAIN_PIECE)):
            head += piece
        for magic, name, decoder in _FORMATS:
            if head.startswith(magic):
                return self._decoded(head, name, decoder)
        return self._plain(head)

    def _read(self, length: int) -> bytes:
        piece = os.read(self._fd, length)
        self.consumed += len(piece)
        return piece

    def _plain(self, head: bytes) -> Iterator[bytes | memoryview]:
        if head:
            yield head
        # One buffer for all: a new one for each piece would cost a page fault every 4 KiB.
        buffer = memoryview(bytearray(_PLAIN_PIECE))
        while got := os.readv(self._fd, [buffer]):
            self.consumed += got
            yield buffer[:got]

    def _decoded(self, data: bytes, name: str, new: Callable[[], Decoder]) -> Iterator[bytes]:
        decoder: Decoder | None = new()
        while True:
            if decoder is None:
                # Several streams one after the other are one file (gzip(1), xz(1)); zeros may pad the last.
                data = data.lstrip(b"\0")
                decoder = new() if data else None
            while decoder is not None and (data or decoder.pending()):
                piece = _feed(decoder, data, name)
                data = b""
                if piece:
                    yield piece
                if decoder.eof:
                    data, decoder = decoder.unused_data, None
            if not data:
                data = self._read(_COMPRESSED_PIECE)
                if not data:
                    break
        if decoder is not None:
            raise broken(f"{name} data ends too early")


def _feed(decoder: Decoder, data: bytes, name: str) -> bytes:
    import lzma
    import zlib

    try:
        return decoder.feed(data)
    except (zlib.error, lzma.LZMAError, OSError, EOFError, ValueError) as error:
        raise broken(f"{name} data is damaged: {error}") from None


class _Zlib:
    """gzip. zlib names its leftovers differently from bz2 and lzma."""

    def __init__(self) -> None:
        import zlib

        self._decoder = zlib.decompressobj(wbits=31)
        self._full = False

    @property
    def eof(self) -> bool:
        return self._decoder.eof

    @property
    def unused_data(self) -> bytes:
        return self._decoder.unused_data

    def pending(self) -> bool:
        # A full piece: there may be more of it inside, even where all input is eaten.
        return not self._decoder.eof and (self._full or bool(self._decoder.unconsumed_tail))

    def feed(self, data: bytes) -> bytes:
        piece = self._decoder.decompress(self._decoder.unconsumed_tail + data, PIECE)
        self._full = len(piece) == PIECE
        return piece


class _Standard:
    """bzip2 and xz, by the standard library's modules."""

    def __init__(self, decoder: object) -> None:
        self._decoder: Any = decoder

    @property
    def eof(self) -> bool:
        return bool(self._decoder.eof)

    @property
    def unused_data(self) -> bytes:
        return bytes(self._decoder.unused_data)

    def pending(self) -> bool:
        return not self._decoder.eof and not self._decoder.needs_input

    def feed(self, data: bytes) -> bytes:
        return bytes(self._decoder.decompress(data, PIECE))


def _bzip2() -> Decoder:
    import bz2

    return _Standard(bz2.BZ2Decompressor())


def _xz() -> Decoder:
    import lzma

    return _Standard(lzma.LZMADecompressor(memlimit=_XZ_MEMORY))


def _zstd() -> Decoder:
    from effects.zstd import ZstdDecoder

    return ZstdDecoder(PIECE)


_FORMATS: tuple[tuple[bytes, str, Callable[[], Decoder]], ...] = (
    (b"\x1f\x8b", "gzip", _Zlib),
    (b"BZh", "bzip2", _bzip2),
    (b"\xfd7zXZ\0", "xz", _xz),
    (b"\x28\xb5\x2f\xfd", "zstd", _zstd),
)
_LONGEST = 6
