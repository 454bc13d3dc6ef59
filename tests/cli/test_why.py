"""`why NAME`: of the newest bearer of a name, of removed ones, and what only the kernel knows yet."""

from __future__ import annotations

import subprocess

import pytest

from effects.identity import identity
from machine import decide
from tests.histories import container_id, created
from tests.timed import Timed
from tests.written import Written

A = container_id("a")


def why(past: Written, capfd: pytest.CaptureFixture[str], name: str) -> list[str]:
    code, lines, err = past.mydocker(capfd, "why", name)
    assert (code, err) == (0, "")
    return lines


def test_a_removed_container_is_told_of_with_local_times_and_accounts(
    past: Written, capfd: pytest.CaptureFixture[str]
) -> None:
    past.born("c1", "a")
    past.by = {"uid": 7654321, "login": -1, "pid": 1, "cmd": "rm c1"}
    past.removed("c1")
    _, times, _ = past.mydocker(capfd, "history", "--format={{.Time}}", "c1")

    assert why(past, capfd, "c1") == [
        "c1 (aaaaaaaaaaaa) is removed.",
        f"uid 7654321 (`mydocker rm c1`) removed it at {times[-3]}.",
        f"root (login uid 1234567) (`mydocker run --name=c1 busybox sh`) created it from busybox at {times[0]}.",
    ]
    assert why(past, capfd, "aaaa") == why(past, capfd, A) == why(past, capfd, "c1")


def test_a_name_that_was_used_again_means_its_newest_bearer(
    past: Written, capfd: pytest.CaptureFixture[str]
) -> None:
    past.born("c1", "a")
    past.removed("c1")
    past.born("c1", "b")
    assert why(past, capfd, "c1")[0] == "c1 (bbbbbbbbbbbb) was created and has not been started."
    past.removed("c1")

    assert why(past, capfd, "c1")[0] == "c1 (bbbbbbbbbbbb) is removed."


@pytest.mark.parametrize("name", ["nobody", "image/busybox", "host", "", "container/12"])
def test_what_never_was_a_container_is_told_in_one_line(
    name: str, past: Written, capfd: pytest.CaptureFixture[str]
) -> None:
    code, lines, err = past.mydocker(capfd, "why", name)

    assert (code, lines) == (125, [])
    assert err == f"mydocker: no such container: {name} [mydocker ps lists them]\n"


def test_an_end_that_only_the_kernel_knows_is_told(past: Written, capfd: pytest.CaptureFixture[str]) -> None:
    past.born("c1", "a")
    past.decide(decide.start, "c1")
    with subprocess.Popen(["sleep", "100"]) as process:
        init = {**(identity(process.pid) or {}), "mounts": []}
        past.settle(f"container/{A}", lambda step: init if step.kind == "init" else {})
        assert not any("kernel" in line for line in why(past, capfd, "c1"))
        process.kill()

    assert why(past, capfd, "c1")[1] == (
        f"But the kernel has no process {init['pid']} of it any more, and no monitor has noted its end: "
        "`mydocker replay` puts that right."
    )


@pytest.mark.parametrize("auto_remove", [False, True])
def test_a_reboot_that_no_command_has_noted_is_told_and_not_noted(
    past: Written,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    *,
    auto_remove: bool,
) -> None:
    past.born("c1", "a", auto_remove=auto_remove)
    past.decide(decide.start, "c1")
    past.settle(f"container/{A}")
    monkeypatch.setattr("effects.identity.boot_id", lambda: "another boot")
    before = len(past.mydocker(capfd, "events")[1])

    lines = why(past, capfd, A)

    assert (
        lines[0]
        == f"c1 (aaaaaaaaaaaa) {'is being removed: its name is free, what it held is being undone' if auto_remove else 'has ended'}."
    )
    assert lines[1].startswith("The machine went down while it ran; no command has noted that yet. ")
    assert len(past.mydocker(capfd, "events")[1]) == before
    assert past.mydocker(capfd, "ps", "-q")[0] == 0


def test_escapes_are_shown_and_never_sent(past: Written, capfd: pytest.CaptureFixture[str]) -> None:
    nasty = created("c1", "a")
    nasty.image = "x\x1b[2J"
    past.decide(decide.create, nasty)

    assert any("from x\\x1b[2J at" in line for line in why(past, capfd, "c1"))


def test_a_life_in_another_year_is_told_by_its_clock(
    tmp_path: object, capfd: pytest.CaptureFixture[str]
) -> None:
    from pathlib import Path

    assert isinstance(tmp_path, Path)
    past = Timed(tmp_path)
    past.born("c1", "a")
    past.clock.at(3600 * 50)
    past.decide(decide.start, "c1")
    past.settle(f"container/{A}")

    assert why(past, capfd, "c1")[0].startswith("c1 (aaaaaaaaaaaa) runs since 2025-06-17 ")
