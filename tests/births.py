"""Real containers for tests, straight from `spawn_init`: no monitor, no journal, no engine."""

from __future__ import annotations

import os
import secrets
import select
import shutil
import stat
import subprocess
from pathlib import Path
from typing import Any

from effects import caps
from effects.child import spawn_init
from effects.newborn import Newborn

BUSYBOX = "/bin/busybox"
DEFAULT_CAPS = [
    "CHOWN",
    "DAC_OVERRIDE",
    "FSETID",
    "FOWNER",
    "MKNOD",
    "NET_RAW",
    "SETGID",
    "SETUID",
    "SETFCAP",
    "SETPCAP",
    "NET_BIND_SERVICE",
    "SYS_CHROOT",
    "KILL",
    "AUDIT_WRITE",
]
assert set(DEFAULT_CAPS) <= set(caps.NAMES)


def make_image(place: Path) -> Path:
    """A layer with busybox under all its names, a few accounts, and nothing else."""
    binaries = place / "bin"
    binaries.mkdir(parents=True)
    shutil.copy(BUSYBOX, binaries / "busybox")
    for name in subprocess.check_output([BUSYBOX, "--list"], text=True).split():
        if name != "busybox":
            (binaries / name).symlink_to("busybox")
    (place / "etc").mkdir()
    (place / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1001::/home/user:/bin/sh\n")
    (place / "etc/group").write_text("root:x:0:\nuser:x:1001:\nextra:x:2000:user,other\nwheel:x:10:root\n")
    (place / "tmp").mkdir(mode=0o1777)
    return place


class Box:
    """One container to be: its directory, its configuration, and what came of it."""

    def __init__(self, place: Path, layer: Path) -> None:
        self.place = place
        for name in ("upper", "work", "etc"):
            (place / name).mkdir(parents=True)
        for name in ("stdout", "stderr", "stdin"):
            os.mkfifo(place / name, 0o600)
        (place / "etc/hosts").write_text("127.0.0.1 localhost\n")
        self.config: dict[str, Any] = {
            "id": secrets.token_hex(32),
            "name": place.name,
            "hostname": "box",
            "argv": ["true"],
            "env": {},
            "cwd": "/",
            "user": "",
            "groups": [],
            "lower": [str(layer)],
            "upper": str(place / "upper"),
            "work": str(place / "work"),
            "volumes": [],
            "tmpfs": [],
            "files": {"/etc/hosts": str(place / "etc/hosts")},
            "network": "none",
            "tty": False,
            "stdin": False,
            "stdio": {"stdout": str(place / "stdout"), "stderr": str(place / "stderr"), "stdin": ""},
            "caps": list(DEFAULT_CAPS),
            "privileged": False,
            "read_only": False,
            "no_new_privileges": False,
            "init": "",
            "shm_size": 64 << 20,
            "auto_remove": False,
            "joins": [],
            "cgroup2": "",
            "rlimits": {},
        }
        self._born: list[Newborn] = []
        self._read = {name: os.open(place / name, os.O_RDWR | os.O_NONBLOCK) for name in ("stdout", "stderr")}

    def spawn(self, *argv: str, **changes: Any) -> Newborn:
        """Up to the gate."""
        self.config.update(changes, argv=list(argv) or self.config["argv"])
        born = spawn_init(self.config)  # type: ignore[arg-type]  # a dict of exactly these keys
        self._born.append(born)
        self.mounts = born.wait_ready()["mounts"]
        return born

    def start(self, *argv: str, **changes: Any) -> Newborn:
        born = self.spawn(*argv, **changes)
        born.release()
        born.wait_exec()
        return born

    def run(self, *argv: str, **changes: Any) -> int:
        """The exit code of the program; minus the signal's number where one ended it."""
        return end(self.start(*argv, **changes))

    def sh(self, script: str, **changes: Any) -> str:
        """What the shell script writes to stdout; it must succeed and write nothing to stderr."""
        code = self.run("/bin/sh", "-c", script, **changes)
        out, err = self.output(), self.output("stderr")
        assert (code, err) == (0, ""), (code, out, err)
        return out

    def output(self, stream: str = "stdout") -> str:
        """What it has written since the last call."""
        data = b""
        while True:
            try:
                data += os.read(self._read[stream], 1 << 16)
            except BlockingIOError:
                return data.decode(errors="surrogateescape")

    def wait_output(self, wanted: str) -> str:
        """What it writes to stdout until `wanted` is in it."""
        told = ""
        while wanted not in told:
            assert select.select([self._read["stdout"]], [], [], 20)[0], told
            told += self.output()
        return told

    def close(self) -> None:
        """End what a failed test left."""
        for born in self._born:
            if born.pidfd >= 0:
                born.abandon()
        while self._read:
            os.close(self._read.popitem()[1])


def end(born: Newborn) -> int:
    """Wait for its end; close what is held of it."""
    result = os.waitid(os.P_PIDFD, born.pidfd, os.WEXITED)
    assert result is not None
    born.close()
    return result.si_status if result.si_code == os.CLD_EXITED else -result.si_status


def children() -> list[int]:
    """Our own children, zombies included."""
    with open(f"/proc/self/task/{os.getpid()}/children") as file:
        return [int(pid) for pid in file.read().split()]


def tree(place: Path) -> dict[str, tuple[int, int, int]]:
    """Everything below `place`, to compare before and after: type and mode, size, mtime in ns."""
    found = {}
    for directory, names, files in os.walk(place):
        for name in (*names, *files):
            path = os.path.join(directory, name)
            status = os.lstat(path)
            size = status.st_size if stat.S_ISREG(status.st_mode) else 0
            found[os.path.relpath(path, place)] = (status.st_mode, size, status.st_mtime_ns)
    return found
