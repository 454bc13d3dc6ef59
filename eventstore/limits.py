"""The caller's `ulimit -f` is meant for what its programs write, not for the engine's journal."""

from __future__ import annotations

import resource


class Lifted:
    """`with Lifted():` no limit on file sizes, as far as the process may: root any, others up to their hard limit.

    Only around one call and put back at once: what the process starts shall have its caller's limits.
    """

    def __enter__(self) -> None:
        self._before = resource.getrlimit(resource.RLIMIT_FSIZE)
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        except (ValueError, OSError):  # not privileged
            hard = self._before[1]
            resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))

    def __exit__(self, *_error: object) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, self._before)
