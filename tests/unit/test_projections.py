"""What people are shown of a container."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from effects import last_stage
from machine import projections
from machine.subjects import Container


def container(**state: Any) -> Container:
    c = Container("c" * 64)
    for key, value in state.items():
        setattr(c, key, value)
    return c


def test_the_engine_and_the_joiner_agree_on_what_a_failed_start_ends_with() -> None:
    steps = (*last_stage.NOT_INVOKED, "overlay", "clone", "cgroup memory")
    for step, errno in itertools.product(steps, range(1, 133)):
        assert projections.failure_code({"step": step, "errno": errno}) == last_stage.exit_code(step, errno)


@pytest.mark.parametrize(
    ("state", "shown", "code"),
    [
        ({"status": "created"}, "created", 0),
        ({"status": "exited", "exit": {"code": 0, "reason": "exit"}}, "exited (0)", 0),
        ({"status": "exited", "exit": {"code": 3, "reason": "exit"}}, "exited (3)", 3),
        ({"status": "exited", "exit": {"code": 137, "reason": "oom"}}, "exited (137, oom)", 137),
        (
            {"status": "exited", "exit": {"code": None, "reason": "lost: reboot"}},
            "exited (255, lost: reboot)",
            255,
        ),
        (
            {"status": "exited", "exit": {"code": 143, "reason": "signal"}, "stopped_by_user": True},
            "stopped",
            143,
        ),
        ({"status": "failed", "error": {"step": "exec", "errno": 2, "message": "x"}}, "failed (127)", 127),
        ({"status": "failed", "error": {"step": "overlay", "errno": 2, "message": "x"}}, "failed (125)", 125),
    ],
)
def test_the_status_tells_how_it_ended(state: dict[str, Any], shown: str, code: int) -> None:
    c = container(**state)

    assert (projections.long_status(c), projections.exit_code(c)) == (shown, code)


def test_an_unknown_exit_is_never_zero() -> None:
    assert (
        projections.exit_code(container(status="exited", exit={"code": None, "reason": "lost: monitor"})) != 0
    )
