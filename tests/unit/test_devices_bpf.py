"""Device rules as BPF: each rule means what devices.allow of version 1 means by it."""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from effects import devices, devices_bpf

with open("/proc/self/mountinfo") as _mounts:
    UNIFIED = next((line.split()[4] for line in _mounts if " - cgroup2 " in line), "")
M, R, W = 1, 2, 4
BLOCK, CHAR = 1, 2


def run(program: bytes, kind: int, major: int, minor: int, access: int) -> int:
    """What the program returns: an interpreter of just the instructions that it uses."""
    context = struct.pack("=III", access << 16 | kind, major, minor)
    registers = [0] * 11
    at = 0
    for _ in range(10_000):
        code, both, offset, value = struct.unpack_from("=BBhi", program, at * 8)
        target, source = both & 15, both >> 4
        at += 1
        immediate = value & 0xFFFFFFFF
        match code:
            case 0x61:
                (registers[target],) = struct.unpack_from("=I", context, offset)
            case 0xBC:
                registers[target] = registers[source] & 0xFFFFFFFF
            case 0xB7:
                registers[target] = value
            case 0x54:
                registers[target] = registers[target] & immediate
            case 0x74:
                registers[target] = registers[target] >> value
            case 0x56:
                at += offset if registers[target] & 0xFFFFFFFF != immediate else 0
            case 0x95:
                return registers[0]
            case _:
                raise AssertionError(hex(code))
    raise AssertionError("the program does not end")


def allowed(rules: list[str], kind: int, major: int, minor: int, access: int) -> bool:
    """The meaning of the rules, told plainly."""
    for rule in rules:
        name, numbers, letters = rule.split()
        wanted = sum({"m": M, "r": R, "w": W}[letter] for letter in letters)
        numbers_fit = all(
            want in ("*", str(have)) for want, have in zip(numbers.split(":"), (major, minor), strict=True)
        )
        if name in ("a", {BLOCK: "b", CHAR: "c"}[kind]) and numbers_fit and access & ~wanted == 0:
            return True
    return False


NUMBER = st.one_of(st.integers(0, 3), st.sampled_from([2**31 - 1, 2**31, 2**32 - 1]))
RULE = st.builds(
    "{} {}:{} {}".format,
    st.sampled_from("abc"),
    st.one_of(st.just("*"), NUMBER.map(str)),
    st.one_of(st.just("*"), NUMBER.map(str)),
    st.sampled_from(["r", "w", "m", "rw", "rm", "wm", "rwm", "mr"]),
)


@settings(max_examples=500, deadline=None)
@given(st.lists(RULE, max_size=5), st.sampled_from([BLOCK, CHAR]), NUMBER, NUMBER, st.integers(1, 7))
def test_the_program_means_what_the_rules_mean(
    rules: list[str], kind: int, major: int, minor: int, access: int
) -> None:
    program = devices_bpf.assemble(rules)
    assert run(program, kind, major, minor, access) == allowed(rules, kind, major, minor, access)


def test_the_default_rules_are_dockers() -> None:
    program = devices_bpf.assemble(devices.rules(privileged=False))
    for name, major, minor in devices.NODES:
        assert run(program, CHAR, major, minor, R | W), name
    assert run(program, CHAR, 136, 7, R | W)
    assert run(program, BLOCK, 254, 0, M)
    assert not run(program, BLOCK, 254, 0, R)
    assert not run(program, CHAR, 1, 1, R)  # /dev/mem
    assert not run(program, CHAR, 10, 229, R)  # /dev/fuse


def test_a_privileged_container_may_use_all() -> None:
    program = devices_bpf.assemble(devices.rules(privileged=True))
    assert run(program, BLOCK, 254, 0, R | W | M)


@pytest.mark.parametrize(
    "rule",
    ["", "c 1:3", "d 1:3 r", "c 1 r", "c 1:x r", "c 1:3 rx", "c -1:3 r", "c 1:4294967296 r", "c \u0661:3 r"],
)
def test_what_is_no_rule_is_refused(rule: str) -> None:
    with pytest.raises(OSError, match="not a device rule") as refused:
        devices_bpf.assemble([rule])
    assert refused.value.errno == errno.EINVAL


@pytest.fixture
def cgroup() -> Iterator[str]:
    assert UNIFIED, "no cgroup2 is mounted"
    path = f"{UNIFIED}/mydocker-test-bpf-{os.getpid()}"
    os.mkdir(path)
    yield path
    os.rmdir(path)


def _opens(cgroup: str, paths: list[str]) -> list[int]:
    """The errno of opening each, 0 for success, from a process in the cgroup."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        codes = []
        with open(f"{cgroup}/cgroup.procs", "w") as procs:
            procs.write("0")
        for path in paths:
            try:
                os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK))
                codes.append(0)
            except OSError as error:
                codes.append(error.errno or -1)
        os.write(writer, bytes(codes))
        os._exit(0)
    os.close(writer)
    codes = list(os.read(reader, 100))
    os.close(reader)
    os.waitpid(pid, 0)
    return codes


@pytest.mark.root
def test_the_kernel_enforces_it(cgroup: str) -> None:
    devices_bpf.attach(cgroup, devices.rules(privileged=False))
    assert _opens(cgroup, ["/dev/null", "/dev/zero", "/dev/urandom"]) == [0, 0, 0]
    assert _opens(cgroup, ["/dev/kmsg", "/dev/vda"]) == [errno.EPERM] * 2


@pytest.mark.root
def test_the_kernel_takes_a_program_that_allows_all(cgroup: str) -> None:
    devices_bpf.attach(cgroup, ["c 1:3 r", *devices.rules(privileged=True), "c 1:5 r"])
    assert _opens(cgroup, ["/dev/kmsg", "/dev/null"]) == [0, 0]


@pytest.mark.root
def test_an_empty_list_denies_all(cgroup: str) -> None:
    devices_bpf.attach(cgroup, [])
    assert _opens(cgroup, ["/dev/null"]) == [errno.EPERM]


@pytest.mark.root
def test_nothing_stays_open(cgroup: str) -> None:
    before = os.listdir("/proc/self/fd")
    devices_bpf.attach(cgroup, ["a *:* rwm"])
    with pytest.raises(FileNotFoundError):
        devices_bpf.attach(f"{cgroup}/none", ["a *:* rwm"])
    assert os.listdir("/proc/self/fd") == before
