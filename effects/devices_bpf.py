"""Device rules of a version 2 cgroup: a BPF program, assembled here, that the kernel asks at every open. LEAN.

The kernel calls it with struct bpf_cgroup_dev_ctx (linux/bpf.h): access_type is the access asked for in
its upper and the device's type in its lower 16 bits, then major and minor. It returns 1 to allow.
"""

from __future__ import annotations

import errno
import os
import struct

from effects import syscalls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_ACCESS = {"m": 1, "r": 2, "w": 4}  # BPF_DEVCG_ACC_*
_TYPES = {"b": 1, "c": 2}  # BPF_DEVCG_DEV_*
_ALL_ACCESS = 7
_MAX_NUMBER = (1 << 32) - 1

# linux/bpf_common.h, linux/bpf.h: the few instructions that are needed, by opcode.
_LDX_W = 0x61  # dst = *(u32 *)(src + offset)
_MOV32_REG, _MOV64_IMM = 0xBC, 0xB7
_AND32_IMM, _RSH32_IMM = 0x54, 0x74
_EXIT = 0x95
_JMP32_JNE_IMM = 0x56  # compares 32 bits: a number above 2^31 is not sign-extended
_R0, _R1, _TYPE, _WANTED, _MAJOR, _MINOR, _SCRATCH = range(7)
_INSTRUCTION = struct.Struct("=BBhi")


def attach(directory: str, rules: Sequence[str]) -> None:
    """Let the cgroup `directory` (version 2) and what is below it use only these devices.

    `rules` are as devices.allow takes them; what none of them allows is denied. EINVAL for a rule that is none.
    The program goes with the cgroup. Called again, both must allow, so the rules can only become stricter.
    """
    program = syscalls.bpf_prog_load(syscalls.BPF_PROG_TYPE_CGROUP_DEVICE, assemble(rules), "Apache-2.0")
    try:
        cgroup = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            # MULTI: what a parent denies stays denied, and the container may attach programs of its own.
            syscalls.bpf_prog_attach(program, cgroup, syscalls.BPF_CGROUP_DEVICE, syscalls.BPF_F_ALLOW_MULTI)
        finally:
            os.close(cgroup)
    finally:
        os.close(program)


def assemble(rules: Sequence[str]) -> bytes:
    """The program: for each rule a few compares, and `return 1` where all agree; at the end `return 0`."""
    code = [
        _op(_LDX_W, _TYPE, _R1, 0),
        _op(_MOV32_REG, _WANTED, _TYPE),
        _op(_RSH32_IMM, _WANTED, value=16),
        _op(_AND32_IMM, _TYPE, value=0xFFFF),
        _op(_LDX_W, _MAJOR, _R1, 4),
        _op(_LDX_W, _MINOR, _R1, 8),
    ]
    allow = _return(1)
    for rule in rules:
        compiled = _compiled(rule, allow)
        code += compiled
        if compiled == allow:
            break  # it allows all, and the verifier takes no instruction that is never reached
    else:
        code += _return(0)
    return b"".join(code)


def _compiled(rule: str, allow: list[bytes]) -> list[bytes]:
    kind, major, minor, access = parse(rule)
    tests: list[tuple[list[bytes], int, int]] = []  # (instructions before, register, value it must have)
    if kind is not None:
        tests.append(([], _TYPE, kind))
    if access != _ALL_ACCESS:
        # Not one bit may be wanted that this rule does not allow.
        rest = [
            _op(_MOV32_REG, _SCRATCH, _WANTED),
            _op(_AND32_IMM, _SCRATCH, value=_ALL_ACCESS & ~access),
        ]
        tests.append((rest, _SCRATCH, 0))
    if major is not None:
        tests.append(([], _MAJOR, major))
    if minor is not None:
        tests.append(([], _MINOR, minor))
    # From the back, since each jump leads over all that follows.
    code = allow
    for before, register, value in reversed(tests):
        code = [*before, _op(_JMP32_JNE_IMM, register, offset=len(code), value=value), *code]
    return code


def parse(rule: str) -> tuple[int | None, int | None, int | None, int]:
    """(type, major, minor, access bits) of "c 1:3 rwm"; None for any."""
    words = rule.split()
    numbers = words[1].split(":") if len(words) == 3 else []  # noqa: PLR2004
    if len(numbers) != 2 or words[0] not in {"a", *_TYPES} or not set(words[2]) <= set(_ACCESS):  # noqa: PLR2004
        raise OSError(errno.EINVAL, f"not a device rule: {rule!r}")
    access = sum(_ACCESS[letter] for letter in set(words[2]))
    return _TYPES.get(words[0]), _number(numbers[0], rule), _number(numbers[1], rule), access


def _number(text: str, rule: str) -> int | None:
    if text == "*":
        return None
    if not (text.isascii() and text.isdigit()) or int(text) > _MAX_NUMBER:
        raise OSError(errno.EINVAL, f"not a device rule: {rule!r}")
    return int(text)


def _op(code: int, target: int, source: int = 0, offset: int = 0, value: int = 0) -> bytes:
    """Struct bpf_insn; the immediate is the same 32 bits, signed or not."""
    signed = value - (1 << 32) if value >= 1 << 31 else value
    return _INSTRUCTION.pack(code, source << 4 | target, offset, signed)


def _return(value: int) -> list[bytes]:
    return [_op(_MOV64_IMM, _R0, value=value), _op(_EXIT, 0)]
