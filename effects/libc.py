"""One typed way to syscall(2), errno and path kept. LEAN."""

from __future__ import annotations

import os

# `_ctypes`, not `ctypes`: the latter's Python half costs every command 2 to 3 ms at start-up, and all
# it would give us here are the dozen lines below.
from _ctypes import (
    FUNCFLAG_CDECL,
    FUNCFLAG_PYTHONAPI,
    FUNCFLAG_USE_ERRNO,
    CFuncPtr,
    Structure,
    _SimpleCData,
    addressof,
    byref,
    dlopen,
    dlsym,
    get_errno,
    sizeof,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    _Simple = _SimpleCData[Any]
else:
    _Simple = _SimpleCData

__all__ = [
    "Structure",
    "addressof",
    "byref",
    "c_char",
    "c_char_p",
    "c_int",
    "c_uint32",
    "c_uint64",
    "call",
    "python_call",
    "sizeof",
]


class c_char(_Simple):  # noqa: N801 - C's own names
    _type_ = "c"


class c_int(_Simple):  # noqa: N801
    _type_ = "i"


class c_long(_Simple):  # noqa: N801
    _type_ = "l"


class c_uint32(_Simple):  # noqa: N801
    _type_ = "I"


class c_uint64(_Simple):  # noqa: N801 - a C `long` has 64 bits on both machines we know
    _type_ = "L"


class c_char_p(_Simple):  # noqa: N801
    _type_ = "z"


class c_void_p(_Simple):  # noqa: N801
    _type_ = "P"


class _Function(CFuncPtr):
    _flags_ = FUNCFLAG_CDECL | FUNCFLAG_USE_ERRNO
    _restype_ = c_long


class _PythonFunction(CFuncPtr):
    """A function called with the interpreter's lock held, as a clone must be."""

    _flags_ = FUNCFLAG_CDECL | FUNCFLAG_USE_ERRNO | FUNCFLAG_PYTHONAPI
    _restype_ = c_long


_PROCESS = dlopen(None, 0)  # type: ignore[arg-type]  # None is the program itself: dlopen(3)
_SYSCALL = dlsym(_PROCESS, "syscall")

# The name in the kernel's tables; its number on x86_64 and on aarch64; its arguments:
# i a number, s bytes or None, p a pointer (byref(...), an address or None).
_TABLE = (
    ("mount", 165, 40, "sssis"),
    ("umount2", 166, 39, "si"),
    ("pivot_root", 155, 41, "ss"),
    ("openat2", 437, 437, "ispi"),
    ("open_tree", 428, 428, "isi"),
    ("move_mount", 429, 429, "isisi"),
    ("fsopen", 430, 430, "si"),
    ("fsconfig", 431, 431, "iissi"),
    ("fsmount", 432, 432, "iii"),
    ("mount_setattr", 442, 442, "isipi"),
    ("renameat2", 316, 276, "isisi"),
    ("syncfs", 306, 267, "i"),
    ("fstatfs", 138, 44, "ip"),
    ("fallocate", 285, 47, "iiii"),
    ("unshare", 272, 97, "i"),
    ("setns", 308, 268, "ii"),
    ("clone3", 435, 435, "pi"),
    ("rt_sigaction", 13, 134, "ippi"),
    ("pidfd_send_signal", 424, 424, "iipi"),
    ("getcwd", 79, 17, "pi"),
    ("prctl", 157, 167, "iiiii"),
    ("prlimit64", 302, 261, "iipp"),
    ("capget", 125, 90, "pp"),
    ("capset", 126, 91, "pp"),
    ("close_range", 436, 436, "iii"),
    ("keyctl", 250, 219, "isiii"),
    ("sethostname", 170, 161, "si"),
    ("bpf", 321, 280, "ipi"),
)
_TYPES = {"i": c_long, "s": c_char_p, "p": c_void_p}
_MACHINES = {"x86_64": 1, "aarch64": 2}


def _bound() -> dict[str, tuple[Callable[..., int], int]]:
    """Each call's function, with argtypes for its own arguments, and its number on this machine."""
    machine = os.uname().machine
    if machine not in _MACHINES:
        raise ImportError(f"mydocker knows the system calls of {', '.join(_MACHINES)}, not of {machine}")
    bound: dict[str, tuple[Callable[..., int], int]] = {}
    for row in _TABLE:
        function = (_PythonFunction if row[0] == "clone3" else _Function)(_SYSCALL)
        function.argtypes = (c_long, *[_TYPES[letter] for letter in row[3]])
        number = row[_MACHINES[machine]]
        assert isinstance(number, int)
        bound[row[0]] = (function, number)
    return bound


_CALLS = _bound()


def call(name: str, *arguments: object, path: str | bytes | None = None) -> int:
    """The system call's result; OSError with the kernel's errno and `path` where it failed."""
    function, number = _CALLS[name]
    result = function(number, *arguments)
    if result < 0:
        code = get_errno()
        raise OSError(code, os.strerror(code), path)
    return result


def python_call(name: str) -> None:
    """Call the interpreter's own C function `name`, of the form `void f(void)`."""
    function = _PythonFunction(dlsym(_PROCESS, name))
    function()
