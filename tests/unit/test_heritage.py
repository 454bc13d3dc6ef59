"""What a later process of a container takes over from the first one, and what not."""

from __future__ import annotations

import os
import resource
import subprocess

import pytest

from effects import heritage, syscalls


def test_the_limits_in_proc_are_the_kernels() -> None:
    expected = [syscalls.prlimit(0, number) for number in range(syscalls.RLIM_NLIMITS)]

    assert heritage.limits_of(os.getpid()) == expected


@pytest.mark.root
def test_the_limits_of_another_users_process_can_be_read() -> None:
    with subprocess.Popen(["sleep", "60"], user=65534, group=65534) as other:
        found = heritage.limits_of(other.pid)
        other.kill()

    assert found[resource.RLIMIT_NOFILE] == resource.getrlimit(resource.RLIMIT_NOFILE)
