"""A virtual machine with a real kernel, whose plug can be pulled. Emulated: a test must run where there is no KVM."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, Queue
from typing import Any, Self

from tests.vm import initramfs
from tests.waiting import until

HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parent.parent
KERNEL = CHECKOUT / ".vm"
QEMU = Path("/usr/bin/qemu-system-x86_64")
VIRTIOFSD = Path("/usr/lib/qemu/virtiofsd")
BUSYBOX, TINI, MKFS = Path("/bin/busybox"), Path("/usr/bin/tini"), Path("/sbin/mkfs.ext4")
MEMORY = "1024M"
BOOT = 180.0  # seconds: 5 on a quiet machine
PATIENCE = 240.0  # seconds for a command: 2 on a quiet machine
# A panic ends qemu (-no-reboot), and an oops is one: no error of the kernel goes unseen. no_timer_check: on a busy
# machine the emulated timer fails the kernel's test of it; and that there is ACPI gives it a clock to measure its others
# by, without which its seconds are then ten of ours. Pages are not cleared once more when they are taken.
KERNEL_LINE = "console=ttyS0 quiet panic=-1 oops=panic cgroup_no_v1=all no_timer_check mitigations=off nokaslr init_on_alloc=0"


class PowerLost(Exception):
    """The machine went off while it was asked something."""


@dataclass(frozen=True)
class Done:
    """How a command in the machine ended."""

    command: str
    code: int
    out: str
    err: str


def missing() -> str:
    """What there is not and must be, in words; "" if nothing."""
    wanted = (QEMU, VIRTIOFSD, BUSYBOX, TINI, MKFS, KERNEL / "vmlinuz")
    absent = [str(path) for path in wanted if not path.exists()]
    return f"no virtual machine without {', '.join(absent)} [sh tools/install-test]" if absent else ""


def make_disk(path: Path, size: int = 384 << 20) -> None:
    """An empty disk of `size` bytes with ext4, a sparse file."""
    with path.open("wb") as file:
        file.truncate(size)
    # Everything written by mkfs: the block log must not begin with a kernel that still zeroes inode tables.
    options = "lazy_itable_init=0,lazy_journal_init=0"
    subprocess.run([MKFS, "-q", "-F", "-E", options, path], check=True)


class Machine:
    """One boot: from power on to power off. `disk` outlives it; `log` records what the disk was told (blocklog)."""

    def __init__(self, base: Path, disk: Path, log: Path | None = None, *, cpus: int = 1) -> None:
        self.started = time.monotonic()
        self._replies: dict[int, Queue[Done | None]] = {}
        self._number = 0
        self._sending = threading.Lock()
        base.mkdir(exist_ok=True)
        self.console = base / "console"
        if not (base / "initramfs").exists():
            initramfs.build(KERNEL, BUSYBOX, base / "initramfs")
        self._share = self._start_share(base)
        self.socket, theirs = socket.socketpair()
        with theirs:
            self._qemu = _child(
                [str(QEMU), *_hardware(base, cpus, theirs.fileno()), *_storage(disk, log)],
                base / "qemu.log",
                theirs.fileno(),
            )
        self._listener = threading.Thread(target=self._listen, daemon=True)
        first = self._expect(0)
        self._listener.start()
        try:
            self.release = self._await(first, "boot", BOOT).out
        except BaseException:
            self.cut()
            raise
        self.booted = time.monotonic() - self.started

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.cut()

    def __call__(self, command: str, timeout: float = PATIENCE) -> Done:
        """Run a shell line to its end. PowerLost where the end was not seen."""
        with self._sending:
            self._number += 1
            number = self._number
            replies = self._expect(number)
            line = json.dumps({"id": number, "command": command})
            try:
                self.socket.sendall(line.encode() + b"\n")
            except OSError as error:
                raise PowerLost(command) from error
        return self._await(replies, command, timeout)

    def ok(self, command: str, timeout: float = PATIENCE) -> str:
        """Run a shell line that must succeed; its output."""
        done = self(command, timeout)
        assert done.code == 0, f"{command!r} ended {done.code} in the machine: {done.out}{done.err}"
        return done.out

    def cut(self) -> None:
        """No warning: what the machine had not written is lost."""
        for process in (self._qemu, self._share):
            process.send_signal(signal.SIGKILL)
            process.wait()
        self._off()

    def wait_off(self, timeout: float = 60) -> None:
        """Until it has switched itself off."""
        self._qemu.wait(timeout)
        self.cut()

    def _off(self) -> None:
        if self._listener.is_alive():
            self.socket.shutdown(socket.SHUT_RDWR)
            self._listener.join()
        self.socket.close()

    def _start_share(self, base: Path) -> subprocess.Popen[bytes]:
        path = base / "share.sock"
        path.unlink(missing_ok=True)
        # Limits on open files cannot be raised without CAP_SYS_RESOURCE: 0 leaves them as they are.
        arguments = [f"--socket-path={path}", "-o", "source=/", "-o", "cache=always", "-o", "sandbox=chroot"]
        share = _child([str(VIRTIOFSD), *arguments, "--rlimit-nofile=0"], base / "virtiofsd.log")
        until(lambda: path.exists() or share.poll() is not None, "virtiofsd makes no socket", beside=base)
        assert path.exists(), (base / "virtiofsd.log").read_text()
        return share

    def _listen(self) -> None:
        waiting = b""
        while piece := _received(self.socket):
            *lines, waiting = (waiting + piece).split(b"\n")
            for line in lines:
                reply: dict[str, Any] = json.loads(line)
                self._replies.pop(reply["id"]).put(Done("", reply["code"], reply["out"], reply["err"]))
        with self._sending:
            for replies in self._replies.values():
                replies.put(None)
            self._replies.clear()
            self._number = -1

    def _expect(self, number: int) -> Queue[Done | None]:
        replies: Queue[Done | None] = Queue()
        self._replies[number] = replies
        return replies

    def _await(self, replies: Queue[Done | None], command: str, timeout: float) -> Done:
        try:
            done = replies.get(timeout=timeout)
        except Empty:
            raise AssertionError(f"{command!r}: no answer in {timeout} s\n{self.last_words()}") from None
        if done is None:
            raise PowerLost(f"{command}\n{self.last_words()}")
        return Done(command, done.code, done.out, done.err)

    def last_words(self) -> str:
        """The end of what the kernel printed."""
        return self.console.read_text(errors="replace")[-2000:] if self.console.exists() else ""


def _received(connection: socket.socket) -> bytes:
    try:
        return connection.recv(1 << 16)
    except OSError:
        return b""


def _child(arguments: list[str], log: Path, fd: int | None = None) -> subprocess.Popen[bytes]:
    """Started so that it never outlives us."""
    with log.open("wb") as output:
        return subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            pass_fds=[fd] if fd is not None else [],
        )


def _hardware(base: Path, cpus: int, port: int) -> list[str]:
    agent = f"/usr/bin/python3,-I,-S,{HERE / 'agent.py'},{KERNEL}"
    return [
        *(
            "-accel",
            "tcg,thread=multi",
            "-cpu",
            "qemu64",
            "-smp",
            str(cpus),
            "-nodefaults",
            "-no-user-config",
        ),
        *("-display", "none", "-no-reboot", "-serial", f"file:{base / 'console'}"),
        *("-m", MEMORY, "-object", f"memory-backend-memfd,id=memory,size={MEMORY},share=on"),
        *("-numa", "node,memdev=memory"),
        *("-kernel", str(KERNEL / "vmlinuz"), "-initrd", str(base / "initramfs")),
        *("-append", f"{KERNEL_LINE} vm.command={agent}"),
        *("-chardev", f"socket,id=share,path={base / 'share.sock'}"),
        *("-device", "vhost-user-fs-pci,chardev=share,tag=host", "-device", "virtio-rng-pci"),
        *("-chardev", f"socket,id=agent,fd={port}"),
        *("-device", "virtio-serial-pci", "-device", "virtserialport,chardev=agent,nr=1"),
    ]


def _storage(disk: Path, log: Path | None) -> list[str]:
    """The disk; with `log`, every write and flush goes there too, in the format of the kernel's dm-log-writes."""
    blocks = ["-blockdev", f"driver=file,filename={disk},node-name=disk"]
    if log:
        log.touch()
        blocks += ["-blockdev", f"driver=file,filename={log},node-name=log"]
        blocks += ["-blockdev", "driver=blklogwrites,file=disk,log=log,node-name=logged,log-sector-size=512"]
    return [*blocks, "-device", f"virtio-blk-pci,drive={'logged' if log else 'disk'},write-cache=on"]
