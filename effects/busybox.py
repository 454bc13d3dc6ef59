"""Makes the default image from a static busybox of the host: no network, one program, all its names."""

from __future__ import annotations

import errno
import json
import os
import stat
import struct
import subprocess

from effects import tarblock
from effects.failure import StepFailed
from effects.tarblock import Member
from effects.tarformat import DIRECTORY, HARDLINK, REGULAR
from effects.tarwriter import Writer

_PLACES = ("/bin/busybox", "/usr/bin/busybox")
_HINT = "apt-get install busybox-static"
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
CONFIG = {"cmd": ["/bin/sh"], "env": {"PATH": _PATH}}

# No /sbin: `ls /` shows what article 22 shows.
_DIRECTORIES = {
    b"": 0o755,
    b"bin": 0o755,
    b"dev": 0o755,
    b"etc": 0o755,
    b"home": 0o755,
    b"proc": 0o555,
    b"root": 0o700,
    b"sys": 0o555,
    b"tmp": 0o1777,
    b"usr": 0o755,
    b"usr/bin": 0o755,
    b"usr/sbin": 0o755,
    b"var": 0o755,
    b"var/spool": 0o755,
    b"var/spool/cron": 0o755,
    b"var/spool/cron/crontabs": 0o700,
    b"var/spool/mail": 0o755,
    b"var/www": 0o755,
}
_FILES = {
    b"etc/group": b"root:x:0:\ndaemon:x:1:\nbin:x:2:\nsys:x:3:\nadm:x:4:\ntty:x:5:\ndisk:x:6:\nmail:x:8:\n"
    b"wheel:x:10:root\nwww-data:x:33:\nusers:x:100:\nnogroup:x:65534:\n",
    b"etc/passwd": b"root:x:0:0:root:/root:/bin/sh\ndaemon:x:1:1:daemon:/usr/sbin:/bin/false\n"
    b"bin:x:2:2:bin:/bin:/bin/false\nsys:x:3:3:sys:/dev:/bin/false\nmail:x:8:8:mail:/var/spool/mail:/bin/false\n"
    b"www-data:x:33:33:www-data:/var/www:/bin/false\nnobody:x:65534:65534:nobody:/home:/bin/false\n",
    b"etc/shadow": b"root:*::0:99999:7:::\nnobody:*::0:99999:7:::\n",
}


def find() -> str:
    """The host's static busybox; ENOENT with a hint where there is none."""
    for place in _PLACES:
        if os.path.exists(place):
            return place
    raise StepFailed("busybox", errno.ENOENT, f"there is no busybox on this host ({_HINT})", _PLACES[0])


def build(out_fd: int, program: str = "") -> None:
    """Write the image as a tar with its configuration. The same program gives the same bytes."""
    program = program or find()
    descriptor = os.open(program, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _demand_static(descriptor, program)
        state = os.fstat(descriptor)
        names = _applets(program)
        writer = Writer(out_fd, None)
        writer.put(tarblock.global_config(json.dumps(CONFIG, sort_keys=True, separators=(",", ":")).encode()))
        # The program's own time for all: `ls -l` tells how old it is, and a rebuild changes nothing.
        mtime = int(state.st_mtime) * 1_000_000_000
        for name, mode in _DIRECTORIES.items():
            writer.put(tarblock.member(Member((name or b".") + b"/", DIRECTORY, mode=mode, mtime=mtime)))
        busybox = Member(b"bin/busybox", REGULAR, mode=0o755, size=state.st_size, mtime=mtime)
        writer.put(tarblock.member(busybox))
        writer.copy(descriptor, 0, state.st_size)
        writer.put(tarblock.padding(state.st_size))
        for name in names:
            link = Member(name, HARDLINK, mode=0o755, mtime=mtime, link=b"bin/busybox")
            writer.put(tarblock.member(link))
    finally:
        os.close(descriptor)
    for name, content in _FILES.items():
        mode = 0o600 if name == b"etc/shadow" else 0o644
        writer.put(tarblock.member(Member(name, REGULAR, mode=mode, size=len(content), mtime=mtime)))
        writer.put(content + tarblock.padding(len(content)))
    writer.put(tarblock.END)
    writer.flush()


def _applets(program: str) -> list[bytes]:
    """All names of the program: each in bin, and where busybox itself wants it in usr/bin or usr/sbin."""
    # Not the host's environment: a preload or a locale is none of the image's business.
    answer = subprocess.run([program, "--list-full"], stdout=subprocess.PIPE, env={}, check=False, timeout=30)
    if answer.returncode:
        message = f"`{program} --list-full` failed with status {answer.returncode}"
        raise StepFailed("busybox", errno.ENOEXEC, message, program)
    found: set[bytes] = set()
    for line in answer.stdout.split():
        place, _, name = line.rpartition(b"/")
        if name in {b"", b"busybox", b"linuxrc"}:
            continue
        found.add(b"bin/" + name)
        if place in {b"usr/bin", b"usr/sbin"}:
            found.add(line)
    if b"bin/sh" not in found:
        raise StepFailed("busybox", errno.ENOEXEC, "this busybox has no shell", program)
    return sorted(found)


def _demand_static(descriptor: int, program: str) -> None:
    """Refuse what is no ELF program, or one that asks for an interpreter (elf(5), PT_INTERP)."""
    head = os.pread(descriptor, 64, 0)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode) or head[:4] != b"\x7fELF" or len(head) < 64:  # noqa: PLR2004
        raise StepFailed("busybox", errno.ENOEXEC, f"this busybox is no ELF program ({_HINT})", program)
    wide, order = head[4] == 2, "<" if head[5] == 1 else ">"  # noqa: PLR2004 - ELFCLASS64, ELFDATA2LSB
    table = struct.unpack_from(order + ("Q" if wide else "L"), head, 32 if wide else 28)[0]
    size, count = struct.unpack_from(order + "HH", head, 54 if wide else 42)
    for number in range(count):
        kind = struct.unpack(order + "L", os.pread(descriptor, 4, table + number * size))[0]
        if kind == 3:  # noqa: PLR2004 - PT_INTERP
            raise StepFailed("busybox", errno.ENOEXEC, f"this busybox is not static ({_HINT})", program)
