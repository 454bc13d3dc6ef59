"""The tar format's parts: constants, numbers, pax records, one member's description.

Sources: POSIX.1-2024 `pax` (ustar and pax interchange formats), GNU tar manual, "Basic Tar Format" and
"GNU Extensions". What is not sound is an ArchiveError, never another exception.
"""

from __future__ import annotations

import errno
from zlib import adler32

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    class Stream(Protocol):
        """`position` counts the bytes taken and skipped so far."""

        position: int

        def take(self, length: int) -> bytes: ...
        def skip(self, length: int) -> None: ...


BLOCK = 512
MAX_META = 1 << 20  # one pax header, long name or sparse map: more is an attack on our memory
PATH_MAX = 4096  # with its NUL, as the kernel counts
CONFIG_KEY = b"MYDOCKER.config"

REGULAR, HARDLINK, SYMLINK, CHARACTER, BLOCKDEV, DIRECTORY, FIFO = b"0", b"1", b"2", b"3", b"4", b"5", b"6"
GNU_SPARSE, DUMPDIR = b"S", b"D"
FILES = frozenset({REGULAR, b"\0", b"7", GNU_SPARSE})
KINDS = FILES | {HARDLINK, SYMLINK, CHARACTER, BLOCKDEV, DIRECTORY, FIFO, DUMPDIR}
NO_DATA = frozenset({HARDLINK, SYMLINK, CHARACTER, BLOCKDEV, DIRECTORY, FIFO})


class ArchiveError(OSError):
    """A tar stream that cannot be unpacked as it claims: (EINVAL, what is wrong, name in the archive)."""

    exit_code = 125  # what a command ends with that gets one


def broken(message: str, name: bytes | str | None = None) -> ArchiveError:
    if isinstance(name, bytes):
        name = name.decode("utf-8", "surrogateescape")
    return ArchiveError(errno.EINVAL, message, name)


class Entry:
    """One member. `size`: bytes of data that follow in the stream; `length`: of the file (more, if sparse)."""

    __slots__ = (
        "device",
        "gid",
        "kind",
        "length",
        "link",
        "mode",
        "mtime",
        "name",
        "size",
        "sparse",
        "uid",
        "xattrs",
    )

    name: bytes
    link: bytes
    kind: bytes
    mode: int
    uid: int
    gid: int
    size: int
    length: int
    mtime: int  # ns since the epoch
    device: tuple[int, int]
    xattrs: dict[str, bytes] | None
    sparse: list[tuple[int, int]] | None  # (offset, bytes) of the parts that are in the stream, ascending


def padded(size: int) -> int:
    return (size + BLOCK - 1) // BLOCK * BLOCK


def byte_sum(block: bytes) -> int:
    """The sum of a block's bytes, in a tenth of the time that sum() takes.

    The lower half of Adler-32 is 1 + the sum of all bytes modulo 65521, which 256 bytes cannot exceed.
    """
    return (adler32(block[:256]) & 0xFFFF) + (adler32(block[256:]) & 0xFFFF) - 2


def text(field: bytes) -> bytes:
    return field.partition(b"\0")[0]


def number(field: bytes, what: str, at: int) -> int:
    """Octal digits, or GNU's base-256: the first bit set, the rest two's complement."""
    if field[0] & 0x80:
        value = int.from_bytes(field, "big") - (0x80 << 8 * (len(field) - 1))
        return value - (0x80 << 8 * (len(field) - 1)) if field[0] & 0x40 else value
    text = field.partition(b"\0")[0].strip()
    if not text:
        return 0
    if not text.isdigit():
        raise broken(f"tar header at byte {at}: {what} is not a number")
    try:
        return int(text, 8)
    except ValueError:
        raise broken(f"tar header at byte {at}: {what} is not an octal number") from None


def decimal(text: bytes, what: str) -> int:
    if not text.isdigit() or len(text) > 20:  # noqa: PLR2004 - 2**64 has 20 digits
        raise broken(f"{what} is not a number: {text[:40]!r}")
    return int(text)


def unsigned(value: int, what: str, name: bytes) -> int:
    if value < 0:
        raise broken(f"negative {what}", text(name))
    return value


def records(data: bytes) -> list[tuple[bytes, bytes]]:
    """The (keyword, value) pairs of a pax header: lines "LENGTH KEYWORD=VALUE", the length counting itself."""
    found: list[tuple[bytes, bytes]] = []
    at, end = 0, len(data)
    while at < end and data[at]:
        space = data.find(b" ", at, at + 10)
        digits = data[at:space]
        if space < 0 or not digits.isdigit():
            raise broken("pax header without a length")
        stop = at + int(digits)
        key, equals, value = data[space + 1 : stop - 1].partition(b"=")
        if stop > end or stop <= space + 1 or data[stop - 1 : stop] != b"\n" or not equals or not key:
            raise broken("damaged pax header")
        found.append((key, value))
        at = stop
    return found


def nanoseconds(text: bytes) -> int:
    """A pax time to the last digit: a float would lose the last three."""
    sign = -1 if text[:1] == b"-" else 1
    seconds, _, fraction = text.lstrip(b"+-").partition(b".")
    if len(text) > 64 or not seconds.isdigit() or (fraction and not fraction.isdigit()):  # noqa: PLR2004
        raise broken(f"time is not a number: {text[:40]!r}")
    return sign * (int(seconds) * 1_000_000_000 + int(fraction[:9].ljust(9, b"0")))
