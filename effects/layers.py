"""An image's layers on disk: ROOT/layers/<sha256>/{fs,config.json}; each appears whole or not at all."""

from __future__ import annotations

import errno
import os

from effects import syscalls
from eventstore.plainjson import dumps, loads
from eventstore.segments import sync_directory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def publish(staging: str, layers: str, digest: str, config: dict[str, Any]) -> str:
    """Move the finished tree `staging`/fs into place, with its config; its path, durable on return.

    The caller holds the lock of `digest`. A directory that is there already came to be by this same rename,
    so it is whole: it is taken as it is, and the new tree is left in the staging directory.
    """
    target = f"{layers}/{digest}"
    if os.path.isdir(target):
        return target
    _write_config(staging, config)
    _sync_filesystem(staging)
    try:
        os.rename(staging, target)
    except OSError as error:
        if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
            raise
    sync_directory(layers)
    # The job's staging directory has become the layer; its undoing must find one of its own.
    os.makedirs(staging, 0o700, exist_ok=True)
    return target


def config(path: str) -> dict[str, Any]:
    """What the image says of itself: cmd, entrypoint, env, workdir, user, labels, health; empty where it says nothing."""
    try:
        with open(f"{path}/config.json", "rb") as file:
            return dict(loads(file.read()))
    except FileNotFoundError:
        return {}


def source_of(path: str, stat: os.stat_result) -> dict[str, int | str]:
    """What tells one version of a tar from the next: a changed one is imported anew."""
    return {
        "path": path,
        "device": stat.st_dev,
        "inode": stat.st_ino,
        "size": stat.st_size,
        "mtime": stat.st_mtime_ns,
        "ctime": stat.st_ctime_ns,
    }


def _write_config(staging: str, value: dict[str, Any]) -> None:
    fd = os.open(f"{staging}/config.json", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with open(fd, "wb") as file:
        file.write(dumps(value))


def _sync_filesystem(path: str) -> None:
    # syncfs(2), not an fsync a file: ten thousand of them would cost seconds.
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        syscalls.syncfs(fd)
    finally:
        os.close(fd)
