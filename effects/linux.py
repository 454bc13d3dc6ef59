"""`Host` on the real kernel. LEAN."""

from __future__ import annotations

from effects.linux_cgroups import Cgroups
from effects.linux_files import Files
from effects.linux_processes import Processes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from effects.host import Host


class LinuxHost(Files, Cgroups, Processes):
    """The one door to the kernel. One object a process: what it holds dies with it."""

    def __init__(self) -> None:
        super().__init__()
        self.secrets: dict[str, bytes] = {}


if TYPE_CHECKING:
    _promise: Callable[[], Host] = LinuxHost
