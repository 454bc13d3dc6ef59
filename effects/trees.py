"""Directory trees that appear whole and disappear whole, power cuts included. LEAN."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from effects.host import Host


def ensure_dir(host: Host, path: str, mode: int = 0o700) -> None:
    """`path`, which is absolute, and its missing parents. Not synced: `ensure_dir_durably` is."""
    if path and not host.exists(path):  # above what is in the root itself there is ""
        ensure_dir(host, path.rpartition("/")[0], mode)
        host.make_dir(path, mode)


def ensure_dir_durably(host: Host, path: str) -> None:
    """The same, and on disk."""
    if path and not host.exists(path):
        above = path.rpartition("/")[0]
        ensure_dir_durably(host, above)
        host.make_dir(path, 0o700)
        host.sync(above or "/")


def remove_durably(host: Host, path: str) -> None:
    """Remove the tree at `path`, on disk too; at no moment does half of it bear its name.

    Any number of times, and after a crash anywhere within.
    """
    above, _, name = path.rpartition("/")
    if not host.exists(above):
        return
    doomed = f"{above}/.removing-{name}"
    host.remove_tree(doomed)
    if host.exists(path):
        host.rename(path, doomed)
        host.remove_tree(doomed)
    host.sync(above)
