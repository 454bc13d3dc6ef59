"""A disk that may lose everything which was not synced: records the journal's calls, makes every state a power cut may leave.

The model (after ALICE, OSDI'14): writes, truncations and modes of a file are pending until fsync or
fdatasync of that file; names (create, rename, unlink, mkdir) until fsync of their directory, in order,
as journalling file systems keep them. Of what is pending, any subset reaches the disk, the last write
perhaps torn: its first half alone, or its second half behind zeros.
"""

from __future__ import annotations

import errno
import os
import sys
from dataclasses import dataclass, field
from itertools import combinations, product
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

MOST_SUBSETS = 4  # more pending changes than this: only prefixes and single gaps


class Change(NamedTuple):
    """One change of a file: data at an offset, or a new size, or a new mode."""

    kind: str
    place: int
    data: bytes = b""


@dataclass
class File:
    """Changes in order, each durable, pending, or doubtful: a failed sync had it, and no later one will save it."""

    changes: list[tuple[Change, str]] = field(default_factory=list)

    def turn_pending(self, into: str) -> None:
        self.changes = [(change, into if state == "pending" else state) for change, state in self.changes]

    def contents(self) -> list[tuple[bytes, int]]:
        """Every content and mode that the file may have after a power cut."""
        open_to_doubt = [number for number, (_, state) in enumerate(self.changes) if state != "durable"]
        if len(open_to_doubt) <= MOST_SUBSETS:
            sizes = range(len(open_to_doubt) + 1)
            lost = [set(chosen) for size in sizes for chosen in combinations(open_to_doubt, size)]
        else:
            lost = [set(open_to_doubt[size:]) for size in range(len(open_to_doubt) + 1)]
            lost += [{gap} for gap in open_to_doubt]
        found = []
        for missing in lost:
            kept = [change for number, (change, _) in enumerate(self.changes) if number not in missing]
            found.append(_made(kept))
            if (
                kept
                and kept[-1].data
                and self.changes[-1][1] != "durable"
                and len(self.changes) - 1 not in missing
            ):
                found += [_made([*kept[:-1], torn]) for torn in _torn(kept[-1])]
        return list(dict.fromkeys(found))


class Name(NamedTuple):
    """One change of a directory: `path` now names file number `file`, a directory (-1) or nothing (0)."""

    path: str
    file: int
    old: str = ""


class Op(NamedTuple):
    kind: str  # change, sync, failed_sync, name, sync_directory, acknowledged
    file: int = 0
    change: Change | None = None
    name: Name | None = None
    path: str = ""
    acknowledged: int = 0


class RecordingOs:
    """Stands in for `os` in the journal's modules: does all, and notes what changes below `root`.

    Syncs from the call site `without` (function and line) are neither done nor noted.
    """

    def __init__(self, root: str, without: str = "") -> None:
        self.root = root
        self.without = without
        self.ops: list[Op] = []
        self.start = 0
        self.failing_syncs = 0  # so many of the next syncs of files report EIO
        self.sites: list[str] = []
        self._numbers: dict[str, int] = {}
        self._open: dict[int, tuple[str, int]] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def load(self, directory: str) -> None:
        """What is there before the first call is on disk."""
        for folder, _, names in os.walk(directory):
            self.ops += [
                Op("name", name=Name(folder, -1)),
                Op("sync_directory", path=os.path.dirname(folder)),
            ]
            for name in names:
                path = os.path.join(folder, name)
                number = self._number(path)
                with open(path, "rb") as file:
                    self.ops.append(Op("change", number, Change("write", 0, file.read())))
                self.ops.append(Op("change", number, Change("mode", os.stat(path).st_mode & 0o777)))
                self.ops.append(Op("sync", number))
            self.ops.append(Op("sync_directory", path=folder))
        self.start = len(self.ops)

    def _number(self, path: str) -> int:
        number = len(self.ops) + 1
        self._numbers[path] = number
        self.ops.append(Op("name", name=Name(path, number)))
        return number

    def acknowledge(self, n: int) -> None:
        self.ops.append(Op("acknowledged", acknowledged=n))

    def open(self, path: str, flags: int, mode: int = 0o777) -> int:
        there = os.path.exists(path)
        descriptor = os.open(path, flags, mode)
        if path.startswith("/proc/self/fd/"):
            self._open[descriptor] = self._open[int(path.rsplit("/", 1)[1])]
        elif path.startswith(self.root):
            if not there:
                number = self._number(path)
                self.ops.append(Op("change", number, Change("mode", mode)))
            elif flags & os.O_TRUNC:
                self.ops.append(Op("change", self._numbers[path], Change("size", 0)))
            self._open[descriptor] = (path, self._numbers.get(path, 0))
        return descriptor

    def close(self, descriptor: int) -> None:
        self._open.pop(descriptor, None)
        os.close(descriptor)

    def write(self, descriptor: int, data: bytes) -> int:
        if descriptor not in self._open:
            return os.write(descriptor, data)
        place = os.fstat(descriptor).st_size  # the journal only ever appends
        written = os.write(descriptor, data)
        self.ops.append(
            Op("change", self._open[descriptor][1], Change("write", place, bytes(data[:written])))
        )
        return written

    def ftruncate(self, descriptor: int, size: int) -> None:
        if descriptor in self._open and size != os.fstat(descriptor).st_size:
            self.ops.append(Op("change", self._open[descriptor][1], Change("size", size)))
        os.ftruncate(descriptor, size)

    def fchmod(self, descriptor: int, mode: int) -> None:
        if descriptor in self._open and mode != os.fstat(descriptor).st_mode & 0o777:
            self.ops.append(Op("change", self._open[descriptor][1], Change("mode", mode)))
        os.fchmod(descriptor, mode)

    def fsync(self, descriptor: int) -> None:
        self._sync(descriptor, os.fsync)

    def fdatasync(self, descriptor: int) -> None:
        self._sync(descriptor, os.fdatasync)

    def _sync(self, descriptor: int, call: Any) -> None:
        frame = sys._getframe(2)
        if frame.f_code.co_name == "sync_directory" and frame.f_back:
            frame = frame.f_back
        site = f"{os.path.basename(frame.f_code.co_filename)}:{frame.f_code.co_name}:{frame.f_lineno}"
        if descriptor in self._open:
            path, number = self._open[descriptor]
            self.sites.append(site)
            if site == self.without:
                return
            directory = os.path.isdir(path)
            if self.failing_syncs and not directory:
                self.failing_syncs -= 1
                self.ops.append(Op("failed_sync", number))
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            self.ops.append(Op("sync_directory", path=path) if directory else Op("sync", number))
        call(descriptor)

    def rename(self, old: str, new: str) -> None:
        os.rename(old, new)
        if new.startswith(self.root):
            self._numbers[new] = self._numbers.pop(old)
            self.ops.append(Op("name", name=Name(new, self._numbers[new], old)))

    def unlink(self, path: str) -> None:
        os.unlink(path)
        if path.startswith(self.root):
            self._numbers.pop(path)
            self.ops.append(Op("name", name=Name(path, 0)))

    def makedirs(self, path: str, mode: int = 0o777, *, exist_ok: bool = False) -> None:
        there = os.path.isdir(path)
        os.makedirs(path, mode, exist_ok=exist_ok)
        if not there and path.startswith(self.root):
            self.ops.append(Op("name", name=Name(path, -1)))


