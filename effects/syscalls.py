"""The narrow door to the kernel: every system call that the standard library lacks. LEAN.

Constants and structs in the kernel's spelling; a failed call is an OSError with errno and path.
The standard library has the rest: os.pidfd_open, os.waitid, os.splice, os.mknod, fcntl.ioctl, ...
"""

from __future__ import annotations

from effects.syscalls_mount import *  # noqa: F403 - this module is the sum of its two halves
from effects.syscalls_process import *  # noqa: F403
