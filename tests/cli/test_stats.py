"""`stats`: what containers use, in docker's columns; once, or until none of them runs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator

import pexpect
import pytest

from cli.commands import stats as command
from effects.usage import Usage
from machine import decide
from tests.histories import container_id
from tests.inmates import Inmate, inmate
from tests.written import Written

MIB = 1 << 20


@pytest.fixture
def cat() -> Iterator[Inmate]:
    with inmate("cat", memory=64 * MIB) as held:
        yield held


def usage(**values: int | None) -> Usage:
    """A sample with these values."""
    made = Usage()
    for name, value in values.items():
        setattr(made, name, value)
    return made


def test_one_look_shows_every_running_container(
    past: Written, cat: Inmate, capfd: pytest.CaptureFixture[str]
) -> None:
    past.lives("c1", "a", cat)
    past.born("c2", "b")

    code, lines, err = past.mydocker(capfd, "stats", "--no-stream")

    assert (code, err) == (0, "")
    assert lines[0].split("   ")[0] == "CONTAINER ID"
    (row,) = lines[1:]
    assert row.split()[:2] == [container_id("a")[:12], "c1"]
    assert " / 64MiB " in row
    assert row.split()[-1] == "1"


def test_docker_field_names_serve_in_templates_and_json(
    past: Written, cat: Inmate, capfd: pytest.CaptureFixture[str]
) -> None:
    past.lives("c1", "a", cat)

    code, lines, _ = past.mydocker(capfd, "stats", "--no-stream", "--format", "json", "c1")

    assert code == 0
    shown = json.loads(lines[0])
    assert set(shown) == {
        *("BlockIO", "CPUPerc", "Container", "ID", "MemPerc", "MemUsage", "Name", "NetIO", "PIDs")
    }
    assert shown["Container"] == "c1"
    assert shown["CPUPerc"].endswith("%")
    template = past.mydocker(capfd, "stats", "--no-stream", "--format", "{{.Name}} {{.PIDs}}")[1]
    assert template == ["c1 1"]


def test_a_named_one_that_does_not_run_is_shown_without_numbers_and_ends_the_stream(
    past: Written, capfd: pytest.CaptureFixture[str]
) -> None:
    past.born("c1", "a")

    code, lines, _ = past.mydocker(capfd, "stats", "c1")

    assert code == 0
    assert lines[1].split()[1:] == ["c1", "--", "--", "/", "--", "--", "--", "--", "--"]
    assert len(past.mydocker(capfd, "stats")[1]) == 1
    assert len(past.mydocker(capfd, "stats", "--all")[1]) == 2


def test_an_unknown_name_is_refused(past: Written, capfd: pytest.CaptureFixture[str]) -> None:
    code, lines, err = past.mydocker(capfd, "stats", "none")

    assert (code, lines) == (125, [])
    assert err.startswith("mydocker: no such container: none")


def test_the_hosts_network_is_not_the_containers(
    past: Written, cat: Inmate, capfd: pytest.CaptureFixture[str]
) -> None:
    past.lives("c1", "a", cat, network="host")

    assert past.mydocker(capfd, "stats", "--no-stream", "--format", "{{.NetIO}}")[1] == ["0B / 0B"]


def test_the_stream_ends_with_the_last_container(past: Written, cat: Inmate) -> None:
    past.lives("c1", "a", cat)
    with subprocess.Popen(past.words("stats", "--format", "{{.Name}}"), stdout=subprocess.PIPE) as watch:
        assert watch.stdout is not None
        assert watch.stdout.readline() == b"c1\n"
        cat.end()
        assert set(watch.stdout.read().splitlines()) <= {b"c1"}

    assert watch.returncode == 0


def test_a_container_that_starts_meanwhile_joins_the_stream(past: Written, cat: Inmate) -> None:
    past.lives("c1", "a", cat)
    words = past.words("stats", "--format", "{{.Name}}")
    with inmate("cat") as other, subprocess.Popen(words, stdout=subprocess.PIPE) as watch:
        assert watch.stdout is not None
        assert watch.stdout.readline() == b"c1\n"
        past.lives("c2", "b", other)
        seen = watch.stdout.readline()
        while seen == b"c1\n":
            seen = watch.stdout.readline()
        assert seen == b"c2\n"
        watch.kill()


def test_an_interrupt_ends_it_quietly(past: Written, cat: Inmate) -> None:
    past.lives("c1", "a", cat)
    words = past.words("stats", "--format", "{{.Name}}")
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as watch:
        assert watch.stdout is not None
        assert watch.stderr is not None
        assert watch.stdout.readline() == b"c1\n"
        watch.send_signal(signal.SIGINT)
        assert watch.stderr.read() == b""

    assert watch.returncode == 130


def test_a_terminal_is_rewritten_in_place(past: Written, cat: Inmate) -> None:
    past.lives("c1", "a", cat)
    words = past.words("stats")
    watch = pexpect.spawn(words[0], words[1:], timeout=20, dimensions=(24, 200), env={**os.environ})
    watch.expect_exact("\x1b[HCONTAINER ID")
    watch.expect_exact("\x1b[K\r\n\x1b[J")
    watch.expect_exact("\x1b[HCONTAINER ID")
    watch.sendintr()
    watch.expect(pexpect.EOF)
    watch.close()

    assert watch.exitstatus == 130


def test_a_paused_one_is_shown(past: Written, cat: Inmate, capfd: pytest.CaptureFixture[str]) -> None:
    past.lives("c1", "a", cat)
    past.decide(decide.pause, "c1")

    assert past.mydocker(capfd, "stats", "--no-stream", "--format", "{{.PIDs}}")[1] == ["1"]


def test_what_was_read_of_a_process_that_has_ended_meanwhile_is_dropped(
    past: Written, cat: Inmate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its pid, and with it the network that was read, may be another's by then."""
    container = past.world.containers[past.lives("c1", "a", cat)]
    assert command._sample(container) is not None

    answers = [True, False]
    monkeypatch.setattr(command, "is_live", lambda _: answers.pop(0))

    assert command._sample(container) is None
    assert answers == []


def test_processor_time_is_a_share_of_one_processor_between_two_looks() -> None:
    cells = command._cells(usage(cpu=0, at=0), usage(cpu=3_000_000_000, at=2_000_000_000))

    assert cells["CPUPerc"] == "150.00%"


def test_numbers_are_written_as_docker_writes_them() -> None:
    now = usage(
        memory=5 * MIB, memory_limit=64 * MIB, read=4_260_000, written=0, pids=3, received=1050, sent=0, cpu=1
    )

    assert command._cells(None, now) == {
        "MemUsage": "5MiB / 64MiB",
        "MemPerc": "7.81%",
        "NetIO": "1.05kB / 0B",
        "BlockIO": "4.26MB / 0B",
        "PIDs": "3",
    }


def test_what_no_controller_tells_stays_unknown() -> None:
    assert command._cells(usage(), usage()) == {"NetIO": "0B / 0B"}