def install(recording: RecordingOs, modules: tuple[ModuleType, ...], monkeypatch: Any) -> None:
    for module in modules:
        monkeypatch.setattr(module, "os", recording)


class State(NamedTuple):
    """What a power cut leaves: contents and modes by path, directories, and what was acknowledged before."""

    files: dict[str, tuple[bytes, int]]
    directories: tuple[str, ...]
    acknowledged: int
    origin: str

    def put(self, old_root: str, new_root: str) -> None:
        for directory in sorted(self.directories):
            os.makedirs(directory.replace(old_root, new_root, 1), 0o700, exist_ok=True)
        for path, (data, mode) in self.files.items():
            there = path.replace(old_root, new_root, 1)
            if os.path.isdir(os.path.dirname(there)):
                with open(there, "wb") as file:
                    file.write(data)
                os.chmod(there, mode)


def _torn(last: Change) -> Iterator[Change]:
    line = max(2, last.data.find(b"\n") + 1)
    for cut in {1, line - 1, line, len(last.data) // 2, len(last.data) - 1}:
        yield Change("write", last.place, last.data[:cut])
        yield Change("write", last.place, bytes(cut) + last.data[cut:])
    yield Change("write", last.place, bytes(len(last.data)))


def _made(changes: list[Change]) -> tuple[bytes, int]:
    data, mode = bytearray(), 0o600
    for change in changes:
        if change.kind == "write":
            data.extend(bytes(max(0, change.place - len(data))))
            data[change.place : change.place + len(change.data)] = change.data
        elif change.kind == "size":
            del data[change.place :]
            data.extend(bytes(change.place - len(data)))
        else:
            mode = change.place
    return bytes(data), mode


def states(ops: list[Op], start: int = 0) -> Iterator[State]:
    """Every state that a power cut after any of the calls from `start` on may leave, each once."""
    seen: set[object] = set()
    for cut in range(start, len(ops) + 1):
        for state in _states_after(ops[:cut]):
            key = (frozenset(state.files.items()), state.directories, state.acknowledged)
            if key not in seen:
                seen.add(key)
                yield state


def _states_after(ops: list[Op]) -> Iterator[State]:
    files: dict[int, File] = {}
    durable_names: list[Name] = []
    pending_names: list[Name] = []
    acknowledged = 0
    for op in ops:
        if op.kind == "change":
            assert op.change
            files.setdefault(op.file, File()).changes.append((op.change, "pending"))
        elif op.kind in ("sync", "failed_sync"):
            files.setdefault(op.file, File()).turn_pending("durable" if op.kind == "sync" else "doubtful")
        elif op.kind == "name":
            assert op.name
            pending_names.append(op.name)
        elif op.kind == "sync_directory":
            durable_names += [name for name in pending_names if os.path.dirname(name.path) == op.path]
            pending_names = [name for name in pending_names if os.path.dirname(name.path) != op.path]
        else:
            acknowledged = op.acknowledged
    for kept in range(len(pending_names) + 1):
        names = durable_names + pending_names[:kept]
        for chosen in product(*(file.contents() for file in files.values())):
            contents = dict(zip(files, chosen, strict=True))
            yield _state(names, contents, acknowledged, f"after {len(ops)} calls, {kept} names")


def _state(
    names: list[Name], contents: dict[int, tuple[bytes, int]], acknowledged: int, origin: str
) -> State:
    there: dict[str, int] = {}
    for name in names:
        if name.old:
            there.pop(name.old, None)
        there[name.path] = name.file
    directories = tuple(sorted(path for path, number in there.items() if number == -1))
    files = {path: contents.get(number, (b"", 0o600)) for path, number in there.items() if number > 0}
    return State(files, directories, acknowledged, origin)
