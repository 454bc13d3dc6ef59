"""Walks the members of a tar stream: ustar, GNU and pax; no file system here."""

from __future__ import annotations

from effects import tarsparse
from effects.tarformat import (
    BLOCK,
    BLOCKDEV,
    CHARACTER,
    CONFIG_KEY,
    DIRECTORY,
    DUMPDIR,
    FILES,
    GNU_SPARSE,
    KINDS,
    MAX_META,
    NO_DATA,
    PATH_MAX,
    REGULAR,
    Entry,
    broken,
    byte_sum,
    decimal,
    nanoseconds,
    number,
    padded,
    records,
    text,
    unsigned,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from effects.tarformat import Stream

_ZERO = bytes(BLOCK)
_XATTR = b"SCHILY.xattr."
_GLOBAL_KEYS = frozenset({b"mtime", b"uid", b"gid"})
_MAX_SECONDS = 1 << 55
_UNCHANGED = 0xFFFFFFFF  # (uid_t)-1 tells chown(2) to leave the owner as it is


class Reader:
    """Walks the members; the data of each is the caller's to take or to leave, until the next."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._end = 0
        self._rights_field = b""
        self._rights = (0, 0, 0)
        self._defaults: dict[bytes, bytes] = {}
        self.config: bytes | None = None

    def next(self) -> Entry | None:
        """None at the end-of-archive mark; an archive that just stops is broken."""
        pax: dict[bytes, bytes] = {}
        while True:
            self._stream.skip(self._end - self._stream.position)
            block = self._stream.take(BLOCK)
            if block == _ZERO:
                return None
            kind = block[156:157]
            size = self._checked_size(block)
            if kind in KINDS:
                return self._entry(block, kind, size, pax)
            self._end += padded(size)
            self._extension(kind, size, pax)

    def _checked_size(self, block: bytes) -> int:
        """Verify the header's sum, note where its data begin, and return how many they are."""
        start = self._end
        self._end = start + BLOCK
        field = block[148:156]
        said = _octal(field)
        # The sum is taken with its own field as blanks.
        total = byte_sum(block) - sum(field) + 256
        if said != total and said + 256 * _high_bytes(block) != total:
            raise broken("not a tar archive" if start == 0 else f"damaged tar header at byte {start}")
        return unsigned(number(block[124:136], "size", start), "size", block[:100])

    def _extension(self, kind: bytes, size: int, pax: dict[bytes, bytes]) -> None:
        if kind == b"V":
            return
        if kind not in {b"x", b"X", b"g", b"L", b"K"}:
            raise broken(f"tar member of an unknown type {kind!r}")
        if size > MAX_META:
            raise broken(f"tar header of {size} bytes (at most {MAX_META} are read)")
        data = self._stream.take(size)
        if kind == b"L":
            pax.setdefault(b"path", data.partition(b"\0")[0])
        elif kind == b"K":
            pax.setdefault(b"linkpath", data.partition(b"\0")[0])
        elif kind == b"g":
            for key, value in records(data):
                if key == CONFIG_KEY:
                    self.config = value
                elif key in _GLOBAL_KEYS:
                    self._defaults[key] = value
        else:
            _collect(data, pax)

    def _entry(self, block: bytes, kind: bytes, size: int, pax: dict[bytes, bytes]) -> Entry:
        start = self._end - BLOCK
        entry = Entry()
        entry.name = _ustar_name(block)
        entry.link = text(block[157:257])
        if block[100:124] != self._rights_field:  # most members have those of the one before
            self._rights_field = block[100:124]
            self._rights = (
                number(block[100:108], "mode", start) & 0o7777,
                number(block[108:116], "uid", start),
                number(block[116:124], "gid", start),
            )
        entry.mode, entry.uid, entry.gid = self._rights
        entry.size = size
        entry.mtime = number(block[136:148], "mtime", start) * 1_000_000_000
        entry.device = (0, 0)
        entry.xattrs = entry.sparse = None
        entry.kind = REGULAR if kind in FILES else kind
        if kind in {CHARACTER, BLOCKDEV}:
            entry.device = (number(block[329:337], "major", start), number(block[337:345], "minor", start))
        if self._defaults or pax:
            _apply(entry, {**self._defaults, **pax})
        if entry.kind == REGULAR and entry.name[-1:] == b"/":
            entry.kind = DIRECTORY  # as before ustar
        if kind in NO_DATA or entry.kind == DIRECTORY:
            entry.size = 0
        self._end += padded(entry.size)
        if kind == DUMPDIR:
            entry.kind, entry.size = DIRECTORY, 0  # GNU tar's listing of the directory follows; skipped
        entry.length = entry.size
        if entry.kind == REGULAR and (kind == GNU_SPARSE or pax):
            self._sparse(entry, kind, block, pax)
        if pax or kind in {CHARACTER, BLOCKDEV} or (block[108] | block[116] | block[136]) & 0x80:
            _check(entry)  # else no field is large enough to be out of range
        return entry

    def _sparse(self, entry: Entry, kind: bytes, block: bytes, pax: dict[bytes, bytes]) -> None:
        """Read the map of a sparse member; the data that follow are only its parts."""
        before = self._stream.position
        if kind == GNU_SPARSE:
            tarsparse.read_old(entry, block, self._stream)
            # The extension blocks stand between the header and the data, and are not part of the size.
            self._end += self._stream.position - before
        elif pax.get(b"GNU.sparse.major") == b"1" and pax.get(b"GNU.sparse.minor") == b"0":
            tarsparse.read_from_data(entry, pax, self._stream)
            entry.size -= self._stream.position - before
        elif b"GNU.sparse.map" in pax:
            tarsparse.read_from_pax(entry, pax)
        if entry.sparse is not None:
            tarsparse.check(entry)


def _octal(field: bytes) -> int:
    """A checksum field; -1 if it is none."""
    try:
        return int(field.partition(b"\0")[0], 8)
    except ValueError:
        return -1


def _high_bytes(block: bytes) -> int:
    """How many bytes count as negative for the ancient programs that summed them with their signs."""
    return sum(byte >= 0x80 for byte in block[:148] + block[156:])  # noqa: PLR2004 - the sign bit


def _ustar_name(block: bytes) -> bytes:
    name = text(block[:100])
    # GNU tar's own magic is "ustar  ": there the prefix's place holds other things.
    if block[257:263] == b"ustar\0" and block[345]:
        prefix = text(block[345 : 476 if block[508:] == b"tar\0" else 500])
        return prefix + b"/" + name
    return name


def _collect(data: bytes, pax: dict[bytes, bytes]) -> None:
    """One member's pax header into `pax`; GNU's sparse format 0.0, which repeats keywords, as 0.1."""
    parts: list[bytes] = []
    for key, value in records(data):
        if key in {b"GNU.sparse.offset", b"GNU.sparse.numbytes"}:
            parts.append(value)
        elif value or key.startswith(_XATTR):
            pax[key] = value
    if parts:
        pax[b"GNU.sparse.map"] = b",".join(parts)


def _apply(entry: Entry, pax: dict[bytes, bytes]) -> None:
    entry.name = pax.get(b"GNU.sparse.name") or pax.get(b"path") or entry.name
    entry.link = pax.get(b"linkpath", entry.link)
    if b"size" in pax:
        entry.size = decimal(pax[b"size"], "size")
    if b"uid" in pax:
        entry.uid = decimal(pax[b"uid"], "uid")
    if b"gid" in pax:
        entry.gid = decimal(pax[b"gid"], "gid")
    if b"mtime" in pax:
        entry.mtime = nanoseconds(pax[b"mtime"])
    xattrs = {_attribute(key[len(_XATTR) :]): value for key, value in pax.items() if key.startswith(_XATTR)}
    entry.xattrs = xattrs or None


def _attribute(key: bytes) -> str:
    """The attribute's name: what a pax keyword cannot hold is written like this by GNU tar."""
    return key.replace(b"%3D", b"=").replace(b"%25", b"%").decode("utf-8", "surrogateescape")


def _check(entry: Entry) -> None:
    """What the kernel would understand as something else, or not at all."""
    if b"\0" in entry.name or b"\0" in entry.link:
        raise broken("name with a NUL byte", entry.name.replace(b"\0", b"?"))
    if len(entry.name) >= PATH_MAX or len(entry.link) >= PATH_MAX:
        raise broken(f"name longer than {PATH_MAX - 1} bytes", entry.name[:200])
    if not 0 <= entry.uid < _UNCHANGED or not 0 <= entry.gid < _UNCHANGED:
        raise broken(f"owner {entry.uid}:{entry.gid} is out of range", entry.name)
    if abs(entry.mtime) > _MAX_SECONDS * 1_000_000_000:
        raise broken("time out of range", entry.name)
    major, minor = entry.device
    if not 0 <= major < 1 << 12 or not 0 <= minor < 1 << 20:
        raise broken(f"device number {major}:{minor} is out of range", entry.name)
