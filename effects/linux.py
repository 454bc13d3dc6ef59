"""`Host` on the real kernel. LEAN."""

from __future__ import annotations

from effects.linux_cgroups import Cgroups
from effects.linux_files import Files
from effects.linux_processes import Processes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from effects.host import Facts, Host
    from effects.linux_network import Network
else:

    class Network:
        """`effects.linux_network`, loaded with the first call that is of networks: 4 ms that most commands save."""

        def __getattr__(self, name: str) -> Any:
            if name.startswith("_"):
                raise AttributeError(name)
            if "_network" not in self.__dict__:
                from effects.linux_network import Network as OnKernel

                self._network = OnKernel()
            return getattr(self._network, name)

        def close_network(self) -> None:
            if "_network" in self.__dict__:
                self._network.close_network()

        def finish_removals(self) -> None:
            if "_network" in self.__dict__:
                self._network.finish_removals()


class LinuxHost(Files, Cgroups, Processes, Network):
    """The one door to the kernel. One object a process: what it holds dies with it."""

    def __init__(self) -> None:
        Processes.__init__(self)
        self.secrets: dict[str, bytes] = {}

    def spawn_init(self, config: Facts) -> Facts:
        self.finish_removals()  # a clone may have one thread
        return Processes.spawn_init(self, config)

    def run_server(self, name: str, argv: Sequence[str], directory: str, cgroup: str) -> None:
        from effects import cgroup_tree, tools  # rarely: most of what runs is a container

        def enter() -> None:
            cgroup_tree.enter(self, cgroup, cgroup_tree.SERVERS)

        self.finish_removals()  # nor does a fork that is to do more than exec take others' threads well
        tools.run(name, name, argv, tmp=directory, enter=enter)

    def close(self) -> None:
        """Let go of everything, as the end of this process does."""
        Processes.close(self)
        self.close_network()


if TYPE_CHECKING:
    _promise: Callable[[], Host] = LinuxHost
