"""Tar members as bytes, for writing: a ustar header, and before it a pax header for what does not fit.

Deterministic: no names of users, no times but the file's, nothing of this machine. Source: POSIX.1-2024 `pax`.
"""

from __future__ import annotations

from effects.tarformat import BLOCK, BLOCKDEV, CHARACTER, CONFIG_KEY, REGULAR, byte_sum

END = bytes(2 * BLOCK)
_MAX_NAME, _MAX_PREFIX = 100, 155
_MAX_ID = 0o7777777
_MAX_SIZE = 0o77777777777
_NANO = 1_000_000_000


class Member:
    """What is written of one file; `size` is that of the data which follow."""

    __slots__ = ("device", "gid", "kind", "link", "mode", "mtime", "name", "size", "uid")

    def __init__(
        self,
        name: bytes,
        kind: bytes,
        *,
        mode: int,
        uid: int = 0,
        gid: int = 0,
        size: int = 0,
        mtime: int = 0,
        link: bytes = b"",
        device: tuple[int, int] = (0, 0),
    ) -> None:
        """`mtime` in ns since the epoch; a directory's name ends with a slash."""
        self.name, self.kind, self.mode, self.uid, self.gid = name, kind, mode, uid, gid
        self.size, self.mtime, self.link, self.device = size, mtime, link, device

    def renamed(self, name: bytes, size: int) -> Member:
        """The same under another name and with other data."""
        copy = Member(
            name, self.kind, mode=self.mode, uid=self.uid, gid=self.gid, size=size, mtime=self.mtime
        )
        copy.link, copy.device = self.link, self.device
        return copy


def member(entry: Member, extra: list[tuple[bytes, bytes]] | None = None) -> bytes:
    """All headers of a member; `extra` are more pax records, such as attributes."""
    records = list(extra or ())
    prefix, name = b"", entry.name
    if len(name) > _MAX_NAME:
        prefix, name = _split(name)
    before = b""
    if len(name) > _MAX_NAME:
        before += _long(b"path", b"L", entry.name, records)
    if len(entry.link) > _MAX_NAME:
        before += _long(b"linkpath", b"K", entry.link, records)
    seconds, rest = divmod(entry.mtime, _NANO)
    if rest or not 0 <= seconds <= _MAX_SIZE:
        records.append((b"mtime", _decimal_time(entry.mtime)))
    if entry.size > _MAX_SIZE:
        records.append((b"size", b"%d" % entry.size))
    if entry.uid > _MAX_ID:
        records.append((b"uid", b"%d" % entry.uid))
    if entry.gid > _MAX_ID:
        records.append((b"gid", b"%d" % entry.gid))
    header = _ustar(entry, prefix, name[:_MAX_NAME], seconds)
    return before + (_extended(b"x", entry.name, records) + header if records else header)


def global_config(text: bytes) -> bytes:
    """A global pax header that holds an image's configuration; other programs pass over it."""
    return _extended(b"g", b"config", [(CONFIG_KEY, text)])


def padding(size: int) -> bytes:
    """What fills `size` bytes of data up to whole blocks."""
    return bytes(-size % BLOCK)


def _split(name: bytes) -> tuple[bytes, bytes]:
    """(prefix, name) at a slash, as ustar has it for up to 255 bytes; else all of it is the name."""
    at = name.rfind(b"/", 0, _MAX_PREFIX + 1)
    # A slash at the very end belongs to the name.
    while at > 0 and at == len(name) - 1:
        at = name.rfind(b"/", 0, at)
    if at <= 0 or len(name) - at - 1 > _MAX_NAME:
        return b"", name
    return name[:at], name[at + 1 :]


def _long(key: bytes, kind: bytes, name: bytes, records: list[tuple[bytes, bytes]]) -> bytes:
    """Into the pax records; or, since those are UTF-8, a name that is not as GNU's own header, which this returns."""
    try:
        name.decode()
    except UnicodeDecodeError:
        size = len(name) + 1
        return (
            _ustar(Member(b"", kind, mode=0, size=size), b"", b"././@LongLink", 0)
            + name
            + b"\0"
            + padding(size)
        )
    records.append((key, name))
    return b""


def _decimal_time(nanoseconds: int) -> bytes:
    sign, value = (b"-", -nanoseconds) if nanoseconds < 0 else (b"", nanoseconds)
    seconds, rest = divmod(value, _NANO)
    text = b"%s%d.%09d" % (sign, seconds, rest) if rest else b"%s%d" % (sign, seconds)
    return text.rstrip(b"0") if rest else text


def _extended(kind: bytes, name: bytes, records: list[tuple[bytes, bytes]]) -> bytes:
    data = b"".join(_record(key, value) for key, value in records)
    base = b"PaxHeaders/" + name.rstrip(b"/").rpartition(b"/")[2]
    header = _ustar(Member(b"", kind, mode=0o644, size=len(data)), b"", base[:_MAX_NAME], 0)
    return header + data + padding(len(data))


def _record(key: bytes, value: bytes) -> bytes:
    """A line of LENGTH KEY=VALUE; the length counts itself and the line's end."""
    fixed = len(key) + len(value) + 3
    length = fixed + len(b"%d" % fixed)
    length = fixed + len(b"%d" % length)
    return b"%d %s=%s\n" % (length, key, value)


def _ustar(entry: Member, prefix: bytes, name: bytes, seconds: int) -> bytes:
    """One header block; numbers that do not fit are 0 here, and in the pax header before."""
    major, minor = entry.device if entry.kind in {CHARACTER, BLOCKDEV} else (0, 0)
    size = entry.size if entry.size <= _MAX_SIZE else 0
    block = b"%s%07o\0%07o\0%07o\0%011o\0%011o\0        %s%sustar\00000%s%07o\0%07o\0%s" % (
        name.ljust(100, b"\0"),
        entry.mode & 0o7777,
        entry.uid if entry.uid <= _MAX_ID else 0,
        entry.gid if entry.gid <= _MAX_ID else 0,
        size,
        seconds if 0 <= seconds <= _MAX_SIZE else 0,
        entry.kind or REGULAR,
        entry.link[:100].ljust(100, b"\0"),
        bytes(64),
        major,
        minor,
        prefix.ljust(167, b"\0"),
    )
    return b"%s%06o\0 %s" % (block[:148], byte_sum(block), block[156:])
