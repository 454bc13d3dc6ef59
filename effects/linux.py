"""`Host` on the real kernel. LEAN."""

from __future__ import annotations

from effects.linux_cgroups import Cgroups
from effects.linux_files import Files
from effects.linux_network import Network
from effects.linux_processes import Processes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from effects.host import Host


class LinuxHost(Files, Cgroups, Processes, Network):
    """The one door to the kernel. One object a process: what it holds dies with it."""

    def __init__(self) -> None:
        Processes.__init__(self)
        Network.__init__(self)
        self.secrets: dict[str, bytes] = {}

    def close(self) -> None:
        """Let go of everything, as the end of this process does."""
        Processes.close(self)
        self.close_network()


if TYPE_CHECKING:
    _promise: Callable[[], Host] = LinuxHost
