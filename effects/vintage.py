"""Whether the program's files are still those that this process was started from. LEAN.

A monitor lives for months, and nobody asks it before an upgrade. What it has in memory fits together; what it would
load after that, or start, need not. So from a tree that has changed it takes nothing any more.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_FOLDERS = ("cli", "effects", "eventstore", "machine")
_OWN = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_noted: list[Any] = []


class Outdated(Exception):
    """The program was replaced, moved or removed while this process ran."""

    exit_code = 125

    def __init__(self) -> None:
        super().__init__("the program was replaced while this process ran")


def stamp() -> list[list[int]]:
    """What every way to replace the program alters: pip, git, dpkg and rsync put new entries into its folders, `cp` new
    bytes into its files (no program can set back their ctime, inode(7)). 20 us.
    """
    found = []
    for folder in _FOLDERS:
        try:
            here, file = os.stat(f"{_OWN}/{folder}"), os.stat(f"{_OWN}/{folder}/__init__.py")
        except OSError:
            found.append([0])
            continue
        found.append([here.st_ino, here.st_mtime_ns, file.st_ino, file.st_ctime_ns])
    return found


class _Guard:
    """Asked by the import system before it looks for a module that is not loaded yet (sys.meta_path)."""

    @staticmethod
    def find_spec(name: str, path: Any = None, target: Any = None) -> None:  # noqa: ARG004 - its signature
        if name.partition(".")[0] in _FOLDERS:
            check()


def watch() -> None:
    """From now on this process loads and starts nothing of a program that is not the one it is: Outdated."""
    _noted[:] = [stamp()]
    if _Guard not in sys.meta_path:
        sys.meta_path.insert(0, _Guard)


def check() -> None:
    """Raises Outdated, in a process that watches."""
    if _noted and _noted[0] != stamp():
        raise Outdated
