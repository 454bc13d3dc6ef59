"""Settings for all tests: how long hypothesis searches, and repeatable runs where a machine runs them."""

from __future__ import annotations

import os

from hypothesis import settings

# A shared or slow machine is no failure: the suite as a whole is timed, not an example.
settings.register_profile("default", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.register_profile("long", deadline=None, max_examples=5_000)
settings.load_profile("long" if os.environ.get("MYDOCKER_TEST_ALL") else "default")
