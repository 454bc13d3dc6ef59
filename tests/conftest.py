"""Settings for all tests: how long hypothesis searches, and repeatable runs where a machine runs them."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest
from hypothesis import settings

# A shared or slow machine is no failure: the suite as a whole is timed, not an example.
settings.register_profile("default", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.register_profile("long", deadline=None, max_examples=5_000)
# A shell that starts us in the background has these ignored, and all our children would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
for ignored in (signal.SIGQUIT, signal.SIGHUP):
    if signal.getsignal(ignored) is signal.SIG_IGN:
        signal.signal(ignored, signal.SIG_DFL)

settings.load_profile("long" if os.environ.get("MYDOCKER_TEST_ALL") else "default")


@pytest.fixture(autouse=True)
def journals_let_go() -> Iterator[None]:
    """Descriptors of files in a test's own directory that it left open, as a killed process would have, are closed.

    Thousands of tests share one process: else select(2) and descriptor numbers of later tests would suffer.
    """
    before = _descriptors()
    yield
    for fd, path in _descriptors().items():
        if before.get(fd) != path and path.startswith("/tmp/pytest-") and "/journal" in path:
            os.close(fd)


def _descriptors() -> dict[int, str]:
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            found[int(name)] = os.readlink(f"/proc/self/fd/{name}")
        except FileNotFoundError:
            continue  # the listing's own
    return found
