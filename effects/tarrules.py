"""How an archive is to be extracted."""

from __future__ import annotations


class Rules:
    """How to extract.

    merge        into an existing tree, as cp does: its directories stay, and a directory never takes the place
                 of another thing. Without it the archive is the whole tree, and its later members win
    owner        (uid, gid) of all, or None for the archive's own
    plain        leave out what gives rights: devices, setuid, setgid and file capabilities
    single       all members lie in the first one, as what cp packs does
    top          with it: a new name for that one; b"" keeps its own
    links        members may lie below symbolic links (of the archive, or of the tree)
    top_kind     "directory" or "other": what the top member must be; "" for either
    max_bytes    of all files together, holes included;  max_inodes  members of any kind
    """

    def __init__(
        self,
        *,
        merge: bool = False,
        owner: tuple[int, int] | None = None,
        plain: bool = False,
        links: bool = True,
        single: bool = False,
        top: bytes = b"",
        top_kind: str = "",
        max_bytes: int = 64 << 30,
        max_inodes: int = 5_000_000,
    ) -> None:
        self.merge, self.owner, self.plain, self.links = merge, owner, plain, links
        self.single, self.top, self.top_kind = single, top, top_kind
        self.max_bytes, self.max_inodes = max_bytes, max_inodes
