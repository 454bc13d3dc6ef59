"""How a process gets into its cgroups: born in version 2, by its own hand in version 1. LEAN."""

from __future__ import annotations

import os

from effects.newborn import refused


def open_cgroup(directory: str) -> int:
    """A handle to be born in the version 2 cgroup; -1 for ""."""
    if not directory:
        return -1
    try:
        return os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise refused("cgroup", error) from error


def open_joins(paths: list[str]) -> list[int]:
    """The `tasks` files of the version 1 cgroups, while the host's paths are there."""
    return [os.open(path, os.O_WRONLY | os.O_CLOEXEC) for path in paths]


def join(tasks: list[int]) -> None:
    """Enter by writing 0 to each: a write to cgroup.procs waits 12 ms for all CPUs on a quiet machine."""
    for descriptor in tasks:
        os.write(descriptor, b"0")
        os.close(descriptor)
