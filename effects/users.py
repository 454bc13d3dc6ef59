"""Who a process in a container runs as, by the container's own /etc/passwd and /etc/group. LEAN.

Both files are the image's: read below its root only, without waiting for a FIFO, regular files only,
1 MiB at most (CVE-2024-9676). Digits are an id and never a name (CVE-2024-40635, CVE-2026-46680).
"""

from __future__ import annotations

import errno
import os
import stat

from effects import rootdir

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_ID = (1 << 31) - 1
_MAX_FILE = 1 << 20
_PASSWD, _GROUP = "/etc/passwd", "/etc/group"


class User:
    """Ids, supplementary groups and home of a process."""

    __slots__ = ("gid", "groups", "home", "uid")

    def __init__(self, uid: int, gid: int, groups: list[int], home: str) -> None:
        self.uid, self.gid, self.groups, self.home = uid, gid, groups, home


def resolve(root: int, user: str, groups: Iterable[str] = ()) -> User:
    """`user`: "", NAME or UID, each with :GROUP or :GID behind it; `groups`: further names or gids.

    As in docker: "" is uid 0; without a group in `user` the gid is the passwd entry's (else 0), and the
    groups that list the user as a member are joined too. OSError with a message for what cannot be.
    """
    name, colon, group = user.partition(":")
    entry = _account(root, name)
    # `number` again where the image says it: a broken entry must not make somebody root.
    uid = number(name or "0") if _is_id(name) else number(entry[2])
    members: list[int] = []
    if colon and group:
        gid = _gid(root, group)
    else:
        gid = number(entry[3]) if entry else 0
        members = _memberships(root, entry[0]) if entry else []
    members += [_gid(root, extra) for extra in groups]
    home = entry[5] if entry and entry[5].startswith("/") else "/"
    return User(uid, gid, list(dict.fromkeys(members)), home)


def _is_id(name: str) -> bool:
    return not name or is_number(name)


def is_number(text: str) -> bool:
    """Digits are an id, whatever accounts are called."""
    return text.isascii() and text.isdigit()


def number(text: str) -> int:
    """An id in the range that all of the kernel's interfaces understand: 0 to 2^31 - 1."""
    # No id has more digits; and int() of a million digits would take its time.
    if not is_number(text) or len(text) > 10 or int(text) > MAX_ID:  # noqa: PLR2004
        raise OSError(errno.EINVAL, f"user or group id {_shown(text)} is not between 0 and {MAX_ID}")
    return int(text)


def _account(root: int, name: str) -> list[str]:
    """The passwd entry of NAME, of a UID or of root; [] if a uid has none. ENOENT if a name has none."""
    by_id = _is_id(name)
    wanted = number(name or "0") if by_id else -1
    for entry in _entries(root, _PASSWD, 7):
        if by_id and is_number(entry[2]) and len(entry[2]) <= len(str(MAX_ID)) and int(entry[2]) == wanted:
            return entry
        if not by_id and entry[0] == name:
            return entry
    if by_id:
        return []
    raise OSError(errno.ENOENT, f"no user {_shown(name)} in the container's {_PASSWD}", _PASSWD)


def _gid(root: int, group: str) -> int:
    if is_number(group):
        return number(group)
    for entry in _entries(root, _GROUP, 4):
        if entry[0] == group:
            return number(entry[2])
    raise OSError(errno.ENOENT, f"no group {_shown(group)} in the container's {_GROUP}", _GROUP)


def _memberships(root: int, name: str) -> list[int]:
    return [number(entry[2]) for entry in _entries(root, _GROUP, 4) if name and name in entry[3].split(",")]


def _entries(root: int, path: str, fields: int) -> list[list[str]]:
    """The well-formed lines of a file as passwd(5) has them; none if there is no such file."""
    try:
        content = _read(root, path)
    except OSError as error:
        if error.errno in {errno.ENOENT, errno.ENOTDIR}:
            return []
        raise
    lines = (line.split(":") for line in content.decode(errors="surrogateescape").splitlines())
    return [line for line in lines if len(line) == fields and not line[0].startswith("#")]


def _read(root: int, path: str) -> bytes:
    descriptor = rootdir.open_in(root, path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, f"the container's {path} is not a regular file", path)
        if status.st_size > _MAX_FILE:
            raise OSError(errno.EFBIG, f"the container's {path} is larger than 1 MiB", path)
        content = b""
        while len(content) <= _MAX_FILE and (piece := os.read(descriptor, _MAX_FILE)):
            content += piece
        return content[:_MAX_FILE]
    finally:
        os.close(descriptor)


def _shown(text: str) -> str:
    """For a message: what cannot steer a terminal, and not all of it."""
    return ascii(text if len(text) <= 64 else text[:64] + "...")  # noqa: PLR2004
