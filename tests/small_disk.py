"""A machine whose root is a disk of its own, so small that it can be filled: ext4 in a file, in a private mount namespace."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests import cgroups
from tests.machines import Machine

SIZE = 48 << 20  # bytes: a segment of the journal takes 16 MiB, busybox as tar and layer 4
MOUNT = 'mount -o loop "$1" "$2" && echo ready && exec cat'


class SmallDisk(Machine):
    """Made by `small_disk`, which also takes it away."""

    def __init__(self, base: Path, holder: int) -> None:
        super().__init__(base)
        self.seen = Path(f"/proc/{holder}/root{self.root}")
        self.prefix = ["nsenter", f"--mount=/proc/{holder}/ns/mnt", f"--wdns={self.root}"]

    @property
    def _hog(self) -> Path:
        return self.seen / "hog"

    def fill(self) -> None:
        """Not a block is left."""
        descriptor = os.open(self._hog, os.O_WRONLY | os.O_CREAT, 0o600)
        size, piece = os.fstat(descriptor).st_size, 1 << 22
        while piece >= 1024:
            try:
                os.posix_fallocate(descriptor, size, piece)
                size += piece
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
                piece //= 2
        os.close(descriptor)

    def empty(self) -> None:
        """There is room again."""
        self._hog.unlink(missing_ok=True)


@contextlib.contextmanager
def small_disk(base: Path, busybox_tar: Path) -> Iterator[SmallDisk]:
    """The machine, with an image to run, for as long as the context lasts."""
    image, root = base / "disk.img", base / "root"
    root.mkdir()
    with image.open("wb") as file:
        file.truncate(SIZE)
    subprocess.run(["mkfs.ext4", "-q", "-m", "0", image], check=True, capture_output=True)
    private = ["unshare", "--mount", "--propagation", "private"]
    with subprocess.Popen(
        [*private, "sh", "-c", MOUNT, "sh", image, root], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdin is not None
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"ready\n"
        machine = SmallDisk(base, holder.pid)
        shutil.copy(busybox_tar, machine.seen / "busybox.tar")
        machine.ok("run", "--rm", "busybox", "true")
        try:
            yield machine
        finally:
            machine.empty()
            machine.kill(*machine.processes())
            cgroups.remove(machine.root_id)
            holder.stdin.close()
