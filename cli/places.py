"""Where an engine keeps its things: the one rule for -r, --run-dir and the environment. LEAN."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_ROOT = "/var/lib/mydocker"


class Places:
    """`root`: what must survive a boot. `run_dir`: links and names, which may vanish at any time; "" if not asked for."""

    __slots__ = ("root", "run_dir")

    def __init__(self, root: str, run_dir: str) -> None:
        self.root, self.run_dir = root, run_dir


def places(root: str | None, run_dir: str | None, environ: Mapping[str, str]) -> Places:
    """What was typed, else MYDOCKER_ROOT and MYDOCKER_RUN_DIR, else the default root; as absolute paths.

    Empty counts as not given, as in a script with an unset variable. Symlinks stay as typed.
    """
    return Places(
        os.path.abspath(root or environ.get("MYDOCKER_ROOT") or DEFAULT_ROOT),
        os.path.abspath(asked) if (asked := run_dir or environ.get("MYDOCKER_RUN_DIR")) else "",
    )
