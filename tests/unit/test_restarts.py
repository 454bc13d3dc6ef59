"""Restart policies: who is started again, when, and who never."""

from __future__ import annotations

from typing import Any

import pytest

from machine import restarts
from machine.events import ContainerExited
from machine.subjects import Container

SECOND = 1_000_000_000


def after(policy: str, code: int | None, *, most: int = 0, lasted: int = 0, **state: Any) -> int | None:
    """The delay in ns, None for no restart."""
    c = Container("c" * 64)
    c.settings = {"restart": {"policy": policy, "max": most}}
    c.started_up = SECOND
    for key, value in state.items():
        setattr(c, key, value)
    found = restarts.after_exit(c, ContainerExited(code=code, up_at=SECOND + lasted))
    return None if found is None else found.delay


@pytest.mark.parametrize(
    ("policy", "code", "again"),
    [
        ("no", 1, False),
        ("always", 0, True),
        ("unless-stopped", 0, True),
        ("on-failure", 0, False),
        ("on-failure", 1, True),
        ("on-failure", None, True),  # an exit that nobody could learn counts as a failure
    ],
)
def test_the_policy_says_who_is_started_again(policy: str, code: int | None, again: bool) -> None:
    assert (after(policy, code) is not None) == again


def test_what_a_user_told_to_end_stays_ended() -> None:
    assert after("always", 0, told_to_end=True) is None


def test_on_failure_stops_after_its_count() -> None:
    assert after("on-failure", 1, most=3, restarts=2) is not None
    assert after("on-failure", 1, most=3, restarts=3) is None


def test_the_wait_doubles_to_a_minute_and_begins_anew_after_ten_good_seconds() -> None:
    delays, backoff = [], 0
    for _ in range(12):
        backoff = after("always", 1, backoff=backoff) or 0
        delays.append(backoff)

    assert delays[:4] == [100_000_000, 200_000_000, 400_000_000, 800_000_000]
    assert max(delays) == delays[-1] == 60 * SECOND
    assert after("always", 1, backoff=60 * SECOND, lasted=10 * SECOND) == 100_000_000


def test_after_a_boot_only_always_forgets_that_a_user_stopped_it() -> None:
    for policy, again in (("always", True), ("unless-stopped", False), ("on-failure", False), ("no", False)):
        c = Container("c" * 64)
        c.settings = {"restart": {"policy": policy, "max": 0}}
        c.status, c.told_to_end, c.exit = "exited", True, {"code": 143}
        assert (restarts.after_boot(c) is not None) == again
