"""The monitor's ends of its container's stdio, opened for a new container or for one taken over. LEAN."""

from __future__ import annotations

from effects.stdio import Stdio

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cli.succession import Heirloom
    from effects.linux import LinuxHost
    from machine.subjects import Container


def open_stdio(
    host: LinuxHost, container: Container, directory: str, *, adopted: bool, left: Heirloom | None = None
) -> Stdio | None:
    """A terminal's master, or the FIFOs in the container's directory; None where its terminal died with its monitor.

    `left`: by the code that this monitor ran before.
    """
    log = container.setting("log")
    sizes = {"max_size": log["max_size"], "keep": log["keep"]}
    if container.setting("tty"):
        master = host.take_pty(container.id) if left is None else left[1][0]
        if master is None:
            return None
        over = Stdio.over_pty(f"{directory}/log", master, **sizes)
        if left is not None:
            over.inherit(*left)
        return over
    stdin = container.setting("stdin") and not adopted
    stdio = Stdio.over_fifos(
        f"{directory}/log", f"{directory}/stdout", f"{directory}/stderr", stdin=stdin, **sizes
    )
    if left is not None:
        stdio.inherit(*left)
    host.stdin = stdio.stdin_reader
    return stdio
