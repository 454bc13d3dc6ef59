"""For tests of archives: hostile tars made by hand, and everything that can be told of a tree."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

from effects import archive

END = bytes(1024)


def header(
    name: bytes,
    kind: bytes = b"0",
    *,
    size: int = 0,
    mode: int = 0o644,
    link: bytes = b"",
    size_field: bytes | None = None,
    device: tuple[int, int] = (0, 0),
    uid: int = 0,
    gid: int = 0,
    magic: bytes = b"ustar\x0000",
    prefix: bytes = b"",
) -> bytes:
    """One block, as it may lie in any archive; fields are not checked for sense."""
    block = b"".join(
        (
            name[:100].ljust(100, b"\0"),
            b"%07o\0" % mode,
            b"%07o\0" % uid,
            b"%07o\0" % gid,
            size_field if size_field is not None else b"%011o\0" % size,
            b"%011o\0" % 1_700_000_000,
            b" " * 8,
            kind,
            link[:100].ljust(100, b"\0"),
            magic,
            bytes(64),
            b"%07o\0%07o\0" % device,
            prefix,
        )
    ).ljust(512, b"\0")
    return summed(block)


def summed(block: bytes) -> bytes:
    block = block[:148] + b" " * 8 + block[156:]
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]


def data(content: bytes) -> bytes:
    return content + bytes(-len(content) % 512)


def file(name: bytes, content: bytes = b"new", **more: Any) -> bytes:
    return header(name, size=len(content), **more) + data(content)


def record(key: bytes, value: bytes) -> bytes:
    length = len(key) + len(value) + 3
    while len(b"%d" % length) + len(key) + len(value) + 3 != length:
        length = len(b"%d" % length) + len(key) + len(value) + 3
    return b"%d %s=%s\n" % (length, key, value)


def pax(records: dict[bytes, bytes], kind: bytes = b"x") -> bytes:
    body = b"".join(record(key, value) for key, value in records.items())
    return header(b"PaxHeaders/x", kind, size=len(body)) + data(body)


@contextmanager
def stream(content: bytes) -> Iterator[int]:
    """A pipe that `content` comes out of."""
    out, feed = os.pipe()

    def pour() -> None:
        try:
            with open(feed, "wb", buffering=0) as pipe:
                pipe.write(content)
        except BrokenPipeError:
            pass  # the reader has seen enough

    thread = Thread(target=pour)
    thread.start()
    try:
        yield out
    finally:
        os.close(out)
        thread.join()


def unpack(content: bytes, target: Path, **more: Any) -> archive.Unpacked:
    """Unpack it from a file, so that this process has no thread when it forks."""
    source = os.memfd_create("archive")
    try:
        view = memoryview(content)
        while view:
            view = view[os.write(source, view) :]
        os.lseek(source, 0, os.SEEK_SET)
        return archive.unpack(source, os.fspath(target), **more)
    finally:
        os.close(source)


def pack(tree: Path, **more: Any) -> bytes:
    """What `archive.pack` writes of the directory or file."""
    root = os.open(tree, os.O_RDONLY)
    out = os.memfd_create("archive")
    try:
        packed = archive.pack(root, out, **more)
        content = os.pread(out, packed.size + 1, 0)
        assert len(content) == packed.size
        return content
    finally:
        os.close(root)
        os.close(out)


def tree(top: Path | str, *, times: bool = True) -> dict[str, Any]:
    """All there is to tell of each file below `top` (itself "."): equal trees give equal answers."""
    found: dict[str, Any] = {}
    first: dict[tuple[int, int], str] = {}
    top = os.fspath(top)
    paths = [top]
    for place, directories, files in os.walk(top):
        paths += [os.path.join(place, name) for name in (*directories, *files)]
    for path in sorted(paths):
        name = os.path.relpath(path, top)
        state = os.lstat(path)
        first.setdefault((state.st_dev, state.st_ino), name)
        found[name] = {
            "mode": oct(state.st_mode),
            "owner": (state.st_uid, state.st_gid),
            "mtime": state.st_mtime_ns if times else 0,
            "same as": first[state.st_dev, state.st_ino],
            "device": state.st_rdev if stat.S_ISBLK(state.st_mode) or stat.S_ISCHR(state.st_mode) else 0,
            "content": _content(path, state),
            "xattrs": _xattrs(path),
        }
    return found


def _content(path: str, state: os.stat_result) -> bytes | str:
    if stat.S_ISLNK(state.st_mode):
        return os.readlink(path)
    return Path(path).read_bytes() if stat.S_ISREG(state.st_mode) else ""


def _xattrs(path: str) -> dict[str, bytes]:
    names = os.listxattr(path, follow_symlinks=False)
    return {name: os.getxattr(path, name, follow_symlinks=False) for name in names}
