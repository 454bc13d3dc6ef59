"""System calls on processes: birth, identity, rights, signals. One function per call. LEAN."""

from __future__ import annotations

import errno
import fcntl
import os

from effects.libc import (
    Structure,
    addressof,
    byref,
    c_char,
    c_char_p,
    c_int,
    c_uint32,
    c_uint64,
    call,
    python_call,
    sizeof,
)

CLONE_VM, CLONE_PIDFD, CLONE_PARENT = 0x100, 0x1000, 0x8000
CLONE_NEWTIME = 0x80
CLONE_NEWNS, CLONE_NEWCGROUP, CLONE_NEWUTS = 0x20000, 0x2000000, 0x4000000
CLONE_NEWIPC, CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = 0x8000000, 0x10000000, 0x20000000, 0x40000000
CLONE_CLEAR_SIGHAND, CLONE_INTO_CGROUP = 0x100000000, 0x200000000

P_PIDFD = 3
SIGKILL = 9
PR_SET_PDEATHSIG, PR_GET_DUMPABLE, PR_SET_DUMPABLE, PR_SET_KEEPCAPS = 1, 3, 4, 8
PR_SET_NAME, PR_CAPBSET_READ, PR_CAPBSET_DROP, PR_SET_SECUREBITS = 15, 23, 24, 28
PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS, PR_GET_NO_NEW_PRIVS, PR_CAP_AMBIENT = 36, 38, 39, 47
PR_CAP_AMBIENT_CLEAR_ALL = 4

RLIM_NLIMITS = 16  # asm-generic/resource.h
CLOSE_RANGE_UNSHARE, CLOSE_RANGE_CLOEXEC = 2, 4
KEYCTL_JOIN_SESSION_KEYRING = 1
_PATH_MAX = 4096
_LINUX_CAPABILITY_VERSION_3 = 0x20080522

PIDFD_GET_INFO = 0xC040FF0B  # _IOWR(PIDFS_IOCTL_MAGIC 0xFF, 11, 64 bytes)
PIDFD_INFO_EXIT = 1 << 3

BPF_PROG_LOAD, BPF_PROG_ATTACH = 5, 8
_SIGSET = 8  # bytes of the kernel's sigset_t
_BPF_INSN = 8  # bytes of one struct bpf_insn
BPF_PROG_TYPE_CGROUP_DEVICE, BPF_CGROUP_DEVICE = 15, 6
BPF_F_ALLOW_MULTI = 2


class clone_args(Structure):  # noqa: N801 - the kernel's name
    _fields_ = (
        ("flags", c_uint64),
        ("pidfd", c_uint64),
        ("child_tid", c_uint64),
        ("parent_tid", c_uint64),
        ("exit_signal", c_uint64),
        ("stack", c_uint64),
        ("stack_size", c_uint64),
        ("tls", c_uint64),
        ("set_tid", c_uint64),
        ("set_tid_size", c_uint64),
        ("cgroup", c_uint64),
    )


class pidfd_info(Structure):  # noqa: N801 - the kernel's name; its first published size
    _fields_ = (
        ("mask", c_uint64),
        ("cgroupid", c_uint64),
        *((name, c_uint32) for name in ("pid", "tgid", "ppid", "ruid", "rgid", "euid")),
        *((name, c_uint32) for name in ("egid", "suid", "sgid", "fsuid", "fsgid")),
        ("exit_code", c_int),
    )


class cap_user_header(Structure):  # noqa: N801 - the kernel's name
    _fields_ = (("version", c_uint32), ("pid", c_int))


class cap_user_data(Structure):  # noqa: N801 - the kernel's name; both halves of 64 capabilities
    _fields_ = tuple(
        (f"{kind}{half}", c_uint32) for half in (0, 1) for kind in ("effective", "permitted", "inheritable")
    )


class kernel_sigaction(Structure):  # noqa: N801 - the kernel's name
    _fields_ = (("handler", c_uint64), ("flags", c_uint64), ("restorer", c_uint64), ("mask", c_uint64))


class rlimit64(Structure):  # noqa: N801 - the kernel's name
    _fields_ = (("rlim_cur", c_uint64), ("rlim_max", c_uint64))


class bpf_attr_load(Structure):  # noqa: N801 - of the kernel's union bpf_attr, the head that BPF_PROG_LOAD needs
    _fields_ = (
        ("prog_type", c_uint32),
        ("insn_cnt", c_uint32),
        ("insns", c_char_p),
        ("license", c_char_p),
    )


class bpf_attr_attach(Structure):  # noqa: N801 - the same for BPF_PROG_ATTACH
    _fields_ = (
        ("target_fd", c_uint32),
        ("attach_bpf_fd", c_uint32),
        ("attach_type", c_uint32),
        ("attach_flags", c_uint32),
    )


def unshare(flags: int) -> None:
    call("unshare", flags)


def setns(descriptor: int, flags: int) -> None:
    """Join the namespaces of `descriptor`: one namespace's file, or a pidfd and several CLONE_NEW*."""
    call("setns", descriptor, flags)


