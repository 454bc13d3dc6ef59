"""Whole archives: unpack a stream of any usual compression into a directory, pack a tree into a stream.

Decompressing and hashing happen here, in our own process; what the stream says is done by a jailed
child, fed through a pipe, which sees the target directory and nothing else.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os

from effects import decompress, jail, untar
from effects.tarball import Packed, pack
from effects.tarformat import ArchiveError, broken

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["ArchiveError", "Limits", "Packed", "Unpacked", "extract", "pack", "unpack"]

_PIPE = 1 << 20  # what /proc/sys/fs/pipe-max-size allows everyone


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
    out, feed = os.pipe2(os.O_CLOEXEC)
    try:
        fcntl.fcntl(feed, fcntl.F_SETPIPE_SZ, _PIPE)
        child = jail.start(
            lambda: untar.extract(out, rules),
            root_fd,
            label="unpack",
            cwd_fd=cwd_fd,
            keep=(out,),
            errors=(ArchiveError,),
        )
    except BaseException:
        os.close(feed)
        raise
    finally:
        os.close(out)
    try:
        source = decompress.Source(source_fd)
        digest, size, told = hashlib.sha256(), 0, None
        for piece in source.pieces():
            size += len(piece)
            if size > rules.max_bytes:
                raise broken(f"more than {rules.max_bytes} bytes when decompressed")
            if told is None and not _write(feed, piece):
                told = (
                    child.wait()
                )  # it has seen the end of the archive, or this raises what it found instead
            digest.update(piece)
            if progress is not None:
                progress(source.consumed)
        if not size:
            raise broken("not a tar archive: it is empty")
        feed = _closed(feed)
        told = child.wait() if told is None else told
    finally:
        _closed(feed)
        child.kill()
    return Unpacked(digest=digest.hexdigest(), size=size, told=told)


def _write(feed: int, piece: bytes | memoryview) -> bool:
    """False if nobody reads any more."""
    rest = memoryview(piece)
    try:
        while rest:
            rest = rest[os.write(feed, rest) :]
    except BrokenPipeError:
        return False
    return True


def _closed(descriptor: int) -> int:
    if descriptor >= 0:
        os.close(descriptor)
    return -1


def _config(text: str | None) -> dict[str, Any]:
    try:
        config = json.loads(text or "{}")
    except (ValueError, RecursionError):
        raise broken("the image's configuration is not JSON") from None
    if not isinstance(config, dict):
        raise broken("the image's configuration is not a JSON object")
    return config
