"""Whole archives: unpack a stream of any usual compression into a directory, pack a tree into a stream.

Decompressing and hashing happen here, in our own process; what the stream says is done by a jailed
child, fed through shared memory, which sees the target directory and nothing else.
"""

from __future__ import annotations

import hashlib
import json
import os

from effects import decompress, jail, untar
from effects.tarball import Packed, pack
from effects.tarformat import ArchiveError, broken
from effects.tarstream import Feed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["ArchiveError", "Limits", "Packed", "Unpacked", "extract", "pack", "unpack"]


class Limits:
    """The largest archive that is unpacked: bytes of the stream, bytes of its files with their holes, members."""

    def __init__(self, *, max_bytes: int = 64 << 30, max_inodes: int = 5_000_000) -> None:
        self.max_bytes, self.max_inodes = max_bytes, max_inodes


class Unpacked:
    """digest   sha256 in hex of the uncompressed stream, to its last byte
    size     its bytes;  entries  its members
    config   what `pack` recorded of the image; {} if nothing
    skipped  sentences about what was left out on purpose (devices that overlay would misread, ...)
    """

    def __init__(self, *, digest: str, size: int, told: dict[str, Any]) -> None:
        self.digest, self.size = digest, size
        self.entries: int = told["entries"]
        self.skipped: list[str] = told["skipped"]
        self.config: dict[str, Any] = _config(told["config"])


def unpack(
    source_fd: int,
    destination: int | str,
    *,
    limits: Limits | None = None,
    progress: Callable[[int], object] | None = None,
) -> Unpacked:
    """Extract the (compressed) tar stream into the directory `destination`, a descriptor or a path.

    `progress` is told how many bytes of the source, compressed as it is, have been read. ArchiveError (EINVAL) for a stream that is
    damaged or out of limits; OSError for what the kernel refuses. After an error the directory
    holds half of it: it is the caller's to throw away.
    """
    limits = limits or Limits()
    rules = untar.Rules(max_bytes=limits.max_bytes, max_inodes=limits.max_inodes)
    if not isinstance(destination, str):
        return extract(source_fd, destination, rules, progress=progress)
    root = os.open(destination, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return extract(source_fd, root, rules, progress=progress)
    finally:
        os.close(root)


def extract(
    source_fd: int,
    root_fd: int,
    rules: untar.Rules,
    *,
    cwd_fd: int = -1,
    progress: Callable[[int], object] | None = None,
) -> Unpacked:
    """The same with any rules, and optionally into `cwd_fd`, a directory below the root `root_fd`."""
    feed = Feed()
    try:
        child = jail.start(
            lambda: untar.extract(feed.stream(), rules),
            root_fd,
            label="unpack",
            cwd_fd=cwd_fd,
            keep=feed.child_fds(),
            errors=(ArchiveError,),
        )
        try:
            feed.forked()
            digest, size = _pour(decompress.Source(source_fd), feed, child, rules.max_bytes, progress)
            told = child.wait()
        finally:
            child.kill()
    finally:
        feed.close()
    return Unpacked(digest=digest, size=size, told=told)


def _pour(
    source: decompress.Source,
    feed: Feed,
    child: jail.Child,
    max_bytes: int,
    progress: Callable[[int], object] | None,
) -> tuple[str, int]:
    """Give the stream to the child and hash it; to its end, also where the child saw the archive's end before."""
    digest, size = hashlib.sha256(), 0
    while True:
        room = feed.slot()
        if not feed.wanted:
            child.wait()  # it has seen the end, or this raises what it found instead
        length = source.read_into(room)
        if not length:
            break
        size += length
        if size > max_bytes:
            raise broken(f"more than {max_bytes} bytes when decompressed")
        digest.update(room[:length])
        feed.send(length)
        if progress is not None:
            progress(source.consumed)
    feed.end()
    if not size:
        raise broken("not a tar archive: it is empty")
    return digest.hexdigest(), size


def _config(text: str | None) -> dict[str, Any]:
    try:
        config = json.loads(text or "{}")
    except (ValueError, RecursionError):
        raise broken("the image's configuration is not JSON") from None
    if not isinstance(config, dict):
        raise broken("the image's configuration is not a JSON object")
    return config
