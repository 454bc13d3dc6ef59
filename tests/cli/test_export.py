"""`export`: a container's files as one tar, running and stopped; of what is mounted in it only the place."""

from __future__ import annotations

import io
import json
import os
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pexpect
import pytest

from cli.main import main
from effects.locks import Locks
from machine import decide
from tests.boxed import Boxed, boxed, mounts
from tests.histories import container_id, created
from tests.written import Written

SCRIPT = "echo new > /tmp/new; rm /etc/group; ln -s /etc/passwd /link; echo secret > /volume/file; echo ready; exec sleep 1000"


@contextmanager
def written(past: Written, tmp_path: Path) -> Iterator[Boxed]:
    """It has run SCRIPT, with a volume, and runs on; its settler lives."""
    (tmp_path / "host").mkdir()
    volumes = [{"source": str(tmp_path / "host"), "target": "/volume", "ro": False}]
    lock = Locks(past.root).take(container_id("a"))
    assert lock is not None
    try:
        with boxed(past, volumes=volumes) as container:
            container.start(SCRIPT)
            yield container
    finally:
        os.close(lock)


def export(past: Written, *args: str) -> tuple[int, bytes]:
    """(exit code, what it writes to standard output) in a process of its own."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.dup2(writer, 1)
        os.close(reader)
        os.close(writer)
        os._exit(main(["--root", past.root, "--run-dir", past.run, "export", *args]))
    os.close(writer)
    with open(reader, "rb") as pipe:
        data = pipe.read()
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), data


def check(data: bytes) -> None:
    """The tar of what SCRIPT left."""
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        names = {member.name.removeprefix("./"): member for member in tar.getmembers()}
        assert names["tmp/new"].size == 4
        assert names["link"].linkname == "/etc/passwd"
        assert "etc/group" not in names
        assert "bin/busybox" in names
        assert names["volume"].isdir()
        assert "volume/file" not in names
        assert names["proc"].isdir()
        assert not any(name.startswith(("proc/", "sys/", "dev/")) for name in names)
        assert names["etc/hosts"].size == 0


def jobs(past: Written) -> list[str]:
    """Tags and results of the jobs in the journal."""
    found = []
    for path in sorted(Path(past.root, "journal").glob("*.jsonl")):
        for line in path.read_text().splitlines():
            event = json.loads(line)
            if event["t"].startswith("job."):
                found.append(
                    f"{event['t']} {event.get('result') or event.get('reason') or event.get('target')}"
                )
    return found


def test_a_running_container_is_exported_without_its_mounts_and_goes_on(
    past: Written, tmp_path: Path
) -> None:
    with written(past, tmp_path) as container:
        before = mounts()
        code, data = export(past, "c1")

        assert code == 0
        check(data)
        assert mounts() == before
        assert past.world.containers[container_id("a")].status == "running"
        with tarfile.open(fileobj=io.BytesIO(data)) as tar:
            entries = len(tar.getmembers())
        assert jobs(past) == ["job.started -", f"job.finished {entries} entries, {len(data)} bytes"]
        assert os.listdir(f"{past.root}/staging") == []
        assert (container.upper / "tmp/new").exists()


def test_a_stopped_container_gives_the_same_tar(past: Written, tmp_path: Path) -> None:
    with written(past, tmp_path) as container:
        running = export(past, "c1")[1]
        container.stop()
    code, data = export(past, "-o", "-", "c1")

    assert code == 0
    check(data)
    assert data == running


def test_a_file_appears_whole(past: Written, tmp_path: Path) -> None:
    with written(past, tmp_path) as container:
        container.stop()
    target = tmp_path / "out/c1.tar"
    target.parent.mkdir()
    target.write_text("old")

    code, output = export(past, "-o", str(target), "c1")

    assert (code, output) == (0, b"")
    check(target.read_bytes())
    assert os.listdir(target.parent) == ["c1.tar"]
    assert target.stat().st_mode & 0o777 == 0o600


def test_what_cannot_be_written_leaves_the_old_file_and_an_abandoned_job(
    past: Written, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with written(past, tmp_path) as container:
        container.stop()

    code, _, err = past.mydocker(capfd, "export", "-o", str(tmp_path / "none/c1.tar"), "c1")

    assert code == 125
    assert err.count("\n") == 1
    assert [line.partition(" ")[0] for line in jobs(past)] == ["job.started", "job.abandoned"]
    assert os.listdir(f"{past.root}/staging") == []


def test_a_removal_meanwhile_is_told_and_no_half_file_appears(
    past: Written, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from effects import archive

    really = archive.pack
    with written(past, tmp_path) as container:

        def pack(view: int, out: int, **more: object) -> archive.Packed:
            container.place.rename(container.place.parent / ".removing")
            return really(view, out, **more)  # type: ignore[arg-type]  # the same as it was given

        monkeypatch.setattr(archive, "pack", pack)
        code, _, err = past.mydocker(capfd, "export", "-o", str(tmp_path / "c1.tar"), "c1")
        (container.place.parent / ".removing").rename(container.place)

    assert code == 125
    assert err == "mydocker: cannot export c1: it was removed meanwhile\n"
    assert not (tmp_path / "c1.tar").exists()


def test_a_terminal_is_refused_before_anything_is_recorded(past: Written, tmp_path: Path) -> None:
    past.born("c1", "a")
    words = past.words("export", "c1")
    terminal = pexpect.spawn(words[0], words[1:], timeout=20, encoding="utf-8")
    terminal.expect(pexpect.EOF)
    terminal.close()

    assert terminal.exitstatus == 125
    assert (
        terminal.before == "mydocker: refusing to write a tar to a terminal [use -o FILE, or redirect it]\r\n"
    )
    assert jobs(past) == []


def test_a_container_that_is_not_there_or_not_yet_is_refused(
    past: Written, capfd: pytest.CaptureFixture[str]
) -> None:
    past.decide(decide.create, created("c1", "a"))
    lock = Locks(past.root).take(container_id("a"))
    assert lock is not None

    assert past.mydocker(capfd, "export", "none")[0] == 125
    code, _, err = past.mydocker(capfd, "export", "c1")
    os.close(lock)

    assert code == 125
    assert err.startswith("mydocker: cannot export c1: it is creating")
