"""Inside the virtual machine: run what the host asks for, many at a time, and tell how each ended.

One JSON line each way over the virtio port: {"id", "command": for /bin/sh} and {"id", "code", "out", "err"}.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time


def main(kernel: str) -> None:
    """`kernel`: the directory of tools/install-test."""
    _finish_boot(kernel)
    port = os.open(_port(), os.O_RDWR)
    answering = threading.Lock()

    def answer(reply: dict[str, object]) -> None:
        data = json.dumps(reply).encode() + b"\n"
        with answering:
            while data:
                data = data[os.write(port, data) :]

    answer({"id": 0, "code": 0, "out": os.uname().release, "err": ""})
    with open(port, "rb", buffering=0, closefd=False) as requests:
        waiting = b""
        while piece := requests.read(1 << 16):
            *lines, waiting = (waiting + piece).split(b"\n")
            for line in lines:
                threading.Thread(target=_run, args=(json.loads(line), answer)).start()


def _port() -> str:
    """The only virtio port; the driver makes it a moment after it was loaded."""
    while True:
        for name in os.listdir("/dev"):
            if name.startswith("vport"):
                return f"/dev/{name}"
        time.sleep(0.02)


def _run(request: dict[str, object], answer: object) -> None:
    done = subprocess.run(
        ["/bin/sh", "-c", str(request["command"])], stdin=subprocess.DEVNULL, capture_output=True, check=False
    )
    answer(  # type: ignore[operator] # a closure of main
        {
            "id": request["id"],
            "code": done.returncode,
            "out": done.stdout.decode(errors="replace"),
            "err": done.stderr.decode(errors="replace"),
        }
    )


def _finish_boot(kernel: str) -> None:
    """What the machine's commands expect of a booted system: a loopback, modules on demand, paths."""
    os.environ.update(
        PATH="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        HOME="/root",
        MYDOCKER_ROOT="/data/root",
    )
    subprocess.run(["/bin/busybox", "ip", "link", "set", "lo", "up"], check=True)
    with open("/run/modprobe", "w") as script:
        script.write('#!/bin/sh\nexec /bin/busybox modprobe "$@"\n')
    os.chmod("/run/modprobe", 0o755)
    with open("/proc/sys/kernel/modprobe", "w") as file:
        file.write("/run/modprobe")
    release = os.uname().release
    if not os.path.exists(f"/lib/modules/{release}"):
        os.makedirs("/lib/modules", exist_ok=True)
        os.symlink(f"{kernel}/lib/modules/{release}", f"/lib/modules/{release}")


main(sys.argv[1])
