"""Before a run directory becomes that of a boot: nothing lives in another one, and all that will lie in it can be made."""

from __future__ import annotations

import os

from eventstore.obstacle import obstacle
from machine import decide_host, home
from machine.errors import UnfitRunDir

TYPE_CHECKING = False
if TYPE_CHECKING:
    from machine.home import Here
    from machine.world import World

PATH_MAX = 4096  # bytes of a path with its NUL (limits.h)
_BELOW = 160  # bytes of the longest path in it: ROOT ID/dns/NETWORK/.CONTAINER.asks.new
# What `replay` finds in these, and the journal does not know, is removed; and nothing else is expected there.
_OURS = ("containers", "journal", "layers", "locks", "mnt", "staging")


def prepare(root: str, world: World, here: Here, *, moved: bool) -> None:
    """Make it. OtherRunDir, unless the root has `moved`; UnfitRunDir."""
    if not moved:
        decide_host.refuse_other_run_dir(world, here)
    run = home.run_dir(world.host, here)
    real, top = os.path.realpath(run), os.path.realpath(root)
    for name in _OURS:
        if f"{real}/".startswith(f"{top}/{name}/"):
            raise UnfitRunDir(run, f"{top}/{name} is the engine's own [name another one]")
    if len(os.fsencode(run)) + _BELOW >= PATH_MAX:
        raise UnfitRunDir(f"{run[:40]}...", f"its path is longer than {PATH_MAX - _BELOW - 1} bytes")
    try:
        os.makedirs(run, 0o700, exist_ok=True)
    except OSError as error:
        where, what = obstacle(run)
        why = f"{where} is {what}, or name another one]" if what else os.strerror(error.errno or 0)
        raise UnfitRunDir(run, why) from error
    if not os.access(run, os.W_OK | os.X_OK):
        raise UnfitRunDir(run, "nothing can be written there [name another one, or mount it writable]")
