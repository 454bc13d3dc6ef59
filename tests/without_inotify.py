"""Programs to which the kernel grants no inotify: no instance, or no watch in one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent.parent
LIMITS = ("instances", "watches")  # user.max_inotify_* of a user namespace; namespaces(7), /proc/sys/user
_LACK = 'echo 0 >/proc/sys/user/max_inotify_$0 && exec "$@"'


def program(lacking: str, text: str, *arguments: str | Path) -> subprocess.Popen[bytes]:
    """Python that has the project's modules, in a user namespace that grants none; its stdout is a pipe."""
    private = ["unshare", "--user", "--map-root-user", "sh", "-c", _LACK, lacking]
    return subprocess.Popen(
        [*private, sys.executable, "-c", text, *arguments], cwd=HERE, stdout=subprocess.PIPE
    )
