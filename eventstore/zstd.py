"""zstd by the system's libzstd, which Debian's own dpkg needs and so every Debian has."""

from __future__ import annotations

import ctypes
import errno

_WINDOW_LOG = 27  # 128 MiB, libzstd's own default limit (zstd.h, ZSTD_d_windowLogMax)
_ZSTD_D_WINDOW_LOG_MAX = 100
_ZSTD_C_COMPRESSION_LEVEL, _ZSTD_C_CHECKSUM_FLAG = 100, 201  # zstd.h, ZSTD_cParameter


class _Buffer(ctypes.Structure):
    """ZSTD_inBuffer and ZSTD_outBuffer: address, size, position."""

    _fields_ = (("data", ctypes.c_void_p), ("size", ctypes.c_size_t), ("position", ctypes.c_size_t))


def _load() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL("libzstd.so.1")
    except OSError:
        message = "no zstd: libzstd.so.1 is missing (apt-get install libzstd1)"
        raise OSError(errno.ELIBACC, message) from None
    library.ZSTD_createDStream.restype = ctypes.c_void_p
    library.ZSTD_freeDStream.argtypes = [ctypes.c_void_p]
    library.ZSTD_DCtx_setParameter.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_int]
    library.ZSTD_decompressStream.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p]
    library.ZSTD_decompressStream.restype = ctypes.c_size_t
    library.ZSTD_isError.argtypes = [ctypes.c_size_t]
    library.ZSTD_getErrorName.argtypes = [ctypes.c_size_t]
    library.ZSTD_getErrorName.restype = ctypes.c_char_p
    size, buffer = ctypes.c_size_t, ctypes.c_char_p
    library.ZSTD_createCCtx.restype = ctypes.c_void_p
    library.ZSTD_freeCCtx.argtypes = [ctypes.c_void_p]
    library.ZSTD_CCtx_setParameter.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_int]
    library.ZSTD_compressBound.argtypes, library.ZSTD_compressBound.restype = [size], size
    library.ZSTD_compress2.argtypes = [ctypes.c_void_p, ctypes.c_void_p, size, buffer, size]
    library.ZSTD_compress2.restype = size
    library.ZSTD_decompress.argtypes = [ctypes.c_void_p, size, buffer, size]
    library.ZSTD_decompress.restype = size
    return library


def _checked(library: ctypes.CDLL, result: int) -> int:
    """A size, or ValueError with the library's own word for what is wrong."""
    if library.ZSTD_isError(result):
        raise ValueError(library.ZSTD_getErrorName(result).decode())
    return result


def compress(data: bytes, level: int) -> bytes:
    """One frame, with its size and a check sum of `data` in it."""
    library = _load()
    room = ctypes.create_string_buffer(library.ZSTD_compressBound(len(data)))
    context = library.ZSTD_createCCtx()
    if not context:
        raise MemoryError
    try:
        library.ZSTD_CCtx_setParameter(context, _ZSTD_C_COMPRESSION_LEVEL, level)
        library.ZSTD_CCtx_setParameter(context, _ZSTD_C_CHECKSUM_FLAG, 1)
        size = library.ZSTD_compress2(context, room, len(room), data, len(data))
        return ctypes.string_at(room, _checked(library, size))
    finally:
        library.ZSTD_freeCCtx(context)


def decompress(frame: bytes, size: int) -> bytes:
    """The `size` bytes that are in a frame. ValueError if it is damaged, or holds more or less."""
    library = _load()
    room = ctypes.create_string_buffer(max(size, 1))
    found = _checked(library, library.ZSTD_decompress(room, size, frame, len(frame)))
    if found != size:
        raise ValueError(f"{found} bytes instead of {size}")
    return ctypes.string_at(room, size)


class ZstdDecoder:
    """One zstd frame, piece by piece, in the manner of lzma.LZMADecompressor."""

    def __init__(self) -> None:
        self._library = _load()
        self._stream = self._library.ZSTD_createDStream()
        if not self._stream:
            raise MemoryError
        self._library.ZSTD_DCtx_setParameter(self._stream, _ZSTD_D_WINDOW_LOG_MAX, _WINDOW_LOG)
        self._out = ctypes.create_string_buffer(0)
        self._data = b""
        self._more = False
        self.eof = False

    def __del__(self) -> None:
        if getattr(self, "_stream", None):
            self._library.ZSTD_freeDStream(self._stream)

    @property
    def unused_data(self) -> bytes:
        """What follows the frame; only once `eof` is set."""
        return self._data

    def pending(self) -> bool:
        """Whether `feed(b"")` would bring more."""
        return not self.eof and (self._more or bool(self._data))

    def feed(self, data: bytes, room: int) -> bytes:
        """At most `room` bytes of output; ValueError for damaged input."""
        if len(self._out) != room:
            self._out = ctypes.create_string_buffer(room)
        self._data += data
        source = ctypes.create_string_buffer(self._data, len(self._data))
        read = _Buffer(ctypes.addressof(source), len(self._data), 0)
        wrote = _Buffer(ctypes.addressof(self._out), len(self._out), 0)
        left = self._library.ZSTD_decompressStream(self._stream, ctypes.byref(wrote), ctypes.byref(read))
        _checked(self._library, left)
        self._data = self._data[read.position :]
        self.eof = left == 0
        # A full output says that the decoder may hold more, even with all input eaten (zstd.h).
        self._more = wrote.position == wrote.size
        return ctypes.string_at(self._out, wrote.position)
