"""`info` and `version`: what this engine has, and what it stands on."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from cli import __version__
from cli.commands import info as command
from cli.main import main
from effects import hostinfo
from machine import decide
from machine import events as ev
from tests.inmates import inmate
from tests.written import Written


def shown(past: Written, capfd: pytest.CaptureFixture[str]) -> dict[str, Any]:
    code, lines, err = past.mydocker(capfd, "info", "--format", "json")
    assert (code, err) == (0, "")
    return dict(json.loads(lines[0]))


def test_the_journal_and_the_containers_are_counted(past: Written, capfd: pytest.CaptureFixture[str]) -> None:
    past.born("c1", "a")
    past.born("c2", "b")
    past.removed("c2")
    past.note("image/busybox", ev.ImagePublished(name="busybox", layers=["1"], source={}))
    with inmate("cat") as held:
        past.lives("c3", "c", held)
        found = shown(past, capfd)
        assert found["ContainerStates"]["running"] == 1

    assert found["Root"] == past.root
    assert found["RunDir"] == past.run
    assert found["RootId"] == past.journal.root_id
    size = sum(path.stat().st_size for path in Path(past.root, "journal").glob("*.jsonl"))
    assert found["Journal"] == {
        "Events": past.journal.cursor.n,
        "Segments": 1,
        "Archived": 0,
        "Bytes": size,
        "Schema": ev.SCHEMA.number,
    }
    assert found["Containers"] == 2
    assert found["ContainerStates"]["created"] == 1
    assert found["Images"] == 1
    assert found["Version"] == __version__
    assert shown(past, capfd)["ContainerStates"]["exited"] == 1  # its end is the kernel's word


def test_a_paused_and_a_stopped_one_are_told_apart(past: Written, capfd: pytest.CaptureFixture[str]) -> None:
    with inmate("cat") as held:
        stopped = past.lives("c1", "a", held)
        past.decide(decide.stop, "c1")
        past.decide(decide.note_exit, stopped, code=143)
        past.lives("c2", "b", held)
        past.decide(decide.pause, "c2")
        states = shown(past, capfd)["ContainerStates"]

    assert (states["stopped"], states["paused"], states["exited"]) == (1, 1, 0)


def test_events_are_counted_up_to_the_last_whole_line(past: Written) -> None:
    past.born("c1", "a")
    directory = f"{past.root}/journal"
    (segment,) = Path(directory).glob("*.jsonl")
    with segment.open("ab") as file:
        file.write(b'{"t":"torn","n":99')

    assert command.last_number(directory, [1]) == past.journal.cursor.n
    with segment.open("ab") as file:
        file.write(b"\xff\n")
    assert command.last_number(directory, [1]) == past.journal.cursor.n


def test_info_is_for_people_too_and_a_template_names_its_fields(
    past: Written, capfd: pytest.CaptureFixture[str]
) -> None:
    code, lines, _ = past.mydocker(capfd, "info")

    assert code == 0
    assert f"RootId:          {past.journal.root_id}" in lines
    assert "Journal:" in lines
    assert any(line.startswith("  Events: ") for line in lines)
    assert past.mydocker(capfd, "info", "-f", "{{.Journal.Segments}}")[1] == ["1"]
    assert past.mydocker(capfd, "info", "-f", "{{.Nothing}}")[0] == 2


def test_without_a_root_nothing_is_there_and_nothing_is_made(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["--root", str(tmp_path / "none"), "info", "--format", "json"]) == 0
    found = json.loads(capfd.readouterr().out)

    assert found["Journal"]["Events"] == found["Containers"] == 0
    assert os.listdir(tmp_path) == []


def test_every_controller_is_told_with_its_version_and_mount() -> None:
    found = hostinfo.controllers()
    with open("/proc/self/cgroup") as file:
        mine = {name.removeprefix("name=") for line in file for name in line.split(":")[1].split(",") if name}

    assert mine <= set(found)
    for place in found.values():
        version, _, path = place.partition(" ")
        assert version in ("v1", "v2")
        assert os.path.exists(f"{path}/cgroup.procs")


def test_the_system_is_named_by_os_release(tmp_path: Path) -> None:
    release = tmp_path / "os-release"
    release.write_text('NAME=x\nPRETTY_NAME="A System 1"\n')

    assert hostinfo.operating_system(str(release)) == "A System 1"
    release.write_text("NAME=x\n")
    assert hostinfo.operating_system(str(release)) == "Linux"
    assert hostinfo.operating_system(str(tmp_path / "none")) == "Linux"


def test_version_needs_neither_root_nor_a_root_directory(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)

    assert main(["--root", str(tmp_path / "none"), "version"]) == 0
    lines = capfd.readouterr().out.splitlines()
    assert lines[0] == f"Version:       {__version__}"
    assert f"JournalSchema: {ev.SCHEMA.number}" in lines
    assert main(["version", "--format", "{{.Python}} {{.Kernel}}"]) == 0
    assert capfd.readouterr().out.strip().endswith(f"Linux {os.uname().release}")
    assert main(["info"]) == 125
    assert os.listdir(tmp_path) == []
