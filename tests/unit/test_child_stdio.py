"""A container's standard streams: FIFOs that the monitor shares, a null of its own, a terminal."""

from __future__ import annotations

import fcntl
import os
import select
import stat

import pytest

from effects import terminal
from tests.births import Box, end

pytestmark = pytest.mark.root


def _read_until(master: int, wanted: bytes) -> bytes:
    told = b""
    while wanted not in told:
        assert select.select([master], [], [], 10)[0], told
        told += os.read(master, 1000)
    return told


def test_output_and_errors_come_by_their_own_fifos(box: Box) -> None:
    assert box.run("/bin/sh", "-c", "echo out; echo err >&2") == 0
    assert (box.output(), box.output("stderr")) == ("out\n", "err\n")


def test_a_container_without_readers_neither_waits_nor_breaks(box: Box) -> None:
    """It holds the FIFO for reading too: no SIGPIPE when the monitor dies."""
    os.close(box._read.pop("stdout"))
    assert box.run("/bin/sh", "-c", "echo into the void; echo $? >&2") == 0
    assert box.output("stderr") == "0\n"


def test_without_stdin_it_reads_nothing(box: Box) -> None:
    assert box.sh("wc -c; readlink /proc/self/fd/0") == "0\n/dev/null\n"


def test_stdin_ends_when_the_monitor_closes_its_end(box: Box) -> None:
    box.config["stdio"]["stdin"] = str(box.place / "stdin")
    ours = os.open(box.place / "stdin", os.O_RDWR)
    born = box.start("cat")
    os.write(ours, b"typed\n")
    assert not select.select([born.pidfd], [], [], 0)[0]
    os.close(ours)
    assert end(born) == 0
    assert box.output() == "typed\n"


def test_stdin_is_blocking_for_the_program(box: Box) -> None:
    box.config["stdio"]["stdin"] = str(box.place / "stdin")
    ours = os.open(box.place / "stdin", os.O_RDWR)
    born = box.start("cat")
    inside = os.open(f"/proc/{born.pid}/fdinfo/0", os.O_RDONLY)
    flags = int(next(line for line in os.read(inside, 1000).splitlines() if line.startswith(b"flags"))[6:], 8)
    os.close(inside)
    assert not flags & os.O_NONBLOCK
    assert flags & os.O_ACCMODE == os.O_RDONLY
    os.close(ours)
    assert end(born) == 0


def test_another_user_can_open_its_own_streams_again(box: Box) -> None:
    out = box.sh("echo again > /dev/stdout; echo $(stat -Lc %u /proc/self/fd/1)", user="1000")
    assert out == "again\n1000\n"
    assert stat.S_IMODE(os.stat(box.place / "stdout").st_mode) == 0o600


def test_a_terminal_is_a_real_one_and_the_controlling_one(box: Box) -> None:
    born = box.spawn(
        "/bin/sh",
        "-c",
        "tty; echo $TERM; stty size; echo x > /dev/tty; stat -c %u /dev/console; ps -o pid,tty",
        tty=True,
        user="1000:5",
    )
    terminal.resize(born.terminal, 33, 99)
    born.release()
    born.wait_exec()
    told = _read_until(born.terminal, b"136,0").decode().split("\r\n")
    assert told[:5] == ["/dev/pts/0", "xterm", "33 99", "x", "1000"]
    assert end(born) == 0


def test_control_c_at_the_terminal_interrupts_the_program(box: Box) -> None:
    born = box.start(
        "/bin/sh", "-c", "trap 'echo caught; exit 9' INT; echo ready; while :; do read x; done", tty=True
    )
    _read_until(born.terminal, b"ready")
    os.write(born.terminal, b"\x03")
    _read_until(born.terminal, b"caught")
    assert end(born) == 9


def test_the_end_of_the_master_hangs_the_terminal_up(box: Box) -> None:
    born = box.start("/bin/sh", "-c", "trap 'exit 8' HUP; echo ready; while :; do read x; done", tty=True)
    _read_until(born.terminal, b"ready")
    os.close(born.terminal)
    born.terminal = -1
    assert end(born) == 8


def test_the_master_is_close_on_exec_and_blocking(box: Box) -> None:
    born = box.spawn("true", tty=True)
    assert not os.get_inheritable(born.terminal)
    assert not fcntl.fcntl(born.terminal, fcntl.F_GETFL) & os.O_NONBLOCK
    born.abandon()


def test_cve_2025_52565_only_the_kernels_ptmx_makes_a_terminal(box: Box) -> None:
    os.mkfifo(box.place / "ptmx")
    (box.place / "file").write_text("")
    for name in ("ptmx", "file"):
        with pytest.raises(OSError, match="not the kernel's ptmx"):
            terminal.open_pair(str(box.place / name))
