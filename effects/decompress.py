"""Plain bytes out of a gzip, bzip2, xz, zstd or plain file, piece by piece, told by its first bytes.

It runs in our own process, before and outside of any container's file system, and never starts a program:
what a PATH leads to is not ours (CVE-2019-14271). Memory is bounded whatever the input: no piece is larger
than the room given for it, and a stream that asks for a larger window than the formats' own tools allow is refused.
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
        def feed(self, data: bytes, room: int) -> bytes: ...
        def pending(self) -> bool: ...


_COMPRESSED_PIECE = 1 << 18
_XZ_MEMORY = 160 << 20  # xz -9 needs 65 MiB to decode; --memlimit of the xz program is off by default


class Source:
    """A compressed or plain stream, from the descriptor's present position on.

    consumed   bytes read of it so far, compressed as they are
    """

    def __init__(self, source_fd: int) -> None:
        self._fd = source_fd
        self.consumed = 0
        self._room = 0
        self._content: Iterator[bytes] | None = None
        self._plain: memoryview | None = None

    def read_into(self, room: memoryview) -> int:
        """Fill some of `room` with decompressed content; how much, 0 at the end. ArchiveError if damaged."""
        self._room = len(room)
        if self._plain is None and self._content is None:
            self._look()
        if self._content is not None:
            piece = next(self._content, b"")
            room[: len(piece)] = piece
            return len(piece)
        if self._plain:  # what was read to learn the format
            length = min(len(self._plain), len(room))
            room[:length] = self._plain[:length]
            self._plain = self._plain[length:]
            return length
        length = os.readv(self._fd, [room])
        self.consumed += length
        return length

    def _look(self) -> None:
        head = b""
        while len(head) < _LONGEST and (piece := self._read()):
            head += piece
        for magic, name, decoder in _FORMATS:
            if head.startswith(magic):
                self._content = self._decoded(head, name, decoder)
                return
        self._plain = memoryview(head)

    def _read(self) -> bytes:
        piece = os.read(self._fd, _COMPRESSED_PIECE)
        self.consumed += len(piece)
        return piece

    def _decoded(self, data: bytes, name: str, new: Callable[[], Decoder]) -> Iterator[bytes]:
        """Pieces of at most as much as there is room for when they are asked for."""
        decoder: Decoder | None = new()
        while True:
            if decoder is None:
                # Several streams one after the other are one file (gzip(1), xz(1)); zeros may pad the last.
                data = data.lstrip(b"\0")
                decoder = new() if data else None
            while decoder is not None and (data or decoder.pending()):
                piece = _feed(decoder, data, name, self._room)
                data = b""
                if piece:
                    yield piece
                if decoder.eof:
                    data, decoder = decoder.unused_data, None
            if not data:
                data = self._read()
                if not data:
                    break
        if decoder is not None:
            raise broken(f"{name} data ends too early")


def _feed(decoder: Decoder, data: bytes, name: str, room: int) -> bytes:
    import lzma
    import zlib

    try:
        return decoder.feed(data, room)
    except (zlib.error, lzma.LZMAError, OSError, EOFError, ValueError) as error:
        raise broken(f"{name} data is damaged: {error}") from None


class _Zlib:
    """gzip. zlib names its leftovers differently from bz2 and lzma."""

    def __init__(self) -> None:
        import zlib

        self._decoder = zlib.decompressobj(wbits=31)

    @property
    def eof(self) -> bool:
        return self._decoder.eof

    @property
    def unused_data(self) -> bytes:
        return self._decoder.unused_data

    def pending(self) -> bool:
        # Of the last output the input is never all eaten: its checksum comes after.
        return bool(self._decoder.unconsumed_tail)

    def feed(self, data: bytes, room: int) -> bytes:
        return self._decoder.decompress(self._decoder.unconsumed_tail + data, room)


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

    def feed(self, data: bytes, room: int) -> bytes:
        return bytes(self._decoder.decompress(data, room))


def _bzip2() -> Decoder:
    import bz2

    return _Standard(bz2.BZ2Decompressor())


def _xz() -> Decoder:
    import lzma

    return _Standard(lzma.LZMADecompressor(memlimit=_XZ_MEMORY))


def _zstd() -> Decoder:
    from eventstore.zstd import ZstdDecoder

    return ZstdDecoder()


_FORMATS: tuple[tuple[bytes, str, Callable[[], Decoder]], ...] = (
    (b"\x1f\x8b", "gzip", _Zlib),
    (b"BZh", "bzip2", _bzip2),
    (b"\xfd7zXZ\0", "xz", _xz),
    (b"\x28\xb5\x2f\xfd", "zstd", _zstd),
)
_LONGEST = 6
