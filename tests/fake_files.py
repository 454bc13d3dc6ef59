"""A file system in memory that remembers what has reached the disk."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator


def oserror(code: int, path: str) -> OSError:
    return OSError(code, os.strerror(code), path)


class Node:
    """A file, directory, FIFO or symbolic link. `durable…` is what a power cut leaves of it."""

    def __init__(self, kind: str, mode: int = 0o755) -> None:
        self.kind, self.mode = kind, mode
        self.uid = self.gid = 0
        self.data = self.durable_data = b""
        self.target = ""
        self.entries: dict[str, Node] = {}
        self.durable: dict[str, Node] = {}
        self.is_mount = False
        self.marked = False

    def walk(self) -> Iterator[Node]:
        yield self
        for entry in self.entries.values():
            yield from entry.walk()

    def power_cut(self) -> None:
        self.entries = dict(self.durable)
        self.data = self.durable_data
        for entry in self.entries.values():
            entry.power_cut()


class FileTree:
    """Paths are absolute and without links on the way."""

    def __init__(self) -> None:
        self.root = Node("dir")

    def find(self, path: str) -> Node | None:
        try:
            return self.at(path)
        except (FileNotFoundError, NotADirectoryError):
            return None

    def at(self, path: str) -> Node:
        node = self.root
        for part in filter(None, path.split("/")):
            if node.kind != "dir":
                raise oserror(errno.ENOTDIR, path)
            if part not in node.entries:
                raise oserror(errno.ENOENT, path)
            node = node.entries[part]
        return node

    def above(self, path: str) -> tuple[Node, str]:
        parent, _, name = path.rpartition("/")
        return self.at(parent), name

    def put(self, path: str, node: Node) -> Node:
        parent, name = self.above(path)
        if parent.kind != "dir":
            raise oserror(errno.ENOTDIR, path)
        parent.entries[name] = node
        return node

    def make_dirs(self, path: str) -> Node:
        """For tests: a directory that was there, and on disk, before all began. What else there is stays as it is."""
        node = self.root
        for part in filter(None, path.split("/")):
            node.durable[part] = node.entries.setdefault(part, Node("dir"))
            node = node.entries[part]
        return node

    def make_file(self, path: str, data: bytes) -> Node:
        """For tests, likewise."""
        parent, _, name = path.rpartition("/")
        node = Node("file", 0o644)
        node.data = node.durable_data = data
        above = self.make_dirs(parent)
        above.entries[name] = above.durable[name] = node
        return node


class FakeFiles:
    """The files half of a fake host: what `effects.host` promises, on a FileTree."""

    def __init__(self, tree: FileTree) -> None:
        self._tree = tree

    def exists(self, path: str) -> bool:
        return self._tree.find(path) is not None

    def read_file(self, path: str, most: int = -1) -> bytes:
        node = self._tree.at(path)
        if node.kind == "dir":
            raise oserror(errno.EISDIR, path)
        if 0 <= most < len(node.data):
            raise oserror(errno.EFBIG, path)
        return node.data

    def read_link(self, path: str) -> str | None:
        node = self._tree.find(path)
        return node.target if node is not None and node.kind == "link" else None

    def subdirs(self, path: str) -> list[str]:
        node = self._tree.find(path)
        entries = node.entries if node is not None else {}
        return [f"{path}/{name}" for name, entry in entries.items() if entry.kind == "dir"]

    def get_mark(self, path: str) -> bool:
        node = self._tree.find(path)
        return node is not None and node.marked

    def set_mark(self, path: str) -> None:
        self._tree.at(path).marked = True

    def make_dir(self, path: str, mode: int) -> None:
        node = self._tree.find(path)
        if node is None:
            self._tree.put(path, Node("dir", mode))
        elif node.kind != "dir":
            raise oserror(errno.EEXIST, path)

    def write_file(self, path: str, data: bytes, mode: int, *, sync: bool) -> None:
        node = self._tree.put(path, Node("file", mode))
        node.data = data
        if sync:
            node.durable_data = data

    def rewrite_file(self, path: str, data: bytes) -> None:
        self._tree.at(path).data = data

    def make_fifo(self, path: str, mode: int, uid: int, gid: int) -> None:
        node = self._tree.find(path)
        if node is not None and node.kind != "fifo":
            raise oserror(errno.EEXIST, path)
        node = node or self._tree.put(path, Node("fifo"))
        node.mode, node.uid, node.gid = mode, uid, gid

    def symlink(self, target: str, path: str) -> None:
        node = self._tree.find(path)
        if node is not None and node.kind == "dir":
            raise oserror(errno.EISDIR, path)
        self._tree.put(path, Node("link")).target = target

    def rename(self, source: str, target: str) -> None:
        node = self._tree.at(source)
        there = self._tree.find(target)
        if there is not None and there.entries:
            raise oserror(errno.ENOTEMPTY, target)
        self._tree.put(target, node)
        parent, name = self._tree.above(source)
        del parent.entries[name]

    def remove_file(self, path: str) -> None:
        node = self._tree.find(path)
        if node is None:
            return
        if node.kind == "dir":
            raise oserror(errno.EISDIR, path)
        parent, name = self._tree.above(path)
        del parent.entries[name]

    def remove_tree(self, path: str) -> None:
        node = self._tree.find(path)
        if node is None:
            return
        if any(below.is_mount for below in node.walk()):
            raise oserror(errno.EBUSY, path)
        parent, name = self._tree.above(path)
        del parent.entries[name]

    def forget_overlay(self, path: str) -> None:
        self._tree.at(path)

    def sync(self, path: str) -> None:
        node = self._tree.at(path)
        if node.kind not in {"file", "dir"}:
            raise oserror(errno.ENXIO, path)
        node.durable, node.durable_data = dict(node.entries), node.data