def clone3(flags: int, *, exit_signal: int, cgroup: int = -1) -> tuple[int, int]:
    """(pid, pidfd) in the parent, (0, -1) in the child; `cgroup` is a v2 directory to be born in.

    Only for a single-threaded process. Never with CLONE_VM: the child goes on as this interpreter.
    """
    assert not flags & CLONE_VM
    pidfd = c_int(-1)
    arguments = clone_args(flags=flags | CLONE_PIDFD, exit_signal=exit_signal)
    arguments.pidfd = addressof(pidfd)
    if cgroup >= 0:
        arguments.flags |= CLONE_INTO_CGROUP
        arguments.cgroup = cgroup
    # What os.fork does around fork(2): the import lock, and in the child the interpreter's own locks.
    python_call("PyOS_BeforeFork")
    try:
        pid = call("clone3", byref(arguments), sizeof(arguments))
    except OSError:
        python_call("PyOS_AfterFork_Parent")
        raise
    if pid == 0:
        python_call("PyOS_AfterFork_Child")
        return 0, -1
    python_call("PyOS_AfterFork_Parent")
    return pid, pidfd.value


def pidfd_open(pid: int) -> int:
    return os.pidfd_open(pid)


def pidfd_send_signal(pidfd: int, signal: int) -> None:
    call("pidfd_send_signal", pidfd, signal, None, 0)


def signal_default(signal: int) -> None:
    """SIG_DFL for one of the signals that libc does not let us touch, as its caller may have left it ignored."""
    action = kernel_sigaction()  # SIG_DFL, no flags, no mask: all zeroes, on every machine
    call("rt_sigaction", signal, byref(action), None, _SIGSET)


def pidfd_exit_status(pidfd: int) -> int | None:
    """The wait status of the reaped process, where this kernel (6.15 or newer) still knows it."""
    info = pidfd_info(mask=PIDFD_INFO_EXIT)
    try:
        fcntl.ioctl(pidfd, PIDFD_GET_INFO, info)
    except OSError as error:
        # ESRCH: reaped, and nothing kept. EINVAL and ENOTTY: a kernel before 6.15, before 6.13.
        if error.errno in {errno.ESRCH, errno.EINVAL, errno.ENOTTY}:
            return None
        raise
    return int(info.exit_code) if info.mask & PIDFD_INFO_EXIT else None


def prctl(option: int, value: int = 0, value3: int = 0) -> int:
    return call("prctl", option, value, value3, 0, 0)


def getcwd() -> bytes:
    """As the kernel tells it: libc's own function hides an "(unreachable)" path behind other answers."""
    buffer = (c_char * _PATH_MAX)()
    length = call("getcwd", byref(buffer), _PATH_MAX)
    return bytes(buffer[: length - 1])


def set_name(name: str) -> None:
    """What `ps` shows as the command: at most 15 bytes of `name` (PR_SET_NAME)."""
    with open("/proc/self/comm", "wb", buffering=0) as comm:
        comm.write(os.fsencode(name)[:15])


def prlimit(pid: int, resource: int, limits: tuple[int, int] | None = None) -> tuple[int, int]:
    """The (soft, hard) limits that the process has, or had before these new ones. pid 0: we ourselves."""
    new, old = rlimit64(*(limits or ())), rlimit64()
    call("prlimit64", pid, resource, byref(new) if limits else None, byref(old))
    return old.rlim_cur, old.rlim_max


def capget() -> tuple[int, int, int]:
    """Our own (effective, permitted, inheritable) capabilities, as masks."""
    header, data = cap_user_header(_LINUX_CAPABILITY_VERSION_3, 0), cap_user_data()
    call("capget", byref(header), byref(data))
    return (
        data.effective0 | data.effective1 << 32,
        data.permitted0 | data.permitted1 << 32,
        data.inheritable0 | data.inheritable1 << 32,
    )


def capset(effective: int, permitted: int, inheritable: int) -> None:
    header = cap_user_header(_LINUX_CAPABILITY_VERSION_3, 0)
    masks = (effective, permitted, inheritable)
    data = cap_user_data(*[mask & 0xFFFFFFFF for mask in masks], *[mask >> 32 for mask in masks])
    call("capset", byref(header), byref(data))


def capbset_drop(capability: int) -> None:
    prctl(PR_CAPBSET_DROP, capability)


def close_range(first: int, last: int = 0xFFFFFFFF, flags: int = 0) -> None:
    call("close_range", first, last, flags)


def keyctl_join_session_keyring(name: str | None) -> int:
    """Leave the caller's session keyring for a new one; its serial number."""
    return call("keyctl", KEYCTL_JOIN_SESSION_KEYRING, None if name is None else name.encode(), 0, 0, 0)


def sethostname(name: str) -> None:
    encoded = os.fsencode(name)
    call("sethostname", encoded, len(encoded), path=name)


def bpf_prog_load(kind: int, program: bytes, licence: str) -> int:
    """A descriptor of `program`, packed struct bpf_insn, in the kernel; EINVAL, EACCES if its verifier refuses."""
    # No log: the verifier's report would cost more than all the rest.
    attributes = bpf_attr_load(kind, len(program) // _BPF_INSN, program, licence.encode())
    return call("bpf", BPF_PROG_LOAD, byref(attributes), sizeof(attributes))


def bpf_prog_attach(program: int, cgroup: int, kind: int, flags: int) -> None:
    attributes = bpf_attr_attach(cgroup, program, kind, flags)
    call("bpf", BPF_PROG_ATTACH, byref(attributes), sizeof(attributes))
