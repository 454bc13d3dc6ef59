"""How much of the disk a tree takes."""

from __future__ import annotations

import os

BLOCK = 512  # bytes of what stat(2) counts in st_blocks, whatever the file system's own are


def taken(path: str) -> int:
    """Bytes that `path` and all below it take on its disk; 0 if it is gone.

    What is allocated, so a hole counts nothing; hard links within count once. What is mounted from another
    device is not of it. No link is followed. What goes meanwhile counts nothing.
    """
    try:
        top = os.lstat(path)
    except FileNotFoundError:
        return 0
    seen: set[int] = set()
    total, todo = top.st_blocks, [path] if os.path.isdir(path) and not os.path.islink(path) else []
    while todo:
        try:
            with os.scandir(todo.pop()) as entries:
                for entry in entries:
                    stat = _stat(entry)
                    if stat is None or stat.st_dev != top.st_dev or stat.st_ino in seen:
                        continue
                    if stat.st_nlink > 1 and not entry.is_dir(follow_symlinks=False):
                        seen.add(stat.st_ino)
                    total += stat.st_blocks
                    if entry.is_dir(follow_symlinks=False):
                        todo.append(entry.path)
        except (FileNotFoundError, NotADirectoryError):
            continue
    return total * BLOCK


def _stat(entry: os.DirEntry[str]) -> os.stat_result | None:
    try:
        return entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        return None
